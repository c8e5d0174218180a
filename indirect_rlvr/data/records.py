"""Load, validate and de-duplicate records, and keep them as JSON lines; nothing random happens here.

Views are untrusted: an image must lie inside the records folder, be of a plain raster format and really decode.
"""

import hashlib
import math
import warnings
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageFile, ImageOps

from indirect_rlvr.data import stored
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import MEND, file_digest, read_jsonl, write_jsonl
from indirect_rlvr.types import Record, View

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
"""Raster formats alone: formats that call other programs (EPS) or hold scripts are never opened."""

MAX_PIXELS = 50_000_000
"""Width times height at most, read from the header before any pixel is decoded."""

EIGHT_BIT_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes that turn into RGB without loss of depth."""

LONGEST_NAME = 500
"""Characters of an id or a cluster at most."""

DUPLICATE = "duplicate content"


def load(rows: Iterable[Record], folder: Path) -> tuple[list[Record], dict[str, int]]:
    """Every record checked as it comes, and how many were dropped: a record all of whose views are byte-identical to
    those of an earlier record is a duplicate.

    Raises DataError that names record, field and value for anything unusable.
    """
    records: list[Record] = []
    ids: set[str] = set()
    contents: set[tuple[tuple[str, str], ...]] = set()
    duplicates = 0
    for number, record in enumerate(rows):
        _check_names(record, number)
        if record.id in ids:
            raise DataError(f"record `{record.id}` comes twice (again as number {number}); give each an id of its own")
        ids.add(record.id)
        _check_facts(record)
        content = _check_views(record, folder)
        if content in contents:
            duplicates += 1
            continue
        contents.add(content)
        records.append(record)
    if not records:
        raise DataError("`load_records` gave no record; check the paths and filters in [records]")
    return records, {DUPLICATE: duplicates}


def image_path(folder: Path, content: str) -> Path:
    """The file an image view names, proven to be a file inside `folder`, symbolic links followed.

    Raises DataError for an absolute path, a `..`, a link that leads outside, or no file.
    """
    parts = Path(content).parts
    if not parts or Path(content).is_absolute() or ".." in parts:
        raise DataError(f"image path {content!r:.200} is not a relative path inside the records folder without `..`")
    try:
        path = (folder / content).resolve()
        inside = path.is_relative_to(folder.resolve())
        found = path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"image path {content!r:.200} cannot be followed: {error!s:.200}") from error
    if not inside:
        raise DataError(f"image path {content!r:.200} leads outside the records folder `{folder}`; copy it there")
    if not found:
        raise DataError(f"image {content!r:.200} is not a file in `{folder}`; write it before the record is given")
    return path


def open_image(folder: Path, content: str) -> Image.Image:
    """The image a view names, fully decoded, upright and in RGB; of an animation the first frame.

    Raises DataError where `image_path` does, where the file is no raster image, is torn, or has over 50 megapixels.
    """
    path = image_path(folder, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on bombs, for which MAX_PIXELS is stricter, and on odd metadata
            with Image.open(path, formats=FORMATS) as image:
                pixels = image.width * image.height
                decoded = ImageOps.exif_transpose(image).convert("RGB") if pixels <= MAX_PIXELS else None
    except Image.DecompressionBombError as error:
        raise DataError(f"image {content!r:.200} has more than {MAX_PIXELS} pixels: {error} Scale it down") from error
    except Exception as error:  # decoders raise anything on torn bytes
        raise DataError(
            f"image {content!r:.200} does not decode: {type(error).__name__}: {error}; expected one of "
            f"{', '.join(FORMATS)}; write it again"
        ) from error
    if decoded is None:
        raise DataError(f"image {content!r:.200} has {pixels} pixels, more than {MAX_PIXELS}; scale it down")
    return decoded


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an image, opened and not loaded, has more than 8 bits a channel, which Pillow would clip or cut off."""
    layout = str([tile[3] for tile in image.tile]) if image.format in ("PNG", "TIFF") else ""
    return image.mode not in EIGHT_BIT_MODES or ";16" in layout


def _check_names(record: object, number: int) -> None:
    if not isinstance(record, Record):
        raise DataError(f"`load_records` gave a {type(record).__name__} as number {number}; expected a Record")
    for name, value in (("id", record.id), ("cluster", record.cluster)):
        if isinstance(value, str) and len(value) > LONGEST_NAME:
            raise DataError(
                f"record number {number}: `{name}` has {len(value)} characters, over {LONGEST_NAME}; shorten it"
            )
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise DataError(
                f"record `{record.id}` (number {number}): `{name}` is {value!r:.200}; expected non-empty printable text"
            )
    if record.split not in ("", "train", "test"):
        raise DataError(f"record `{record.id}`: `split` is {record.split!r}; expected 'train', 'test' or ''")


def _check_facts(record: Record) -> None:
    for name, value in record.facts.items():
        place = f"record `{record.id}`: fact `{name!s:.200}` is {value!r:.200}"
        if not isinstance(name, str) or not _is_text(name):
            raise DataError(f"{place}; expected the name of a fact to be text")
        if not isinstance(value, (str, bool, int, float)):
            raise DataError(f"{place} of type {type(value).__name__}; expected text, a number or a boolean of Python")
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"{place}; expected a finite number; leave the fact out where it is not known")
        if isinstance(value, str) and not _is_text(value):
            raise DataError(f"{place}; expected text that UTF-8 can hold; decode the source with its right encoding")


def _check_views(record: Record, folder: Path) -> tuple[tuple[str, str], ...]:
    """What the record shows, as (name, digest) pairs."""
    if not record.views:
        raise DataError(f"record `{record.id}` has no view; give it at least one, or do not give the record")
    return tuple(sorted((name, _check_view(record, name, view, folder)) for name, view in record.views.items()))


def _check_view(record: Record, name: str, view: object, folder: Path) -> str:
    place = f"record `{record.id}`: view `{name!s:.200}`"
    if not isinstance(view, View) or view.modality not in ("image", "text"):
        raise DataError(f"{place} is {view!r:.400}; expected a View whose modality is 'image' or 'text'")
    if not isinstance(view.content, str) or not view.content.strip() or not _is_text(view.content):
        raise DataError(f"{place} has the content {view.content!r:.200}; expected non-empty text that UTF-8 can hold")
    if view.modality == "text":
        return hashlib.sha256(view.content.encode()).hexdigest()
    try:
        open_image(folder, view.content)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    path = image_path(folder, view.content)
    with Image.open(path, formats=FORMATS) as header:
        if is_deep(header):
            raise DataError(
                f"{place}: image {view.content!r:.200} has more than 8 bits a channel ({header.mode}); scale it to 8"
            )
    return file_digest(path)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def save(path: Path, records: Iterable[Record]) -> int:
    """Write one record per line, atomically; returns their number."""
    return write_jsonl(path, records)


def read(path: Path) -> list[Record]:
    """The records that `save` wrote, equal to what they were; raises DataError that names file and line."""
    records = []
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            records.append(stored.record(row))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"`{path}` line {number} is not a record: {type(error).__name__}: {error!s:.300}; {MEND}"
            ) from error
    return records
