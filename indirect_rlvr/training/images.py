"""Images that know their content without being decoded: pixels are read when first asked for, and can be let go again.

A group has G rows with the same images, and every epoch has them again. TRL gets one object for each file; whoever has
the patches of a digest (`patches`) never asks for its pixels.
"""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
from PIL import Image, ImageOps

from indirect_rlvr.errors import DataError
from indirect_rlvr.training.dataset import FORMATS


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
            try:
                with Image.open(BytesIO(self._read()), formats=FORMATS) as image:
                    upright = ImageOps.exif_transpose(image).convert("RGB")
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                raise DataError(f"image {self._named()} cannot be decoded: {error}; write it again") from error
            self.im, self._size, self._holds_pixels = upright.im, upright.size, True
        return super().load()

    def release(self) -> None:
        """Let the pixels go; the next access decodes them again."""
        self.im = None  # type: ignore[assignment]
        self._holds_pixels = False

    def _read(self) -> bytes:
        if isinstance(self._source, bytes):
            return self._source
        try:
            return Path(self._source).read_bytes()
        except OSError as error:
            raise DataError(f"image {self._named()} cannot be read: {error.strerror}; mend the path") from error

    def _named(self) -> str:
        return f"of {len(self._source)} bytes" if isinstance(self._source, bytes) else f"`{self._source}`"

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


def shared(rows: datasets.Dataset) -> datasets.Dataset:
    """The same rows with each file of the column `images` as one `KnownImage`, in place of G fresh decodings a step."""
    known: dict[str, KnownImage] = {}

    def image(stored: dict[str, Any]) -> KnownImage:
        if stored["path"] is None:
            return KnownImage(stored["bytes"])
        if stored["path"] not in known:
            known[stored["path"]] = KnownImage(stored["bytes"] or stored["path"])
        return known[stored["path"]]

    def look(batch: dict[str, Any]) -> dict[str, Any]:
        return batch | {"images": [[image(stored) for stored in row] for row in batch["images"]]}

    undecoded = rows.cast_column("images", datasets.List(datasets.Image(decode=False)))
    return undecoded.with_transform(look)
