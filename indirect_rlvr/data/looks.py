"""What can be measured of a view without understanding it: size, compression, colour, exposure, a thumbnail, a hash.

Each file is read once; the measurements are kept in memory for all that ask.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from indirect_rlvr.data import phash
from indirect_rlvr.data.records import FORMATS, image_path, open_image
from indirect_rlvr.run import file_digest
from indirect_rlvr.types import View

Floats = NDArray[np.float64]

THUMBNAIL = 8
"""Side, in pixels, of the thumbnail."""

NUISANCES = (
    "file size", "width", "height", "JPEG tables", "red", "green", "blue", "brightness", "contrast", "clipped pixels",
    "text length",
)  # fmt: skip
"""What `Look.nuisance` holds, in order: log bytes of the file, pixels, the sum of the quantisation tables (0 without),
mean channels and their mean in [0, 1], the standard deviation of grey, the share of pixels at 0 or 255, log bytes of a
text. Of the other modality all are 0."""

COLOUR = [NUISANCES.index(name) for name in ("red", "green", "blue", "contrast")]


@dataclass(frozen=True, slots=True)
class Look:
    """One view, measured: `nuisance` as in NUISANCES, `shown` is the thumbnail or the histogram of bytes; of an image
    also its small grey picture and the perceptual hash of that, both None for a text."""

    digest: str
    nuisance: Floats
    shown: Floats
    grey: phash.Greys | None = None
    hash: int | None = None


class Looks:
    """The measurements of views whose images lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[tuple[str, str], Look] = {}

    def of(self, view: View) -> Look:
        """The measurements of one view; raises DataError where its image cannot be read."""
        key = (view.modality, view.content)
        if key not in self._known:
            self._known[key] = _image(self.folder, view.content) if view.modality == "image" else _text(view.content)
        return self._known[key]


def same_picture(one: Look, other: Look) -> bool:
    """Whether two images look the same though their bytes may differ; a text never does."""
    if one.hash is None or other.hash is None or one.grey is None or other.grey is None:
        return False
    return (one.hash ^ other.hash).bit_count() <= phash.NEAR and phash.alike(one.grey, other.grey)


def _image(folder: Path, content: str) -> Look:
    path = image_path(folder, content)
    picture = open_image(folder, content)
    red, green, blue = (np.asarray(channel).ravel() for channel in picture.split())
    levels = np.arange(256) / 255
    means = [float(np.bincount(channel, minlength=256) @ levels) / len(channel) for channel in (red, green, blue)]
    counts = np.bincount(red.astype(np.uint16) + green + blue, minlength=766) / len(red)
    spread = np.sqrt(counts @ (np.arange(766) / 765 - np.mean(means)) ** 2)
    ends = (channel - np.uint8(1) >= 254 for channel in (red, green, blue))  # 0 wraps to 255, and 255 is 254 then
    clipped = np.logical_and.reduce(list(ends)).mean()
    nuisance = [np.log1p(path.stat().st_size), *picture.size, _tables(path), *means, np.mean(means)]
    small = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    values = phash.grey(picture)
    return Look(
        digest=file_digest(path),
        nuisance=np.array([*nuisance, spread, clipped, 0.0]),
        shown=np.concatenate([np.asarray(small, dtype=np.float64).ravel() / 255, np.zeros(256)]),
        grey=values,
        hash=phash.hashed(values),
    )


def _tables(path: Path) -> float:
    """The sum of a JPEG's quantisation tables: another encoder or quality, another sum. Read from the header alone."""
    with Image.open(path, formats=FORMATS) as header:
        if not isinstance(header, JpegImageFile):
            return 0.0
        return float(sum(sum(table) for table in header.quantization.values()))


def _text(content: str) -> Look:
    raw = content.encode()
    histogram = np.bincount(np.frombuffer(raw, dtype=np.uint8), minlength=256) / max(1, len(raw))
    nuisance = np.zeros(len(NUISANCES))
    nuisance[-1] = np.log1p(len(raw))
    return Look(hashlib.sha256(raw).hexdigest(), nuisance, np.concatenate([np.zeros(3 * THUMBNAIL**2), histogram]))
