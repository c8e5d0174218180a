"""Strict readings of an answer that draws: lists of boxes and run-length masks, as JSON.

A Markdown fence around the JSON is allowed, prose is not. Every number must be finite, and an answer of more than
`LONGEST` characters or `MOST` shapes is not read.
"""

import json
from dataclasses import dataclass

import numpy as np

from indirect_rlvr.rewards.geometry import Floats, Integers, run_boundaries

LONGEST = 200_000
"""Characters of an answer that is read at all."""
MOST = 1000
"""Boxes of an answer that is read at all."""
_FARTHEST = 1e9


@dataclass(frozen=True, slots=True)
class Boxes:
    """N boxes as rows (x1, y1, x2, y2), (N, 4), and the label of each, case folded, "" where none was given."""

    corners: Floats
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask of `height` × `width` pixels, by the boundaries of its runs down the columns, background first."""

    height: int
    width: int
    boundaries: Integers


def parse_boxes(text: str) -> Boxes | None:
    """The boxes of an answer: `[x1, y1, x2, y2]`, a list of such, `{"bbox_2d": […], "label": "…"}` or a list of these.

    "None" and an empty list are no boxes, which can be right. Anything else is None.
    """
    if text.strip().strip("*.\"'").casefold() == "none":
        return boxes_of([])
    return boxes_of(_json(text))


def boxes_of(value: object) -> Boxes | None:
    """Boxes from the JSON value that `parse_boxes` describes; None for any other."""
    if _is_box(value) or isinstance(value, dict):
        value = [value]
    if not isinstance(value, (list, tuple)) or len(value) > MOST:
        return None
    corners, labels = [], []
    for item in value:
        label, box = (item.get("label", ""), item.get("bbox_2d")) if isinstance(item, dict) else ("", item)
        if not _is_box(box) or not isinstance(label, str):
            return None
        corners.append(box)
        labels.append(" ".join(label.casefold().split()))
    return Boxes(np.array(corners, dtype=np.float64).reshape(-1, 4), tuple(labels))


def parse_mask(text: str) -> Mask | None:
    """The mask of an answer `{"size": [height, width], "counts": […]}`, COCO's run lengths as `mask_of` reads them, or
    None."""
    return mask_of(_json(text))


def mask_of(value: object) -> Mask | None:
    """A mask from its JSON value, or None where sizes and runs are not whole, not negative and do not add up.

    `counts` may also be COCO's compressed text.
    """
    if not isinstance(value, dict) or value.keys() != {"size", "counts"}:
        return None
    size, counts = value["size"], value["counts"]
    sides, runs = _whole(size), _whole(decompress(counts) if isinstance(counts, str) else counts)
    if not sides or not runs or len(sides) != 2 or sum(runs) != sides[0] * sides[1]:
        return None
    return Mask(sides[0], sides[1], run_boundaries(runs))


def decompress(text: str) -> list[int] | None:
    """The run lengths of COCO's compressed text (pycocotools, `rleFrString`), or None where it is not one.

    Groups of five bits, lowest first, each a character from "0" on; from the fourth run on a difference to the run two
    before it.
    """
    runs: list[int] = []
    value = shift = 0
    for char in text:
        code = ord(char) - 48
        if not 0 <= code < 64 or shift > 30:
            return None
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        value -= (1 << shift) if code & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs


def runs_of(mask_HW: np.ndarray) -> dict[str, object]:
    """An array of zeros and others as the run-length JSON that `mask_of` reads."""
    flat = np.concatenate([[False], np.asarray(mask_HW, dtype=np.bool_).ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    ends = changes if len(changes) and changes[-1] == mask_HW.size else np.append(changes, mask_HW.size)
    return {"size": list(mask_HW.shape), "counts": np.diff(ends, prepend=0).tolist()}


def _json(text: str) -> object:
    stripped = text.strip()
    if len(stripped) > LONGEST:
        return None
    if stripped.startswith("```") and stripped.endswith("```") and len(stripped) > 6:
        stripped = stripped[3:-3].removeprefix("json")
    try:
        return json.loads(stripped)
    except (ValueError, RecursionError):
        return None


def _is_box(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 4
        and all(isinstance(side, (int, float)) and not isinstance(side, bool) for side in value)
        and all(abs(side) <= _FARTHEST for side in value)
    )


def _whole(values: object) -> list[int] | None:
    """The values where they are a list of whole numbers from 0 on, and not so large that their sum could overflow."""
    if not isinstance(values, (list, tuple)):
        return None
    whole = all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 2**31 for v in values)
    return list(values) if whole else None
