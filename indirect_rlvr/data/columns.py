"""Columns of a Parquet or GeoParquet file as integer rows: what mining needs to know of a table, and nothing else.

Works on one batch at a time, so that a batch means the same on every machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from indirect_rlvr.data import sphere
from indirect_rlvr.data.lattice import place_step, plan_of
from indirect_rlvr.data.phash import NEAR
from indirect_rlvr.data.rows import Axis, Plan, Rows, Words, code, mix, tags
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.foreign import loads
from indirect_rlvr.types import Neighbourhood, Record, Ring

TORN = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What pyarrow raises on a file that is torn; the last where it is so in the name of a column."""
WKB_POINT = 21
"""Bytes of a point in well-known binary: byte order, type 1, two doubles."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column says what; empty where there is none.

    `position` is (longitude, latitude) in degrees, or one GeoParquet column of points, or with `metric="euclidean"` any
    numbers in one unit. `match` and `content` columns must differ within a set; `look` is a 64-bit perceptual hash;
    `times` are (column, r_min_s, r_max_s) in seconds.
    """

    id: str = "id"
    position: tuple[str, ...] = ()
    metric: Literal["lon_lat_degrees", "euclidean"] = "lon_lat_degrees"
    split: str = ""
    keys: tuple[str, ...] = ()
    nuisance: str = ""
    match: tuple[str, ...] = ()
    content: tuple[str, ...] = ()
    look: str = ""
    times: tuple[tuple[str, float, float], ...] = ()

    def wanted(self) -> list[str]:
        """The columns to read, each once."""
        named = (self.id, *self.position, self.split, *self.keys, self.nuisance, *self.match, *self.content, self.look)
        return list(dict.fromkeys(name for name in (*named, *(name for name, _, _ in self.times)) if name))


@dataclass(frozen=True, slots=True)
class Job:
    """A whole mining: the columns, and what is wanted of them. Lengths are metres where positions are degrees.

    `shards` is the number of output files; 0 is one for each quarter of a million records.
    """

    columns: Columns
    k: int = 5
    seed: int = 0
    sampler: Literal["symmetric", "blocks", "ring"] = "symmetric"
    short: Literal["widen", "drop"] = "widen"
    cells: tuple[float, ...] = ()
    r_min: float = 0.0
    shards: int = 0

    def neighbourhood(self) -> Neighbourhood:
        """The same, in the words that packs use; its functions are not for calling, columns are read in batches."""
        columns = self.columns
        rings = tuple(Ring(name, "euclidean", _never, low, high, "s") for name, low, high in columns.times)
        return Neighbourhood(
            keys=columns.keys,
            position=_never if columns.position else None,
            cells=self.cells,
            r_min=self.r_min,
            nuisance=_never if columns.nuisance else None,
            metric=columns.metric,
            rings=rings,
        )

    def plan(self) -> Plan:
        """The plan of the job; raises DataError where it contradicts itself."""
        near, columns = self.neighbourhood(), self.columns
        dimensions = 3 if columns.metric == "lon_lat_degrees" else len(columns.position)
        has_place = bool(columns.position and (self.cells or self.r_min))
        plan = plan_of(
            near, self.k, self.seed, dimensions if has_place else 0, self.sampler, self.short, [1] * len(columns.times)
        )
        look = [Axis("hamming", 0, 1, NEAR + 1)] if columns.look else []
        return Plan(plan.k, plan.seed, plan.sampler, plan.levels, (*plan.axes, *look), plan.reach)


def _never(record: Record) -> Any:
    raise AssertionError(f"record {record.id}: columns are read in batches, not record by record")


def rows_of_batch(batch: pa.Table, job: Job) -> Rows:
    """The rows of one batch, in its order.

    Raises DataError that names column, and record where it can, for what is null, not finite or out of range.
    """
    columns = job.columns
    for name in columns.wanted():
        if batch[name].null_count and name not in (*columns.content, *columns.match):
            raise DataError(f"column `{name}` has {batch[name].null_count} nulls; leave those records out or fill them")
    ids = ids_of(batch, job)
    n = len(batch)
    pools = np.full(n, code("pool"), dtype=np.uint64)
    for name in (columns.split, *columns.keys):
        pools = mix(pools ^ _codes(batch[name])) if name else mix(pools)
    distinct = [_codes(batch[name]) for name in (*columns.match, *columns.content)]
    looks = [_numbers(batch, columns.look, np.uint64)] if columns.look else []
    return Rows(
        tags=tags(job.seed, ids),
        pools=pools,
        points=np.column_stack([np.zeros((n, 0), dtype=np.int64), *_places(batch, job, ids), *_times(batch, job)]),
        bits=np.column_stack([np.zeros((n, 0), dtype=np.uint64), *looks]),
        distinct=np.column_stack([np.zeros((n, 0), dtype=np.uint64), *distinct]),
        nuisance=_finite(batch, columns.nuisance) if columns.nuisance else np.zeros(n),
    )


def check_columns(path: Path, schema: pa.Schema, columns: Columns) -> None:
    """Raise DataError where a file lacks a column that is named, with what it has."""
    for name in columns.wanted():
        if name not in schema.names:
            has = ", ".join(f"{field.name} ({field.type})" for field in schema)
            raise DataError(f"`{path}` has no column `{name}`; it has: {has:.2000}")


def ids_of(batch: pa.Table, job: Job) -> list[str]:
    """The ids of a batch as text."""
    return [str(i) for i in batch[job.columns.id].to_pylist()]


def degrees_of(batch: pa.Table, job: Job) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes and latitudes of a batch, in degrees, from two columns or one of points."""
    names = job.columns.position
    if len(names) == 1:
        points = _wkb(batch, names[0])
        return points[:, 0], points[:, 1]
    if len(names) != 2:
        raise DataError(f"positions are {list(names)}; expected a longitude and a latitude column, or one of points")
    return _numbers(batch, names[0], np.float64), _numbers(batch, names[1], np.float64)


def _places(batch: pa.Table, job: Job, ids: Sequence[str]) -> list[NDArray[np.int64]]:
    near = job.neighbourhood()
    if near.position is None or not (near.cells or near.r_min):
        return []
    if job.columns.metric == "lon_lat_degrees":
        longitude_degrees, latitude_degrees = degrees_of(batch, job)
        sphere.check_degrees(longitude_degrees, latitude_degrees, ids)
        return [sphere.unit_integers(longitude_degrees, latitude_degrees)]
    step = place_step(near)
    return [_steps(_finite(batch, name), step, name) for name in job.columns.position]


def _times(batch: pa.Table, job: Job) -> list[NDArray[np.int64]]:
    found = []
    for name, low, high in job.columns.times:
        column = batch[name]
        if pa.types.is_timestamp(column.type):
            seconds = pc.cast(column, pa.timestamp("us")).cast(pa.int64()).to_numpy() / 1e6
        else:
            seconds = _finite(batch, name)
        found.append(_steps(seconds, place_step(Neighbourhood(cells=(high,), r_min=low)), name))
    return found


def _steps(values: NDArray[np.float64], step: float, name: str) -> NDArray[np.int64]:
    grid = np.rint(values / step)
    if (np.abs(grid) >= 2.0**53).any():
        raise DataError(
            f"column `{name}` reaches {np.abs(values).max():g}, too far for steps of {step:g}; subtract an origin"
        )
    return grid.astype(np.int64)


def _numbers(batch: pa.Table, name: str, kind: type[np.generic]) -> NDArray[Any]:
    try:
        return np.asarray(batch[name].to_numpy(), dtype=kind)
    except (pa.ArrowInvalid, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"column `{name}` is of type {batch[name].type}; expected numbers: {error}") from error


def _finite(batch: pa.Table, name: str) -> NDArray[np.float64]:
    values = np.asarray(_numbers(batch, name, np.float64), dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(f"column `{name}` is {values[row]} in row {row} of a batch; expected finite numbers")
    return values


def _codes(column: pa.ChunkedArray) -> Words:
    """A code of each value, 0 for null."""
    try:
        encoded = column.combine_chunks().dictionary_encode()
        known = np.array([code(value) for value in encoded.dictionary.to_pylist()] + [0], dtype=np.uint64)
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DataError(f"a column of keys or contents is of type {column.type}; expected text or numbers") from error
    which = encoded.indices.fill_null(len(known) - 1).to_numpy(zero_copy_only=False)
    return np.asarray(known[which], dtype=np.uint64)


def _wkb(batch: pa.Table, name: str) -> NDArray[np.float64]:
    """Points of a GeoParquet column in well-known binary, shape (n, 2)."""
    values = batch[name].to_pylist()
    bad = next((row for row, value in enumerate(values) if not _is_point(value)), None)
    if bad is not None:
        raise DataError(
            f"column `{name}`: row {bad} of a batch is no point in well-known binary, little endian; give points"
        )
    return np.frombuffer(b"".join(value[5:] for value in values), dtype="<f8").reshape(-1, 2)


def _is_point(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == WKB_POINT and value[:5] == b"\x01\x01\x00\x00\x00"


def geometry_column(metadata: dict[bytes, bytes] | None) -> str | None:
    """The column of points of a GeoParquet file, or None where it is plain Parquet.

    Raises DataError where its coordinates are not longitude and latitude.
    """
    if not metadata or b"geo" not in metadata:
        return None
    try:
        geo = loads(metadata[b"geo"].decode())
        name = str(geo["primary_column"])
        column = geo["columns"][name]
        crs = (column.get("crs") or {}).get("id", {})
        known = not crs or (crs.get("authority"), str(crs.get("code"))) in {("OGC", "CRS84"), ("EPSG", "4326")}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the metadata `geo` of the file is not GeoParquet's: {error!r:.160}; mend it") from error
    if not known:
        raise DataError(f"column `{name}` is in {crs}; expected longitude and latitude (OGC:CRS84 or EPSG:4326)")
    if column.get("encoding") != "WKB":
        raise DataError(f"column `{name}` is encoded as {column.get('encoding')}; expected WKB")
    return name


def position_of(
    files: Sequence[Path],
    longitude_degrees: str,
    latitude_degrees: str,
    plane: Sequence[str],
    cells: Sequence[float],
    keys: Sequence[str] = (),
) -> tuple[str, ...]:
    """The columns that say where a record is: those named, else the points of a GeoParquet file, else none.

    Raises ConfigError for places without cells, whose sets would reach over the whole file; where keys say what is
    near, the points of a GeoParquet file are left alone.
    """
    if bool(longitude_degrees) != bool(latitude_degrees) or (longitude_degrees and plane):
        raise ConfigError("give both --longitude-degrees and --latitude-degrees, or --axis, or neither")
    if longitude_degrees or plane:
        return _bounded(tuple(plane) or (longitude_degrees, latitude_degrees), cells)
    try:
        name = geometry_column(pq.read_schema(files[0]).metadata)
    except TORN as error:
        reason = str(error).splitlines()[0][:160]
        raise DataError(f"`{files[0]}` is not a whole Parquet file: {reason}; fetch or write it again") from error
    if not name or (keys and not cells):
        return ()
    return _bounded((name,), cells)


def _bounded(position: tuple[str, ...], cells: Sequence[float]) -> tuple[str, ...]:
    if not cells:
        raise ConfigError(
            f"places are in {', '.join(f'`{name}`' for name in position)}, and no --cells says how far apart members "
            "of a set may be: such sets can be won without the query; give --cells, for example --cells 5000"
        )
    return position


def time_of(text: str) -> tuple[str, float, float]:
    """COLUMN:MIN:MAX, in seconds."""
    name, *bounds = text.rsplit(":", 2)
    try:
        low, high = map(float, bounds)
    except ValueError as error:
        raise ConfigError(f"--time `{text}` is not COLUMN:MIN:MAX in seconds, for example taken:0:3600") from error
    return name, low, high
