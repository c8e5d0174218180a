"""Views as they go into the page: images decoded, scaled down and written again as data URIs, texts quoted."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path

from PIL import Image

from indirect_rlvr.data.records import open_image
from indirect_rlvr.reporting.markup import Html, element
from indirect_rlvr.types import View

SIDE = 480
"""Longest side of a picture in the page, in pixels."""
PHOTO = 256
"""A picture with a longer side than this is written as JPEG, a smaller one as PNG."""


def show(view: View, folder: Path, description: str) -> Html:
    """One view; `description` says what it is to those who do not see it.

    Images are written anew, so that nothing but pixels reaches the page: no position, no comment, no trailing bytes.
    Raises DataError where an image of `folder` cannot be read.
    """
    if view.modality == "text":
        return element("blockquote", {"class": "view"}, view.content)
    picture = open_image(folder, view.content)
    picture.info.clear()
    picture.thumbnail((SIDE, SIDE))
    kind = "JPEG" if max(picture.size) > PHOTO else "PNG"
    attributes = {
        "class": "view", "alt": description, "width": picture.width, "height": picture.height,
        "src": Html(f"data:image/{kind.lower()};base64,{_encoded(picture, kind)}"),
    }  # fmt: skip
    return element("img", attributes)


def _encoded(picture: Image.Image, kind: str) -> str:
    stream = BytesIO()
    picture.save(stream, kind, optimize=True, quality=85)
    return b64encode(stream.getvalue()).decode()
