"""The second pass: every image's header read once, in parts of the listing; a part on disk is whole or not there.

A part depends on its own pairs and images alone, so an interrupted preparation goes on after the last one.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from indirect_rlvr.data.rows import code
from indirect_rlvr.run import disk_errors
from indirect_rlvr_geo.prepare.images import Seen, damage, look, shrink, suffix
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Pair

VIEWS = ("ground", "overhead")
THREADS = 8
"""Headers are read side by side: on a network disk the waiting counts, not the reading."""
COPIES = "images"

_TEXT, _NUMBER, _PIXELS = pa.string(), pa.float64(), pa.int32()
COLUMNS: list[tuple[str, pa.DataType]] = [
    *((name, _TEXT) for name in ("id", "cluster", "split", "city", "place")),
    ("latitude", _NUMBER),
    ("longitude", _NUMBER),
    ("captured", _TEXT),
    ("captured_s", _NUMBER),
    ("heading_deg", _NUMBER),
    ("elevation_m", _NUMBER),
    ("covers", _TEXT),
    *((f"{view}{what}", _TEXT) for view in VIEWS for what in ("", "_copy", "_content")),
    *((f"{view}_{side}", _PIXELS) for view in VIEWS for side in ("width", "height")),
]
"""The columns of a shard. `ground` and `overhead` are below the data set's folder; a smaller copy, where there is one,
is `ground_copy` or `overhead_copy` below the shard's."""
PART = pa.schema([*COLUMNS, ("reason", _TEXT)])
SHARD = pa.schema(COLUMNS)


def check_parts(pairs: Iterator[Pair], root: Path, out: Path, options: Options, key: str) -> Iterator[tuple[Path, int]]:
    """(path, unusable pairs) of each part, in order; parts of the same key without an unusable pair are kept as they
    are, and the others made, so that a mended image counts."""
    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.simplefilter("ignore")  # on bombs, for which MAX_PIXELS is stricter, and on odd metadata
        for number, chunk in enumerate(iter(lambda: list(islice(pairs, options.shard)), [])):
            path = out / "parts" / f"{number:05d}.parquet"
            if not _is_done(path, key):
                images = list(dict.fromkeys(image for pair in chunk for image in (pair.ground, pair.overhead)))
                seen = pool.map(lambda image: _seen(root, image, out, options), images)
                known = dict(zip(images, seen, strict=True))
                rows = [_row(pair, known) for pair in chunk]
                write_table(path, pa.Table.from_pylist(rows, PART).replace_schema_metadata({"key": key}))
            yield path, unusable(path)


def unusable(path: Path) -> int:
    """How many pairs of a part cannot be used."""
    return sum(1 for reason in pq.read_table(path, columns=["reason"])["reason"].to_pylist() if reason)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file, all of it or nothing."""
    beside = path.with_name(f".{path.name}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, beside)
        beside.replace(path)


def _is_done(path: Path, key: str) -> bool:
    if not path.is_file():
        return False
    try:
        return (pq.read_schema(path).metadata or {}).get(b"key") == key.encode() and not unusable(path)
    except (pa.ArrowException, UnicodeDecodeError):  # torn by a power cut: it is made again
        return False


def _row(pair: Pair, known: Mapping[str, tuple[Seen, str]]) -> dict[str, Any]:
    row = _listed(pair)
    reasons: list[str] = []
    for view, image in zip(VIEWS, (pair.ground, pair.overhead), strict=True):
        seen, copy = known[image]
        reasons += [seen.reason] if seen.reason else []
        row |= {f"{view}_copy": copy, f"{view}_content": seen.sketch}
        row |= {f"{view}_width": seen.width, f"{view}_height": seen.height}
    return row | {"reason": reasons[0] if reasons else ""}


def _seen(root: Path, image: str, out: Path, options: Options) -> tuple[Seen, str]:
    """What a header says, or the whole file where that is asked for, and the path of the smaller copy where the image
    is over the cap."""
    seen, max_pixels = look(root / image), options.max_pixels
    if not seen.reason and options.decode and (reason := damage(root / image)):
        return Seen(reason), ""
    if seen.reason or not max_pixels or seen.width * seen.height <= max_pixels:
        return seen, ""
    copy = f"{COPIES}/{code(image):016x}{suffix(image)}"
    with disk_errors(out / copy):
        reason, width, height = shrink(root / image, out / copy, max_pixels)
    return (Seen(reason), "") if reason else (Seen("", width, height, seen.sketch), copy)


def _listed(pair: Pair) -> dict[str, Any]:
    return {
        "id": pair.id,
        "cluster": pair.cluster,
        "split": pair.split,
        "city": pair.city,
        "place": pair.place,
        "latitude": pair.latitude_deg,
        "longitude": pair.longitude_deg,
        "captured": pair.captured,
        "captured_s": _seconds(pair.captured),
        "heading_deg": pair.heading_deg,
        "elevation_m": pair.elevation_m,
        "covers": "|".join(pair.covers),
        "ground": pair.ground,
        "overhead": pair.overhead,
    }


def _seconds(captured: str) -> float | None:
    """Seconds since 1970 of a month's first day, a day or a moment; where no offset is given, as if in UTC."""
    if not captured:
        return None
    moment = datetime.fromisoformat(f"{captured}-01" if len(captured) == len("2019-05") else captured)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def columns_of(paths: Sequence[Path], names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The named columns of each part, as NumPy arrays or lists of text, one part after the other."""
    for path in paths:
        table = pq.read_table(path, columns=list(names))
        yield {name: table[name].to_pylist() for name in names}
