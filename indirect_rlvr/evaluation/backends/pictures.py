"""The images of a prompt as a model gets them: decoded, capped, and with their size known, for every backend."""

import base64
from collections.abc import Sequence
from io import BytesIO
from math import ceil, floor, sqrt
from pathlib import Path
from typing import Any

from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.backends.answers import Frames
from indirect_rlvr.training import dataset
from indirect_rlvr.types import Prompt


def problem(prompt: Prompt, folder: Path) -> str | None:
    """Why the prompt cannot be asked (an unreadable image, one outside `folder`, a control token), or None.

    Every image is decoded and let go.
    """
    try:
        dataset.messages(prompt)
        dataset.images(prompt, folder)
    except DataError as error:
        return str(error)
    return None


def shown(prompt: Prompt, folder: Path, max_pixels: int | None, multiple: int = 1) -> list[Image.Image]:
    """The prompt's images in reading order, upright RGB, each of the size that `fit` says.

    Raises DataError as `dataset.images` does.
    """
    return [_resized(image, max_pixels, multiple) for image in dataset.images(prompt, folder)]


def frames(images: Sequence[Image.Image]) -> Frames:
    """The (width, height) of each image in pixels."""
    return tuple(image.size for image in images)


def fit(width: int, height: int, max_pixels: int | None, multiple: int = 1) -> tuple[int, int]:
    """The (width, height) an image is shown at: at most `max_pixels`, in about its own proportions.

    With `multiple` above 1 both sides are multiples of it and there are at least 4·multiple² pixels, by the rule of
    Qwen2-VL's processor (`smart_resize`), which then leaves the image as it is. A very long image may exceed
    `max_pixels`, because no side is less than one multiple.
    """
    wide, high = (round(side / multiple) * multiple for side in (width, height))
    if max_pixels is not None and wide * high > max_pixels:
        shrink = sqrt(width * height / max_pixels)
        return _floor(width / shrink, multiple), _floor(height / shrink, multiple)
    if multiple > 1 and wide * high < 4 * multiple**2:
        grow = sqrt(4 * multiple**2 / (width * height))
        return ceil(width * grow / multiple) * multiple, ceil(height * grow / multiple) * multiple
    return wide, high


def chat_messages(prompt: Prompt, images: Sequence[Image.Image]) -> list[dict[str, Any]]:
    """The prompt as an OpenAI-compatible server reads it, images as PNG data URLs.

    Raises DataError where a text holds a control token.
    """
    (turn,) = dataset.messages(prompt)
    left = iter(images)
    content = [
        {"type": "image_url", "image_url": {"url": data_url(next(left))}} if part["type"] == "image" else part
        for part in turn["content"]
    ]
    return [{"role": "user", "content": content}]


def data_url(image: Image.Image) -> str:
    """The image as a PNG in a data URL; PNG because it loses nothing."""
    stream = BytesIO()
    image.save(stream, "PNG")
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def _floor(side: float, multiple: int) -> int:
    return max(multiple, floor(side / multiple) * multiple)


def _resized(image: Image.Image, max_pixels: int | None, multiple: int) -> Image.Image:
    size = fit(image.width, image.height, max_pixels, multiple)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)
