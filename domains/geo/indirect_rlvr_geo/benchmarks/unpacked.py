"""Reads data sets of the hub that `unpack` laid out: lines of JSON, lists written as Python, images in questions."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import View
from indirect_rlvr_geo.benchmarks.files import photo

LONGEST = 50_000
"""Characters of a list that is written as Python."""
MOST_IMAGES = 7
_IMAGE = re.compile(r"<image\s{0,3}([1-7])>")


def lines(path: Path, needed: Sequence[str]) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file, which all have the keys `needed`; raises DataError that names the line."""
    rows: list[dict[str, Any]] = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            row = json.loads(line)
            lacking = [key for key in needed if not isinstance(row, dict) or key not in row]
            if lacking:
                raise DataError(f"`{path}` line {number} has no `{lacking[0]}`; unpack the data set again")
            rows.append(row)
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read `{path}` as lines of JSON: {error}; unpack the data set again") from error
    return rows


def literal(written: object, of: type, place: str) -> Any:
    """A list or dict that a data set writes as Python ("['a', 'b']"), or has as such already.

    Only literals are read, nothing is evaluated. Raises DataError, which names `place`, for anything else.
    """
    value = written
    if isinstance(written, str) and len(written) <= LONGEST:
        try:
            value = ast.literal_eval(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise DataError(
                f"{place} is no Python literal: {type(error).__name__}; unpack the data set again"
            ) from None
    if not isinstance(value, of):
        raise DataError(f"{place} holds {type(value).__name__}; expected a {of.__name__}: unpack the data set again")
    return value


def letters(options: Sequence[object]) -> dict[str, str]:
    """ "A" → the first option, "B" → the second, …"""
    return {chr(ord("A") + number): str(option) for number, option in enumerate(options)}


def interleaved(folder: Path, text: str, row: Mapping[str, Any]) -> tuple[tuple[str | View, ...], tuple[str, ...]]:
    """A question's text with the images `image_1` … of its row where it says "<image 1>" …, and which are missing.

    Images that the text never names come first; a named image that the row lacks counts as missing.
    """
    pieces = _IMAGE.split(text)
    named = pieces[1::2]
    given = [str(number) for number in range(1, MOST_IMAGES + 1) if row.get(f"image_{number}")]
    views = {
        number: photo(folder, row.get(f"image_{number}") or f"image_{number}", "figure") for number in {*named, *given}
    }
    parts: list[str | View] = [views[number][0] for number in given if number not in named]
    for place, piece in enumerate(pieces):
        parts.append(views[piece][0] if place % 2 else piece)
    missing = tuple(name for number in sorted(views) for name in views[number][1])
    return tuple(part for part in parts if part != ""), missing
