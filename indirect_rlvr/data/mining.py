"""Mine candidate sets of a Parquet file of any size: read in batches, shard by shard, resumed at the shard.

The folder holds one Parquet file for each shard and `manifest.json`, whose state is "complete" only when all of them
are there. The engine `local` works shard after shard in this process, `ray` on a cluster; both write the same bytes.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from indirect_rlvr import shapes
from indirect_rlvr.data import sphere
from indirect_rlvr.data.columns import TORN, Job, check_columns, degrees_of, ids_of, rows_of_batch
from indirect_rlvr.data.rows import Rows, check_unique, join
from indirect_rlvr.data.shards import (
    check_shard,
    copies,
    finished_shard,
    homes,
    mine_shard,
    note_path,
    read_shard,
    shard_path,
    write_shard,
)
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.progress import Progress, each
from indirect_rlvr.run import digest, read_json, write_json

BATCH = 65536
"""Rows read at a time."""

SHARD = 250_000
"""Records of a shard on average, where their number is not given."""

MANIFEST = "manifest.json"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Table:
    """All records of a file in memory: about 60 bytes each and their ids."""

    rows: Rows
    ids: pa.Array
    splits: pa.Array
    notes: tuple[str, ...] = ()


def mine_files(
    files: Sequence[Path], out: Path, job: Job, engine: Literal["local", "ray"] = "local", say: Say = lambda line: None
) -> dict[str, Any]:
    """Write the candidate sets of all records of the files into `out`, and give its manifest.

    What an interrupted mining of the same job finished is kept. Raises ConfigError for more shards than records,
    DataError for unusable input, RunError where `out` is no folder or belongs to another job, a shard is torn or a
    worker died; then the manifest is not complete.
    """
    plan, prints = job.plan(), [_fingerprint(path) for path in files]
    records = sum(_records(path, job) for path in files)
    if job.shards > max(1, records):
        raise ConfigError(f"--shards is {job.shards:,}, more than the {records:,} records; give fewer, or leave it out")
    job = replace(job, shards=job.shards or math.ceil(records / SHARD) or 1)
    key = digest({"files": prints, "job": job})
    before = _open(out, key)
    if before.get("state") == "complete":
        for entry in before["shards"]:
            check_shard(out, entry)
        say(f"`{out}` is complete already")
        return before
    manifest: dict[str, Any] = {"state": "partial", "key": key, "job": job, "files": [str(path.name) for path in files]}
    write_json(out / MANIFEST, manifest)
    found = [finished_shard(out, shard, key) for shard in range(job.shards)]
    done = [entry for entry in found if entry]
    todo = [shard for shard, entry in enumerate(found) if not entry]
    say(f"{len(done)} of {job.shards} shards are finished" if done else f"mining {job.shards} shards with `{engine}`")
    notes: tuple[str, ...] = ()
    if todo and engine == "ray":
        from indirect_rlvr.data.ray_engine import mine_with_ray

        done += mine_with_ray(files, out, job, plan, key, todo)
    elif todo:
        table = read_table(files, job)
        notes = table.notes
        with Progress("mining", "shard", job.shards, done=len(done)) as progress:
            for shard, made in local_shards(table, job, todo):
                done.append(write_shard(out, shard, *made, key))
                progress.advance()
    return _close(out, manifest, sorted(done, key=lambda entry: int(entry["shard"])), notes, job)


def local_shards(table: Table, job: Job, todo: Sequence[int]) -> Iterator[tuple[int, tuple[pa.Table, dict[str, int]]]]:
    """The sets of each shard asked for, one after the other, from its own rows and their halo."""
    plan = job.plan()
    home = homes(table.rows, plan, job.shards)
    row, shard = copies(table.rows, plan, job.shards)
    own_order, halo_order = np.argsort(home, kind="stable"), np.argsort(shard, kind="stable")
    bounds = np.arange(job.shards + 1)
    own_at, halo_at = np.searchsorted(home[own_order], bounds), np.searchsorted(shard[halo_order], bounds)
    for number in todo:
        own = own_order[own_at[number] : own_at[number + 1]]
        halo = row[halo_order[halo_at[number] : halo_at[number + 1]]]
        which = np.concatenate([own, halo])
        is_own = np.arange(len(which)) < len(own)
        part = pa.array(which)
        yield number, mine_shard(table.rows.take(which), is_own, table.ids.take(part), table.splits.take(part), plan)


def read_table(files: Sequence[Path], job: Job) -> Table:
    """Every record of the files, read in batches; raises DataError that names the file."""
    parts: list[Rows] = []
    ids: list[pa.Array] = []
    splits: list[pa.Array] = []
    notes: dict[str, None] = {}
    for path in files:
        for batch in each(batches(path, job), f"reading {path.name}", "batch"):
            parts.append(rows_of_batch(batch, job))
            ids.append(pa.array(ids_of(batch, job), pa.string()))
            splits.append(splits_of(batch, job))
            if job.columns.position and job.columns.metric == "lon_lat_degrees" and len(parts) == 1:
                notes |= dict.fromkeys(sphere.suspicions(*degrees_of(batch, job)))
    if not parts:
        raise DataError(f"no record in {', '.join(f'`{path}`' for path in files)}")
    rows, names = join(parts), pa.concat_arrays(ids)
    check_unique(rows.tags, names)
    return Table(rows, names, pa.concat_arrays(splits), tuple(notes))


def batches(path: Path, job: Job) -> Iterator[pa.Table]:
    """The wanted columns of one file, a batch at a time; raises DataError where it is no whole Parquet file."""
    try:
        with pq.ParquetFile(path) as file:
            check_columns(path, file.schema_arrow, job.columns)
            for batch in file.iter_batches(BATCH, columns=job.columns.wanted()):
                batch.validate(full=True)  # texts that are no UTF-8, among others
                yield pa.Table.from_batches([batch])
    except TORN as error:
        raise _not_whole(path, error) from error


def splits_of(batch: pa.Table, job: Job) -> pa.Array:
    """The split of each row as text, "" where there is no split column."""
    if not job.columns.split:
        return pa.array([""] * len(batch), pa.string())
    return batch[job.columns.split].cast(pa.string()).combine_chunks()


def finished(folder: Path) -> dict[str, Any]:
    """The manifest of a finished mining; raises RunError where there is none, or it is torn or not complete, DataError
    where it is of another shape."""
    if _manifest(folder).get("state") != "complete":
        raise RunError(f"the mining in `{folder}` is not complete; give its command again")
    return shapes.read(folder / MANIFEST, shapes.Mining, "`rlvr data mine`")


def read_sets(folder: Path) -> pa.Table:
    """All sets of a finished mining, sorted by id.

    Raises RunError and DataError as `finished` does, and RunError where a shard is missing, torn or changed.
    """
    found = finished(folder)
    tables = [read_shard(folder, entry, found["job"]["k"]) for entry in found["shards"]]
    return pa.concat_tables(tables).sort_by("set_id")


def content_digest(sets: pa.Table) -> str:
    """SHA-256 of the sets in the order of their ids, the same for any number of shards."""
    ordered = sets.sort_by("set_id")
    return digest([ordered[name].to_pylist() for name in ("set_id", "split", "level", "anchor", "members")])


def _open(out: Path, key: str) -> dict[str, Any]:
    """The manifest that is in the folder already, or an empty one; one that never came to a shard binds nobody."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        names = [entry.name for entry in out.iterdir()]
    except OSError as error:
        raise RunError(
            f"cannot make the folder `{out}`: {error.strerror or error}; choose another folder with --out"
        ) from error
    if MANIFEST not in names:
        if not all(name.startswith(".") for name in names):
            raise RunError(f"`{out}` is not empty and holds no mining; choose another folder with --out")
        return {}
    found = _manifest(out)
    if found.get("key") != key:
        if found.get("state") == "partial" and not list(out.glob("sets-*.parquet")):
            return {}
        raise RunError(f"`{out}` holds the mining of other input or settings; choose another folder with --out")
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a mining; raises RunError where there is none, or it is torn."""
    if not (folder / MANIFEST).is_file():
        raise RunError(f"`{folder}` holds no mining: there is no {MANIFEST}; mend the path, or mine into it")
    try:
        found = read_json(folder / MANIFEST)
    except DataError as error:
        reason = str(error.__cause__)
        raise RunError(
            f"`{folder / MANIFEST}` is torn: {reason}; delete the folder `{folder}` and mine again"
        ) from error
    if not isinstance(found, dict):
        raise RunError(f"`{folder / MANIFEST}` is no manifest of a mining; choose another folder with --out")
    return found


def _close(
    out: Path, manifest: dict[str, Any], done: list[dict[str, Any]], notes: Sequence[str], job: Job
) -> dict[str, Any]:
    """Complete the manifest; raises DataError where no set could be formed at all."""
    total = {name: sum(int(entry[name]) for entry in done) for name in ("records", "sets", "disjoint", "without")}
    if [int(entry["shard"]) for entry in done] != list(range(job.shards)):
        raise RunError(f"only {len(done)} of {job.shards} shards were made; give the same command again")
    if not total["sets"]:
        for entry in done:
            for path in (shard_path(out, int(entry["shard"])), note_path(out, int(entry["shard"]))):
                path.unlink()
        raise DataError(
            f"none of {total['records']:,} records has {job.k - 1} legal neighbours: K is {job.k}, "
            f"r_min {job.r_min:g}, cells {list(job.cells)}, keys {list(job.columns.keys)}; lower K or r_min, "
            "or enlarge the last cell"
        )
    sha = digest([entry["sha256"] for entry in done])
    manifest |= {"state": "complete", **total, "notes": list(notes), "sha256": sha, "shards": done}
    write_json(out / MANIFEST, manifest)
    for entry in done:
        note_path(out, int(entry["shard"])).unlink()
    return manifest


def _records(path: Path, job: Job) -> int:
    """How many records a file has; raises DataError where it lacks a column of the job."""
    try:
        found = pq.read_metadata(path)
        check_columns(path, found.schema.to_arrow_schema(), job.columns)
        return int(found.num_rows)
    except TORN as error:
        raise _not_whole(path, error) from error


def _not_whole(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0][:160]
    return DataError(f"`{path}` is not a whole Parquet file: {reason}; fetch or write it again")


def _fingerprint(path: Path) -> dict[str, Any]:
    """Size, rows and the digest of the footer, which names every page and its statistics: cheap for any size."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.seek(max(0, size - 8))
            tail = stream.read(8)
            stream.seek(max(0, size - 8 - int.from_bytes(tail[:4], "little")))
            footer = stream.read()
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror}; give a Parquet file") from error
    if tail[4:] != b"PAR1":
        raise DataError(f"`{path}` is not a whole Parquet file: it does not end as one; fetch or write it again")
    return {"size": size, "footer": digest(footer.hex())}
