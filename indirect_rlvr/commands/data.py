"""`rlvr data …`: candidate sets of a table of any size; arguments in, one function call, lines of text out."""

from pathlib import Path
from typing import Annotated, Literal

import typer

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Work on data before there is a run.")


@app.command("mine")
def mine(
    files: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Parquet or GeoParquet files.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the shards and their manifest.")],
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This process, or Ray Data.")] = "local",
    k: Annotated[int, typer.Option(min=2, max=26, help="Candidates in a set.")] = 5,
    cells: Annotated[list[float] | None, typer.Option(help="Side of a cell, metres; again for larger ones.")] = None,
    r_min: Annotated[float, typer.Option(min=0.0, help="Members are at least so far apart, metres.")] = 0.0,
    sampler: Annotated[
        Literal["symmetric", "blocks", "ring"], typer.Option(help="`ring` leaks the answer; it is for ablations.")
    ] = "symmetric",
    short: Annotated[
        Literal["widen", "drop"], typer.Option(help="A record short of neighbours tries larger cells, or is dropped.")
    ] = "widen",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    shards: Annotated[
        int, typer.Option(min=0, help="Output files, at most one for each record; 0 is one for each 250,000.")
    ] = 0,
    id_column: Annotated[str, typer.Option("--id", help="Column of ids.")] = "id",
    longitude_degrees: Annotated[str, typer.Option(help="Column of longitudes.")] = "",
    latitude_degrees: Annotated[str, typer.Option(help="Column of latitudes.")] = "",
    axis: Annotated[
        list[str] | None, typer.Option(help="Column of a plane coordinate instead; again for more.")
    ] = None,
    split: Annotated[str, typer.Option(help="Column of splits: sets never mix them.")] = "",
    key: Annotated[list[str] | None, typer.Option(help="Column that a set agrees on; may be given again.")] = None,
    match: Annotated[list[str] | None, typer.Option(help="Column that no two members agree on.")] = None,
    content: Annotated[list[str] | None, typer.Option(help="Column of content, never twice in a set.")] = None,
    look: Annotated[str, typer.Option(help="Column of 64-bit perceptual hashes.")] = "",
    nuisance: Annotated[str, typer.Option(help="Column of the scalar for `--sampler blocks`.")] = "",
    time: Annotated[list[str] | None, typer.Option(help="COLUMN:MIN:MAX in seconds between members.")] = None,
) -> None:
    """Mine candidate sets of a table of any size.

    Parquet in, Parquet shards and a manifest out. The same command continues after an interruption, at the shard.

    \b
    rlvr data mine places.parquet --out sets --longitude-degrees lon --latitude-degrees lat --cells 2500 --cells 5000
    rlvr data mine points.geoparquet --out sets --cells 5000 --r-min 100 --engine ray
    """
    from indirect_rlvr.data import columns, mining

    named = columns.Columns(
        id=id_column,
        position=columns.position_of(files, longitude_degrees, latitude_degrees, axis or [], cells or [], key or []),
        metric="euclidean" if axis else "lon_lat_degrees",
        split=split,
        keys=tuple(key or ()),
        nuisance=nuisance,
        match=tuple(match or ()),
        content=tuple(content or ()),
        look=look,
        times=tuple(columns.time_of(text) for text in time or ()),
    )
    job = columns.Job(named, k, seed, sampler, short, tuple(cells or ()), r_min, shards)
    made = mining.mine_files(files, out, job, engine, typer.echo)
    for note in made["notes"]:
        typer.echo(f"note: {note}")
    again = made["sets"] - made["disjoint"]
    typer.echo(
        f"{made['sets']:,} sets of {k} from {made['records']:,} records: {made['disjoint']:,} disjoint ones of the "
        f"first pass, {again:,} that take members again; {made['without']:,} without one: no {k - 1} legal neighbours "
        f"were found for them; sha256 {made['sha256']}; wrote {out}"
    )
