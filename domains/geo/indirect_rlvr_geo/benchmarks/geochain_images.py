"""Cuts the bottom rows with Mapillary's mark off GeoChain's images, once, into a folder beside them.

    python -m indirect_rlvr_geo.benchmarks.geochain_images DATA_ROOT/geochain

A view is a path, so the official loader's crop is a step of the layout: what is not cropped is asked as it is, under
the flag "watermark not cropped".
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from indirect_rlvr.data.records import FORMATS, MAX_PIXELS
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr_geo.benchmarks.alone import command

CROPPED = "cropped"
ROWS = 30
"""Rows of pixels at the bottom that the official loader cuts off."""


def crop(folder: Path) -> int:
    """Write a copy without its last `ROWS` rows of every `CITY/SUB/images/*.jpg`; returns how many are new.

    Raises DataError for a folder without images, and for an image that cannot be read or has no more rows than that.
    """
    new, paths = 0, sorted(folder.glob("*/*/images/*.jpg"))
    if not paths:
        raise DataError(
            f"`{folder}` has no CITY/SUB_FOLDER/images/KEY.jpg; unpack Mapillary Street-level Sequences there"
        )
    for path in paths:
        target = folder / CROPPED / path.relative_to(folder)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        _crop(path, target)
        new += 1
    return new


def main(arguments: Sequence[str]) -> int:
    """Crop the images below the one folder that is named; raises ConfigError for other arguments."""
    if len(arguments) != 1:
        raise ConfigError(f"expected the folder of GeoChain, got {list(arguments)}")
    return crop(Path(arguments[0]))


def _crop(path: Path, target: Path) -> None:
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.height <= ROWS:
                raise DataError(f"it has {image.height} rows; expected more than {ROWS}")
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"it is {image.width}x{image.height}; at most {MAX_PIXELS} pixels are decoded")
            cut = image.convert("RGB").crop((0, 0, image.width, image.height - ROWS))
    except Exception as error:  # decoders raise anything on torn bytes
        raise DataError(f"`{path}` cannot be read as an image: {error}; download it again") from error
    unfinished = target.with_suffix(".part")
    cut.save(unfinished, "JPEG", quality=95, subsampling=0)
    unfinished.replace(target)


if __name__ == "__main__":
    command(main, "images cropped")
