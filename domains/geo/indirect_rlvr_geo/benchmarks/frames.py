"""The one place where boxes are converted from the frame in which the model saw an image to the pixels of its file.

A processor resizes images (Qwen2.5-VL to multiples of 28, so 512 becomes 504) and the model writes pixels of what it
saw. Comparing those with the file's pixels, as the released evaluations do, costs a perfect 20-pixel box half its IoU.
"""

from collections.abc import Sequence

from indirect_rlvr.types import Response
from indirect_rlvr_geo.benchmarks.boxes_in_text import Box

TOLERANCE = 1.0
"""Pixels by which a coordinate may leave the frame and is cut to it; farther out it is no coordinate of this image."""


def in_file_pixels(box: Box, response: Response, size: Sequence[int], image: int = 0) -> Box | None:
    """A box that the model wrote, in pixels of the file of `size` (width, height), or None where it is out of range.

    The frame is `response.frames[image]`, and the file's own size where frames are unknown. Corners the wrong way round
    stay so: such a box has no area.
    """
    frame = response.frames[image] if image < len(response.frames) else (size[0], size[1])
    if min(*frame, *size) <= 0:
        return None
    cut = []
    for value, side, target in zip(box, (*frame, *frame), (*size, *size), strict=True):
        if not -TOLERANCE <= value <= side + TOLERANCE:
            return None
        cut.append(min(max(value, 0.0), side) * target / side)
    return (cut[0], cut[1], cut[2], cut[3])


def from_grid(box: Box, size: Sequence[int], steps: int) -> Box | None:
    """A box on a grid from 0 to `steps` along each side, in pixels of the file of `size` (width, height)."""
    return in_file_pixels(box, Response("", ((steps, steps),)), size)


def on_grid(box: Sequence[float], size: Sequence[int], steps: int) -> Box:
    """A box in pixels of the file on the whole-number grid from 0 to `steps`; undoes `from_grid`."""
    sides = (*size, *size)
    cells = [float(round(value * steps / side)) for value, side in zip(box, sides, strict=True)]
    return (cells[0], cells[1], cells[2], cells[3])
