"""CVUSA as pairs, by its split files; the standard subset has no coordinates, so nothing says what lies near what."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from indirect_rlvr.types import Split
from indirect_rlvr_geo.benchmarks.retrieval_layouts import cvusa_pairs
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Group, Listing, Pair

ABOUT = (
    "The authors' own train and val files; the standard subset has no coordinates, so that how far they are apart is "
    "not known."
)
NOTE = "no coordinates: negatives come from all over the country and are easy; no neighbourhood can be asked for"


def listing(root: Path, options: Options) -> Listing:
    """The train and the val file."""
    sides: tuple[Split, Split] = ("train", "test")
    return Listing(tuple(Group(side, partial(_pairs, root, side)) for side in sides), ABOUT, (NOTE,))


def _pairs(root: Path, side: Split) -> Iterator[Pair]:
    for overhead, ground in cvusa_pairs(root, side):
        yield Pair(id=ground, cluster=ground, ground=ground, overhead=overhead, split=side, place=ground)
