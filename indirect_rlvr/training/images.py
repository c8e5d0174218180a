"""Images that know their content without being decoded: pixels are read when first asked for, and can be let go again.

A group has G rows with the same images, and every epoch has them again. TRL gets one object for each file; whoever has
the patches of a digest (`patches`) never asks for its pixels.
"""

import hashlib
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
from PIL import Image, ImageOps

from indirect_rlvr.data.records import FORMATS, MAX_PIXELS
from indirect_rlvr.errors import DataError


class KnownImage(Image.Image):
    """An upright RGB image of a file; `digest` is that of the file's bytes. Not to be drawn on.

    Its file is read once for the digest and decoded at the first access to size or pixels. Equal by digest, its own
    copy. Raises DataError where the file cannot be read or decoded.
    """

    def __init__(self, source: str | bytes) -> None:
        super().__init__()
        self._source, self._mode, self._holds_pixels = source, "RGB", False
        self.digest = hashlib.blake2b(self._read(), digest_size=20).hexdigest()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels; decodes, since a PNG may say which way is up after its pixels."""
        self.load()
        return self._size

    def load(self) -> Any:
        """Decode, unless it is decoded already."""
        if not self._holds_pixels:
            upright = _upright(self._read(), _named(self._source))
            self.im, self._size, self._holds_pixels = upright.im, upright.size, True
        return super().load()

    def release(self) -> None:
        """Let the pixels go; the next access decodes them again."""
        self.im = None  # type: ignore[assignment]
        self._holds_pixels = False

    def _read(self) -> bytes:
        return _bytes(self._source)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownImage) and other.digest == self.digest

    __hash__ = None  # type: ignore[assignment]

    def __deepcopy__(self, memo: dict[int, Any]) -> "KnownImage":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return KnownImage, (self._source,)


def content_digest(image: Image.Image) -> str:
    """What an image is, in hexadecimal: of the file where it is known, else of mode, size and pixels."""
    if isinstance(image, KnownImage):
        return image.digest
    whole = hashlib.blake2b(f"{image.mode} {image.size} ".encode(), digest_size=20)
    whole.update(image.tobytes())
    return whole.hexdigest()


def decoded(rows: datasets.Dataset) -> datasets.Dataset:
    """The same rows, whose images are decoded, upright and in RGB, when a row is asked for, and let go with it.

    Raises DataError that names the file where one cannot be read or decoded by then.
    """
    return _looked_at(rows, lambda stored: _upright(_bytes(_source(stored)), _named(_source(stored))))


def shared(rows: datasets.Dataset) -> datasets.Dataset:
    """The same rows with each file of the column `images` as one `KnownImage`, in place of G fresh decodings a step."""
    known: dict[str, KnownImage] = {}

    def image(stored: dict[str, Any]) -> KnownImage:
        if stored["path"] is None:
            return KnownImage(stored["bytes"])
        if stored["path"] not in known:
            known[stored["path"]] = KnownImage(_source(stored))
        return known[stored["path"]]

    return _looked_at(rows, image)


def _looked_at(rows: datasets.Dataset, image: Callable[[dict[str, Any]], Image.Image]) -> datasets.Dataset:
    def look(batch: dict[str, Any]) -> dict[str, Any]:
        if "images" not in batch:  # another column alone was asked for
            return batch
        return batch | {"images": [[image(stored) for stored in row] for row in batch["images"]]}

    return undecoded(rows).with_transform(look)


def undecoded(rows: datasets.Dataset) -> datasets.Dataset:
    """The same rows, whose images are {"path", "bytes"} as the data set holds them."""
    return rows.with_format(None).cast_column("images", datasets.List(datasets.Image(decode=False)))


def _source(stored: dict[str, Any]) -> str | bytes:
    """What the data set holds of an image: its bytes where it has them, else its path."""
    found: str | bytes = stored["bytes"] or stored["path"]
    return found


def _bytes(source: str | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise DataError(f"image {_named(source)} cannot be read: {error.strerror}; mend the path") from error


def _upright(data: bytes, named: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on bombs, for which MAX_PIXELS is stricter, and on odd metadata
            with Image.open(BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise DataError(f"it has {image.width}x{image.height} pixels, more than {MAX_PIXELS}")
                return ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # decoders raise anything on torn bytes
        raise DataError(f"image {named} cannot be decoded: {error}; write it again") from error


def _named(source: str | bytes) -> str:
    return f"of {len(source)} bytes" if isinstance(source, bytes) else f"`{source}`"
