"""Finds boxes in what a model wrote: JSON lists, one bracketed list of four numbers, the grid of VRSBench.

Everything is linear in the text and nothing raises on it. What is read is the last complete `<answer>`, and the whole
text where there is none, for every model alike; `released_box` alone does as its source does.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr_geo.benchmarks.short_answers import first_answer

Box = tuple[float, float, float, float]
MOST = 1000
"""Boxes of an answer that is read at all."""
_FARTHEST = 1e9

_NUMBER = r"[-+]?\d{1,9}(?:\.\d{1,18})?"
_FOUR = re.compile(r"\[\s*+(?:" + r"\s*+,\s*+".join([f"({_NUMBER})"] * 4) + r")\s*+\]")
_RELEASED = re.compile(r"\[" + r",\s*+".join([r"(\d{1,9})"] * 4) + r"\]")
_GRID = re.compile(r"<(\d{1,3})>\s*+<(\d{1,3})>\s*+<(\d{1,3})>\s*+<(\d{1,3})>")
_OPENING = re.compile(r"[\[{]\s*+[\[{\]}\"\d-]")
_FENCE = "```"


def answer_part(text: str) -> str:
    """The last complete `<answer>…</answer>`, or the whole text where there is none."""
    found = last_answer(text)
    return text if found is None else found


def one_box(text: str) -> Box | None:
    """The last `[x1, y1, x2, y2]` of the answer, as the model wrote it, or None."""
    return _last(_FOUR, answer_part(text))


def grid_box(text: str) -> Box | None:
    """The last `{<x1><y1><x2><y2>}` of the answer, on VRSBench's grid from 0 to 100, or None."""
    found = _last(_GRID, answer_part(text))
    return found if found and max(found) <= 100 else None


def released_box(text: str) -> Box | None:
    """The box that the released reader of arXiv 2509.21976 finds: in the first `<answer>` the last list of four whole
    numbers inside braces, spaces behind its commas alone; none without the tag."""
    answer = first_answer(text)
    if answer is None:
        return None
    start, end = answer.find("{"), answer.rfind("}")
    return _last(_RELEASED, answer[start:end]) if 0 <= start < end else None


def many_boxes(text: str) -> list[tuple[Box, str]] | None:
    """(box, label) of every item of the JSON list in the answer, in order; [] for "None", None for anything else.

    The list is the content of the last fenced block, or else what starts at the first bracket that starts JSON. Items
    are `{"bbox_2d": [x1, y1, x2, y2], "label": "…"}` or bare lists of four; an item whose box is not four numbers is
    one box without area, so that it still counts as said. Cut-off JSON is no list.
    """
    answer = answer_part(text)
    value = _json_in(answer)
    if isinstance(value, dict) or box_of(value):
        value = [value]
    if not isinstance(value, list):
        return [] if _says_none(answer) else None
    return [_item(item) for item in value] if len(value) <= MOST else None


def box_of(value: object) -> Box | None:
    """A box from a JSON value: a list of four finite numbers; None for any other."""
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    numbers = [
        float(v) for v in value if isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < _FARTHEST
    ]
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        return None
    return (numbers[0], numbers[1], numbers[2], numbers[3])


def _last(pattern: re.Pattern[str], text: str) -> Box | None:
    found = None
    for match in pattern.finditer(text):
        found = match
    return None if found is None else (float(found[1]), float(found[2]), float(found[3]), float(found[4]))


def _json_in(text: str) -> object:
    for part in _fenced(text):
        value = _decoded(part, 0)
        if isinstance(value, (list, dict)):
            return value
    starts = _OPENING.search(text)
    return _decoded(text, starts.start()) if starts else None


def _fenced(text: str) -> list[str]:
    """The content of the last complete fenced block, without the word "json"."""
    end = text.rfind(_FENCE)
    start = text.rfind(_FENCE, 0, max(end, 0))
    return [text[start + 3 : end].removeprefix("json").strip()] if start >= 0 else []


def _decoded(text: str, start: int) -> object:
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None


def _says_none(answer: str) -> bool:
    words = answer.rsplit(maxsplit=1)
    return bool(words) and words[-1].strip("`*.\"'()").casefold() == "none"


def _item(item: object) -> tuple[Box, str]:
    written: Mapping[str, Any] = item if isinstance(item, dict) else {"bbox_2d": item}
    label = written.get("label", "")
    return box_of(written.get("bbox_2d")) or (0.0, 0.0, 0.0, 0.0), label if isinstance(label, str) else ""
