"""What `rlvr data prepare geo` calls: text options in, records on disk, the lines to go on with out."""

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from indirect_rlvr.validation import validate
from indirect_rlvr_geo.prepare import run
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.settings import Photos


def prepare(
    source: str, root: Path, out: Path, limit: int, options: Mapping[str, str], say: Callable[[str], None]
) -> str:
    """Prepare a data set; what was kept and dropped, and the commands that come next."""
    made = run.prepare(source, root, out, limit, validate(Options, dict(options), "--set"), say)
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in made["dropped"].items()) or "none"
    records = made["records"]
    repeats = made["repeats"]
    return (
        f"{sum(records.values()):,} records of {made['listed']:,} pairs: {records['train']:,} to train on, "
        f"{records['test']:,} held out; dropped: {dropped}\n"
        f"{repeats['places']:,} places come again ({repeats['places_in_different_months']:,} in different months); "
        f"sha256 {made['sha256']}; wrote {out}\n"
        f"next: rlvr run --domain geo --set records.prepared={shlex.quote(str(out))} --until tasks\n"
        f"or:   {mine_command(out, made['positions'])}"
    )


def mine_command(out: Path, positions: bool) -> str:
    """The command that mines the same neighbourhoods from the shards."""
    photos = Photos()
    words = ["rlvr", "data", "mine", f"{shlex.quote(str(out))}/records/*.parquet", "--out", shlex.quote(f"{out}-sets")]
    if positions:
        words += ["--longitude-degrees", "longitude", "--latitude-degrees", "latitude"]
        words += [word for cell in photos.cells_m for word in ("--cells", f"{cell:g}")]
        words += ["--r-min", f"{photos.min_separation_m:g}"]
    words += ["--split", "split", "--match", "place", "--content", "ground_content", "--content", "overhead_content"]
    return " ".join(words)
