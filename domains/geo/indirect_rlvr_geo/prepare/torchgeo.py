"""Overhead images cut out of any TorchGeo dataset with bounds, around the places of ground photos; a table comes out.

Only the documented interface of a `GeoDataset` (TorchGeo 0.7 or later) is used: `crs`, `bounds` as slices of x, y and
time, and indexing by slices of x and y, which gives a mapping with an `image` of shape (bands, rows, columns).
TorchGeo itself is not imported.
"""

import csv
from collections.abc import Mapping, Sequence
from math import cos, radians
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from indirect_rlvr.data.rows import code
from indirect_rlvr.data.sphere import EARTH_M
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import disk_errors
from indirect_rlvr_geo.prepare.table import Row, rows_of

DEGREES = 4326
"""EPSG number of longitude and latitude on WGS 84."""


class Bounded(Protocol):
    """What is asked of a dataset."""

    crs: Any
    bounds: tuple[slice, slice, slice]

    def __getitem__(self, index: tuple[slice, slice]) -> Mapping[str, Any]:
        """The data in a box of x and y."""


def cut(
    dataset: Bounded,
    photos: Path,
    out: Path,
    side_m: float = 120.0,
    bands: Sequence[int] = (0, 1, 2),
    highest: float = 255.0,
) -> tuple[int, int]:
    """Write `out/overhead/*.png` of `side_m` metres around each photo of a table with id, lat, lon and ground, and
    `out/pairs.csv` for `--source table`; gives (written, outside the dataset).

    Values from 0 to `highest` become 0 to 255. Paths of photos stay as the table has them, so `out` should be the
    folder they are relative to. Raises DataError where the dataset is not in degrees, or no photo lies within it.
    """
    if dataset.crs.to_epsg() != DEGREES:
        raise DataError(
            f"the dataset is in EPSG:{dataset.crs.to_epsg()}; expected EPSG:{DEGREES}: give TorchGeo crs=EPSG:{DEGREES}"
        )
    rows, outside = [], 0
    for row in rows_of(photos):
        box = _box(row, side_m)
        if not _inside(dataset, box):
            outside += 1
            continue
        name = f"overhead/{code(row['id']):016x}.png"
        _write(out / name, dataset[box], bands, highest, str(row["id"]))
        rows.append({**row, "overhead": name})
    if not rows:
        raise DataError(f"none of the {outside} photos of `{photos}` lies within the dataset; its bounds differ")
    _table(out / "pairs.csv", rows)
    return len(rows), outside


def _box(row: Row, side_m: float) -> tuple[slice, slice]:
    longitude, latitude = float(row["lon"]), float(row["lat"])
    up = side_m / 2 / (radians(1) * EARTH_M)
    right = up / max(cos(radians(latitude)), 1e-6)
    return slice(longitude - right, longitude + right), slice(latitude - up, latitude + up)


def _inside(dataset: Bounded, box: tuple[slice, slice]) -> bool:
    bounds = dataset.bounds[: len(box)]  # the third is time
    return all(whole.start <= own.start and own.stop <= whole.stop for whole, own in zip(bounds, box, strict=True))


def _write(path: Path, sample: Mapping[str, Any], bands: Sequence[int], highest: float, name: str) -> None:
    pixels = np.asarray(sample["image"], dtype=np.float64)
    if pixels.ndim != 3 or max(bands) >= len(pixels):
        raise DataError(f"the image around `{name}` has the shape {pixels.shape}; expected bands, rows, columns")
    chosen = np.clip(pixels[list(bands)] / highest * 255 + 0.5, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(chosen).save(path)


def _table(path: Path, rows: Sequence[Row]) -> None:
    beside = path.with_suffix(".tmp")
    with disk_errors(path), beside.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    beside.replace(path)
