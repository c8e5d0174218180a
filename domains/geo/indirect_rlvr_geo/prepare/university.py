"""University-1652 as pairs: street images of a building and its satellite image; buildings have no coordinates.

Drone images are left alone: they look down as the satellite does and are no ground view.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Split
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Group, Listing, Pair

FOLDERS: dict[Split, tuple[str, str]] = {
    "train": ("train/street", "train/satellite"),
    "test": ("test/query_street", "test/gallery_satellite"),
}
ABOUT = "The authors' own train and test buildings, of different universities; positions are not known."
NOTE = "no coordinates: negatives come from all over the world; no neighbourhood can be asked for"


def listing(root: Path, options: Options) -> Listing:
    """Both sides; raises DataError where a folder is not there."""
    for folder in (folder for both in FOLDERS.values() for folder in both):
        if not (root / folder).is_dir():
            raise DataError(f"`{root / folder}` is not there; unpack all of University-1652 below `{root}`")
    return Listing(tuple(Group(side, partial(_pairs, root, side)) for side in FOLDERS), ABOUT, (NOTE,))


def _pairs(root: Path, side: Split) -> Iterator[Pair]:
    street, satellite = FOLDERS[side]
    for building in sorted(path for path in (root / street).iterdir() if path.is_dir()):
        tiles = _files(root / satellite / building.name)
        if len(tiles) != 1:
            raise DataError(
                f"`{root / satellite / building.name}` has {len(tiles)} images; expected the one satellite image of a "
                "building that has street images"
            )
        for photo in _files(building):
            yield Pair(
                id=f"{side}/{building.name}/{photo}",
                cluster=building.name,
                ground=f"{street}/{building.name}/{photo}",
                overhead=f"{satellite}/{building.name}/{tiles[0]}",
                split=side,
                place=building.name,
            )


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
