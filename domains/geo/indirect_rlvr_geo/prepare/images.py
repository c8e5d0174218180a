"""An image file judged by its header and its last bytes, without decoding it; and its smaller copy, which does decode.

Damage in the middle of a file is found where `decode` asks for it, else by the run, which decodes every image. Much of
it is found by nobody: where the data of a JPEG end or go wrong, its decoder may draw grey and go on.
"""

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image, ImageFile, ImageOps, TiffImagePlugin

from indirect_rlvr.data.records import FORMATS, MAX_PIXELS, is_deep

MISSING, EMPTY, CUT_OFF = "image is missing or unreadable", "image is empty", "image is cut off"
NO_IMAGE, TOO_LARGE = "no raster image", f"image of more than {MAX_PIXELS:,} pixels"
DEEP = "image of more than 8 bits a channel, to be scaled to 8"
BANDS = "TIFF of a layout of bands that cannot be read, to be written as red, green and blue pixel by pixel"
DAMAGED, HOLLOW = "image that does not decode", "JPEG with a gap of zeros, as unfinished downloads leave"
SMALLEST, TOO_SMALL = 28, "image is smaller than 28 pixels"
"""One visual token of Qwen2.5-VL covers 28 by 28 pixels."""
_HEAD, _TAIL = 16_384, 4096
_ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
_TIFF_OFFSETS, _TIFF_COUNTS = (273, 324), (279, 325)
_QUALITY = 95
_GAP = bytes(4096)
"""A page of the disk that was never written; no photo's compressed data holds one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a header says: pixels of the upright image, and a sketch of the content (16 hexadecimal digits of size,
    first and last bytes).

    Where `reason` is not "", the image cannot be used, and the rest is empty.
    """

    reason: str = ""
    width: int = 0
    height: int = 0
    sketch: str = ""


def look(path: Path) -> Seen:
    """Read the header of one image; every way in which it cannot be used is a reason, never an error."""
    try:
        with path.open("rb") as stream:
            return _read(stream)
    except OSError:
        return Seen(MISSING)


def _read(stream: BinaryIO) -> Seen:
    size = os.fstat(stream.fileno()).st_size
    if not size:
        return Seen(EMPTY)
    head = stream.read(_HEAD)
    stream.seek(max(0, size - _TAIL))
    tail = stream.read(_TAIL)
    stream.seek(0)
    try:
        with Image.open(stream, formats=FORMATS) as image:
            reason = _reason(image, head, tail, size)
            known = image.format != "PNG" or "exif" in image.info  # a PNG may say it after its pixels
            width, height = image.size[::-1] if known and _lies_on_its_side(image) else image.size
    except Image.DecompressionBombError:
        return Seen(TOO_LARGE)
    except Exception:  # decoders raise anything on torn bytes
        return Seen(BANDS if _is_whole_tiff(stream, size) else NO_IMAGE)
    sketch = hashlib.blake2b(size.to_bytes(8, "big") + head + tail, digest_size=8).hexdigest()
    return Seen(reason) if reason else Seen("", width, height, sketch)


def _reason(image: ImageFile.ImageFile, head: bytes, tail: bytes, size: int) -> str:
    if image.width * image.height > MAX_PIXELS:
        return TOO_LARGE
    if min(image.size) < SMALLEST:
        return TOO_SMALL
    if is_deep(image):
        return DEEP
    return CUT_OFF if _is_cut(image, head, tail, size) else ""


def _is_cut(image: Image.Image, head: bytes, tail: bytes, size: int) -> bool:
    kind = str(image.format)
    if kind in _ENDS:
        return _ENDS[kind] not in tail  # some cameras write on after the end, so it need not be the last
    if kind == "WEBP":
        return int.from_bytes(head[4:8], "little") + 8 > size
    if kind == "BMP":
        return int.from_bytes(head[2:6], "little") > size
    return _pixels_end(image.tag_v2) > size  # type: ignore[attr-defined]  # of the FORMATS, TIFF is left


def _pixels_end(tags: TiffImagePlugin.ImageFileDirectory_v2) -> int:
    """The byte after a TIFF's last strip or tile; 0 where it has none."""
    offsets, counts = ([n for tag in which for n in tags.get(tag, ())] for which in (_TIFF_OFFSETS, _TIFF_COUNTS))
    return max((offset + count for offset, count in zip(offsets, counts, strict=True)), default=0)


def _is_whole_tiff(stream: BinaryIO, size: int) -> bool:
    """Whether this is a TIFF with all its pixels, so that it is their layout that keeps it from being opened."""
    try:
        stream.seek(0)
        tags = TiffImagePlugin.ImageFileDirectory_v2(stream.read(8))
        stream.seek(tags.next)
        tags.load(stream)
        return 0 < _pixels_end(tags) <= size
    except Exception:  # what is no TIFF raises anything
        return False


def _lies_on_its_side(image: Image.Image) -> bool:
    """Whether the camera says that rows are columns (EXIF orientation 5 to 8); Pillow turns a TIFF's size by itself."""
    return image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)


def damage(path: Path) -> str:
    """Why an image whose header is fine cannot be used, by its whole file: read and decoded; "" where it can."""
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            hollow = image.format == "JPEG" and _GAP in data
            image.load()
    except Exception:  # decoders raise anything on torn bytes
        return DAMAGED
    return HOLLOW if hollow else ""


def content(path: Path) -> str:
    """16 hexadecimal digits of a digest of all bytes, for files whose sketches agree."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def capped(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """The largest size of about the same shape that has at most `max_pixels`, each side at least one pixel."""
    share = (max_pixels / (width * height)) ** 0.5
    return max(1, int(width * share)), max(1, int(height * share))


def shrink(source: Path, target: Path, max_pixels: int) -> tuple[str, int, int]:
    """Write a copy of at most `max_pixels` beside nothing else: (reason why not, width, height).

    JPEG stays JPEG (quality 95), everything else becomes PNG, both upright and in RGB; `target` must have the suffix
    that `suffix` gives.
    """
    try:
        with Image.open(source, formats=FORMATS) as image:
            size = capped(*image.size, max_pixels)
            if image.format == "JPEG":
                image.draft("RGB", (2 * size[0], 2 * size[1]))  # decodes at a half, a quarter or an eighth: much faster
            size = size[::-1] if _lies_on_its_side(image) else size
            small = ImageOps.exif_transpose(image).convert("RGB").resize(size, Image.Resampling.LANCZOS)
    except Exception:  # decoders raise anything on torn bytes
        return DAMAGED, 0, 0
    data = io.BytesIO()
    small.save(
        data, "JPEG" if target.suffix == ".jpg" else "PNG", **({"quality": _QUALITY} if target.suffix == ".jpg" else {})
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".tmp")
    beside.write_bytes(data.getvalue())
    beside.replace(target)
    return "", *size


def suffix(path: str) -> str:
    """The suffix of a copy of that image."""
    return ".jpg" if path.lower().endswith((".jpg", ".jpeg")) else ".png"
