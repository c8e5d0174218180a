"""A plain table as pairs: CSV, Parquet, GeoParquet or a STAC item collection, with a few columns of known names."""

import csv
import struct
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq

from indirect_rlvr.data.columns import TORN, WKB_POINT, geometry_column
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Split
from indirect_rlvr_geo.benchmarks.cv_cities import spot
from indirect_rlvr_geo.benchmarks.truths import degrees, position
from indirect_rlvr_geo.prepare import stac
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Group, Listing, Pair, block
from indirect_rlvr_geo.prepare.pairs import side as side_of

NEEDED = ("ground", "overhead")
KNOWN = (*NEEDED, "id", "lat", "lon", "time", "city", "place", "cluster", "split", "heading_deg", "elevation_m")
BATCH = 4096
BLOCK_DECIMALS = 1
"""Blocks of about eleven kilometres hold a place's split where a table has no cities."""

Row = Mapping[str, Any]


def listing(root: Path, options: Options) -> Listing:
    """The one table; raises DataError where it is not there or lacks a column."""
    path = root / options.table
    if not options.table or not path.is_file():
        raise DataError(f"`{path}` is no table; name a file below --root with --set table=FILE")
    unknown = sorted(set(options.columns) - set(KNOWN))
    if unknown:
        raise DataError(f"`columns` names {', '.join(unknown)}; a table's columns are {', '.join(KNOWN)}")
    about = "Clusters of the table (its cities, else blocks of about eleven kilometres) are held out whole."
    return Listing((Group(path.name, partial(_pairs, root, path, options)),), about)


def _pairs(root: Path, path: Path, options: Options) -> Iterator[Pair]:
    for number, row in enumerate(rows_of(path), 1):
        if number == 1:
            _check_columns(path, row, options)
        named = {name: row.get(options.columns.get(name, name)) for name in KNOWN}
        yield _pair(root, f"`{path}` row {number}", named, options)


def rows_of(path: Path) -> Iterator[Row]:
    """The rows of a table by the names of its columns, in batches; points of GeoParquet as lat and lon."""
    match path.suffix.lower():
        case ".csv":
            yield from _csv(path)
        case ".parquet" | ".geoparquet":
            yield from _parquet(path)
        case ".json" | ".geojson":
            yield from stac.rows(path)
        case suffix:
            raise DataError(f"`{path}` ends in {suffix!r}; expected .csv, .parquet, .geoparquet, .json or .geojson")


def _check_columns(path: Path, row: Row, options: Options) -> None:
    lacking = [name for name in NEEDED if options.columns.get(name, name) not in row]
    lacking += [name for name, column in options.columns.items() if column not in row and name not in lacking]
    if lacking:
        column = options.columns.get(lacking[0], lacking[0])
        raise DataError(
            f"`{path}` has no column `{column}`, only {', '.join(map(str, row))}; say which column it is with "
            f"--set columns={lacking[0]}:COLUMN"
        )


def _pair(root: Path, where: str, row: Row, options: Options) -> Pair:
    ground, overhead = (_inside(root, where, name, row[name]) for name in NEEDED)
    lat, lon = _position(where, row)
    city = _text(row["city"])
    spotted = "" if lat is None or lon is None else "{:.5f} {:.5f}".format(*spot(lat, lon))
    cluster = _text(row["cluster"]) or city or ("" if lat is None or lon is None else block(lat, lon, BLOCK_DECIMALS))
    held_out = options.test_cities
    split = _split(where, _text(row["split"]))
    return Pair(
        id=_text(row["id"]) or ground,
        cluster=cluster or ground,
        ground=ground,
        overhead=overhead,
        split=split
        or (("test" if city in held_out else "train") if held_out else side_of(cluster or ground, options.test_share)),
        city=city,
        place=_text(row["place"]) or spotted or ground,
        latitude_deg=lat,
        longitude_deg=lon,
        captured=_time(where, row["time"]),
        heading_deg=degrees(_text(row["heading_deg"])) if _text(row["heading_deg"]) else None,
        elevation_m=degrees(_text(row["elevation_m"])) if _text(row["elevation_m"]) else None,
    )


def _position(where: str, row: Row) -> tuple[float | None, float | None]:
    latitude, longitude = _text(row["lat"]), _text(row["lon"])
    if not latitude and not longitude:
        return None, None
    found = position(latitude, longitude)
    if found is None:
        lacking = next((name for name, written in (("lat", latitude), ("lon", longitude)) if not written), "")
        if lacking:
            hint = f"fill in `{lacking}`, or say which column it is with --set columns={lacking}:COLUMN"
        elif position(longitude, latitude) is not None:
            hint = "the two look swapped"
        else:
            hint = "correct the row or leave it out"
        raise DataError(
            f"{where} has latitude {latitude!r} and longitude {longitude!r}; expected degrees within ±90 and ±180: "
            f"{hint}"
        )
    return found.latitude_deg, found.longitude_deg


def _split(where: str, written: str) -> Split | None:
    match written:
        case "train" | "test":
            return "train" if written == "train" else "test"
        case "":
            return None
    raise DataError(f"{where} has the split {written!r}; expected 'train', 'test' or nothing")


def _inside(root: Path, where: str, name: str, value: Any) -> str:
    """A path relative to the root; absolute ones must lie below it."""
    written = _text(value)
    path = PurePosixPath(written)
    if path.is_absolute() and path.is_relative_to(root.resolve().as_posix()):
        path = path.relative_to(root.resolve().as_posix())
    if not written or path.is_absolute() or ".." in path.parts:
        raise DataError(f"{where} has {written!r} as `{name}`; expected the path of an image below `{root}`")
    return path.as_posix()


def _time(where: str, value: Any) -> str:
    written = value.isoformat() if isinstance(value, (date, datetime)) else _text(value)
    if not written:
        return ""
    try:
        datetime.fromisoformat(f"{written}-01" if len(written) == len("2019-05") else written)
    except ValueError as error:
        raise DataError(
            f"{where} has the time {written!r}; expected ISO 8601, such as 2019-05 or 2019-05-03"
        ) from error
    return written


def _text(value: Any) -> str:
    """A cell as text; NaN, in which tables write that nothing is known, is nothing."""
    return "" if value is None or value != value else str(value).strip()


def _csv(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for number, row in enumerate(csv.DictReader(stream), 1):
                if None in row or None in row.values():
                    raise DataError(f"`{path}` row {number} has another number of cells than the header; correct it")
                yield row
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read `{path}`: {error}; expected CSV in UTF-8 with a header") from error


def _parquet(path: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as file:
            points = geometry_column(file.schema_arrow.metadata)
            for batch in file.iter_batches(BATCH):
                yield from (_located(path, row, points) for row in batch.to_pylist())
    except TORN as error:
        reason = str(error).splitlines()[0][:160]
        raise DataError(f"`{path}` is not a whole Parquet file: {reason}; fetch or write it again") from error


def _located(path: Path, row: dict[str, Any], points: str | None) -> Row:
    if points is None:
        return row
    value = row.pop(points)
    if not isinstance(value, bytes) or len(value) != WKB_POINT or value[:5] != b"\x01\x01\x00\x00\x00":
        raise DataError(f"`{path}` column `{points}` holds no point in well-known binary, little endian; give points")
    longitude, latitude = struct.unpack("<dd", value[5:])
    return {**row, "lat": latitude, "lon": longitude}
