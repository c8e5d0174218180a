"""Truth tables and photos of published benchmarks on disk: CSV rows, coordinates, and which photo belongs to a row."""

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr.types import View
from indirect_rlvr_geo.benchmarks.files import photo

PHOTOS = "images"
"""The folder with the photos, below a benchmark's own."""
_SUFFIX = re.compile(r"\.(?:jpe?g|png|webp|tiff?)", re.IGNORECASE)


def read_rows(path: Path, *needed: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV file in UTF-8, cells as they are, short rows filled with "".

    Each of `needed` lists the names that a column may have. Raises DataError where one is missing or the file is no
    CSV.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            names = reader.fieldnames or []
            rows = [{name: row[name] or "" for name in names} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"`{path}` cannot be read as CSV: {error}; download it again") from error
    for choice in needed:
        if not set(choice) & set(names):
            wanted = " or ".join(f"`{name}`" for name in choice)
            raise DataError(f"`{path}` has no column {wanted}, only {list(names)}; download the file again")
    return rows


def cell(row: Mapping[str, str], *names: str) -> str:
    """The first of the named cells that is not blank, stripped, or ""."""
    return next((text for name in names if (text := row.get(name, "").strip())), "")


def degrees(written: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(written)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def position(latitude: str, longitude: str) -> Coordinates | None:
    """Coordinates in degrees, None where either is missing or out of range."""
    lat, lon = degrees(latitude), degrees(longitude)
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    return Coordinates(lat, lon)


def truth_position(place: Coordinates | None) -> dict[str, float]:
    """A position as part of an example's truth; {} where it is not known."""
    return {} if place is None else {"latitude": place.latitude_deg, "longitude": place.longitude_deg}


def distinct(name: str, seen: Counter[str]) -> tuple[str, tuple[str, ...]]:
    """An id of its own for a row, and the flag "duplicate id" where its name came before: "x", "x#2", …"""
    seen[name] += 1
    return (name, ()) if seen[name] == 1 else (f"{name}#{seen[name]}", ("duplicate id",))


def photo_key(name: str) -> str:
    """The name of a photo without any ".jpg" in it, wherever it stands: IMAGEO-Bench's join, in which "X.jpg.jpg" is
    "X"; other suffixes go too."""
    return _SUFFIX.sub("", name)


class Photos:
    """The photos below `folder/images`, in any depth, by `photo_key` of their file names; listed once, never opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: dict[str, str] = {}
        for parent, folders, files in os.walk(folder / PHOTOS):
            folders.sort()
            for name in sorted(files):
                self._paths.setdefault(photo_key(name), (Path(parent) / name).relative_to(folder).as_posix())

    def find(self, name: str) -> tuple[View, tuple[str, ...]]:
        """The view of the photo of that file name, in whatever folder it lies, and its path among the missing where it
        is not there or leads outside the folder."""
        return photo(self._folder, self._paths.get(photo_key(Path(name).name), f"{PHOTOS}/{name}"), "photo")
