"""VIGOR as pairs: four cities, two held out as in its cross-area split; no tile that shows a place is its negative.

Each panorama has one positive tile and three semi-positives, which show its place too, off their centre. Panoramas of
one positive tile are one place; the semi-positives stand in `covers`.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.benchmarks.retrieval_layouts import VIGOR_CITIES, vigor_folders, vigor_rows
from indirect_rlvr_geo.benchmarks.truths import position
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Group, Listing, Pair, block

CITIES = VIGOR_CITIES["same-area"]
LABELS = ("splits__corrected", "pano_label_balanced__corrected.txt"), ("splits", "pano_label_balanced.txt")
"""The corrected labels (Lentsch et al., CVPR 2023) where they are there, else the published ones."""
_POSITION = re.compile(r",(-?[0-9.]+),(-?[0-9.]+),\.[A-Za-z]+$")
"""A panorama is named identifier, latitude, longitude and an empty last field."""


def listing(root: Path, options: Options) -> Listing:
    """The cities that are there; raises DataError where there is none, or one has labels and no images."""
    held_out = set(options.test_cities or VIGOR_CITIES["cross-area"])
    unknown = sorted(held_out - set(CITIES))
    if unknown:
        raise DataError(f"`test_cities` names {', '.join(unknown)}; the cities of the data set are {', '.join(CITIES)}")
    tables = {city: path for city in CITIES if (path := _labels(root, city)) is not None}
    if not tables:
        raise DataError(
            f"`{root}` has no splits/<city>/pano_label_balanced.txt of {', '.join(CITIES)}; unpack it there"
        )
    folders = {city: _folders(root, city) for city in tables}
    groups = [
        Group(city, partial(_pairs, city, path, folders[city], city in held_out)) for city, path in tables.items()
    ]
    absent = [city for city in CITIES if city not in tables]
    notes = [f"{len(tables)} of {len(CITIES)} cities are there; not: {', '.join(absent)}"] if absent else []
    about = "Whole cities are held out: " + ", ".join(city for city in tables if city in held_out) + "."
    return Listing(tuple(groups), about, tuple(notes))


def _labels(root: Path, city: str) -> Path | None:
    paths = (root / folder / city / name for folder, name in LABELS)
    return next((path for path in paths if path.is_file()), None)


def _folders(root: Path, city: str) -> tuple[str, str]:
    found = vigor_folders(root, city)
    if found is None:
        raise DataError(
            f"`{root}` has the labels of {city} and not its images; unpack them into `{root / city}/panorama` and "
            f"`{root / city}/satellite`"
        )
    return found


def _pairs(city: str, labels: Path, folders: tuple[str, str], held_out: bool) -> Iterator[Pair]:
    ground, overhead = folders
    for name, tiles in vigor_rows(labels):
        latitude, longitude = _position(labels, name)
        yield Pair(
            id=f"{city}/{name}",
            cluster=f"{city} {block(latitude, longitude)}",
            ground=f"{ground}/{name}",
            overhead=f"{overhead}/{tiles[0]}",
            split="test" if held_out else "train",
            city=city,
            place=f"{city}/{tiles[0]}",
            latitude_deg=latitude,
            longitude_deg=longitude,
            covers=tuple(f"{overhead}/{tile}" for tile in tiles[1:]),
        )


def _position(labels: Path, name: str) -> tuple[float, float]:
    written = _POSITION.search(name)
    found = position(written[1], written[2]) if written else None
    if found is None:
        raise DataError(
            f"`{labels}` names the panorama {name!r}, which has no position; expected "
            "identifier,latitude,longitude,.jpg"
        )
    return found.latitude_deg, found.longitude_deg
