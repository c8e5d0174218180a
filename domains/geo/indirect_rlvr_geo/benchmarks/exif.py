"""Where a photo says it was taken: the GPS position in its EXIF data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from indirect_rlvr.data.records import FORMATS
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.quantities import Coordinates

_GPS = 0x8825
_LATITUDE, _LONGITUDE = (2, 1, "NS"), (4, 3, "EW")
"""Tag of degrees, minutes and seconds; tag of the side; the sides, the positive one first."""


def photo_position(path: Path) -> Coordinates | None:
    """The position in degrees, None where the photo has none or a broken one. Only the header is read.

    Raises DataError where the file is no photo.
    """
    try:
        with Image.open(path, formats=FORMATS) as photo:
            tags = photo.getexif().get_ifd(_GPS)
    except Exception as error:  # decoders raise anything on torn bytes
        raise DataError(f"`{path}` is no photo that can be read: {type(error).__name__}: {error}; remove it") from error
    latitude, longitude = (_degrees(tags, *axis) for axis in (_LATITUDE, _LONGITUDE))
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return Coordinates(latitude, longitude)


def _degrees(tags: Mapping[int, Any], value: int, side: int, sides: str) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in tags[value])
        sign = (1, -1)[sides.index(str(tags[side]).strip("\0 ").upper()[:1] or "?")]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    total = sign * (degrees + minutes / 60 + seconds / 3600)
    return total if abs(total) <= 180 else None  # not so for NaN, which a 0/0 in the file becomes
