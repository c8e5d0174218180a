"""Hypothesis strategies that spoil good files: values replaced in JSON, bytes cut, flipped and put in."""

import json
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

DEEP = "[" * 100_000 + "]" * 100_000
WORDS = (
    "", "../../outside", "/etc/passwd", "a\0b", "\u202egnp.exe", "<script>alert(1)</script>", "x" * 5000, "nan",
    "1e999", "\ud800", "%s%n{0}", "$(touch x)", "{{ 7 * 7 }}", "-0", "٣", "\r\n", "__class__", "CON", "é" * 300,
)  # fmt: skip
NUMBERS = (-1, 0, 10**18, -(10**18), 2**63, 10**400, -(10**400), 1e308, -1e308, 5e-324, 0.5, float("nan"), float("inf"))
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
)
NAMES = st.text(max_size=8)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8
)


def spoiled(draw: st.DataObject, value: Any, most: int = 3) -> Any:
    """A copy of a JSON value with up to `most` places replaced, removed, doubled or given another name."""
    found = deepcopy(value)
    for _ in range(draw.draw(st.integers(1, most))):
        found = _once(draw, found)
    return found


def _once(draw: st.DataObject, value: Any) -> Any:
    node, keys = value, []
    holders: list[tuple[Any, Any]] = []
    while isinstance(node, (dict, list)) and node:
        places: Sequence[Any] = list(node) if isinstance(node, dict) else range(len(node))
        key = draw.draw(st.sampled_from(places))
        holders.append((node, key))
        node = node[key]
        keys.append(key)
        if draw.draw(st.integers(0, 3)) == 0:
            break
    if not holders:
        return draw.draw(VALUES)
    holder, key = holders[-1]
    _change(draw, holder, key)
    return value


def _change(draw: st.DataObject, holder: Any, key: Any) -> None:
    how = draw.draw(st.sampled_from(("replace", "replace", "replace", "remove", "double", "rename")))
    if how == "replace":
        holder[key] = draw.draw(VALUES)
    elif how == "remove":
        del holder[key]
    elif how == "double" and isinstance(holder, list):
        holder.append(holder[key])
    elif isinstance(holder, dict):
        holder[draw.draw(st.sampled_from(WORDS) | st.text(max_size=8))] = holder.pop(key)


def as_json(value: Any) -> bytes:
    """JSON with NaN and infinities, and half pairs of surrogates escaped, as careless writers leave them."""
    return json.dumps(value).encode()


def damaged(draw: st.DataObject, whole: bytes, most: int = 4) -> bytes:
    """The bytes cut, flipped, repeated, or with others put in."""
    found = bytearray(whole)
    for _ in range(draw.draw(st.integers(1, most))):
        at = draw.draw(st.integers(0, max(0, len(found) - 1)))
        how = draw.draw(st.sampled_from(("flip", "flip", "cut", "drop", "insert", "zero", "copy")))
        if how == "flip" and found:
            found[at] ^= draw.draw(st.integers(1, 255))
        elif how == "cut":
            del found[at:]
        elif how == "drop":
            del found[at : at + draw.draw(st.integers(1, 64))]
        elif how == "zero":
            found[at : at + 8] = bytes(len(found[at : at + 8]))
        elif how == "copy":
            found[at:at] = found[at : at + draw.draw(st.integers(1, 64))]
        else:
            found[at:at] = draw.draw(st.binary(min_size=1, max_size=16))
    return bytes(found)


def file_of(draw: st.DataObject, value: Any) -> bytes:
    """A file of JSON gone bad in its values, or in its bytes, or both, or too deep."""
    how = draw.draw(st.sampled_from(("values", "values", "values", "bytes", "both", "deep", "junk")))
    if how == "deep":
        return DEEP.encode()
    if how == "junk":
        return draw.draw(st.binary(max_size=60))
    text = as_json(spoiled(draw, value) if how != "bytes" else value)
    return text if how == "values" else damaged(draw, text)


def lines_of(draw: st.DataObject, rows: Sequence[Any]) -> bytes:
    """A file of JSON lines of which up to two went bad."""
    lines = [as_json(row) for row in rows]
    for _ in range(draw.draw(st.integers(1, 2))):
        at = draw.draw(st.integers(0, len(lines) - 1))
        lines[at] = file_of(draw, rows[at]) if draw.draw(st.booleans()) else as_json(spoiled(draw, rows[at]))
    return b"\n".join(lines) + b"\n"
