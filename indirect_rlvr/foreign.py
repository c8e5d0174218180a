"""Parses JSON that somebody else may have written, within bounds: depth, finite numbers, text that UTF-8 can hold.

What is beyond them is a ValueError with one line, as broken JSON is, so that nothing behind this door meets a value
that only some of its steps can hold.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

DEPTH = 64
"""Objects and lists inside each other at most; what this project writes has a dozen."""

_TOO_DEEP = f"more than {DEPTH} objects and lists inside each other"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def loads(text: str, halves: bool = False) -> Any:
    """`text` as JSON; with `halves` it may hold halves of surrogate pairs, which models do write.

    Raises ValueError where it is not JSON, or out of bounds; linear in the text.
    """
    try:
        value = json.loads(text, parse_constant=_constant, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    if text.count("[") + text.count("{") > DEPTH:
        require_shallow(value)
    if not halves and _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()  # half a pair is an error of Unicode, and so a ValueError
    return value


def require_shallow(value: object) -> None:
    """Raise ValueError where more than DEPTH mappings and lists stand inside each other."""
    level = [value]
    for _ in range(DEPTH + 1):
        level = [item for part in level for item in _items(part) if isinstance(item, (dict, list))]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _items(part: object) -> Iterable[object]:
    if isinstance(part, dict):
        return part.values()
    return part if isinstance(part, list) else ()


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is too large")
    return value
