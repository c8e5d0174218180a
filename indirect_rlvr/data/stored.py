"""Rows of JSON as records and tasks again; a row that is not one is a KeyError, TypeError or ValueError that says why.

`data/records.py` and `data/proxy.py` write the rows, and turn the error into one that names file and line.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.types import ProxyTask, Question, Record, View

LARGEST = 2**53
"""Counts are at most this: beyond it a float no longer tells whole numbers apart."""


def record(row: Any) -> Record:
    """The record of a row."""
    fields = _object(row, "a record")
    facts = _object(fields["facts"], "`facts`")
    views = {name: view(found) for name, found in _object(fields["views"], "`views`").items()}
    found = Record(**{**fields, "views": views, "facts": facts})
    _require_text(id=found.id, cluster=found.cluster)
    _require(found.split in ("train", "test", ""), f"`split` is {found.split!r:.80}")
    for name, value in facts.items():
        _require(isinstance(value, (str, bool, int, float)), f"fact `{name:.80}` is {value!r:.80}")
    return found


def task(row: Any) -> ProxyTask:
    """The task of a row."""
    fields = _object(row, "a task")
    asked = _object(fields["question"], "`question`")
    sides = {side: tuple(map(view, _list(asked[side], side))) for side in ("query", "candidates")}
    lists = {name: _texts(fields[name], name) for name in ("labels", "candidate_records")}
    found = ProxyTask(**{**fields, **lists, "question": Question(**{**asked, **sides})})
    _require_text(
        id=found.id, cluster=found.cluster, answer=found.answer, query_record=found.query_record,
        text=found.question.text,
    )  # fmt: skip
    _require(found.split in ("train", "test"), f"`split` is {found.split!r:.80}")
    _require(_is_count(found.level), f"`level` is {found.level!r:.80}")
    _object(found.question.facts, "`facts`")
    for name, value in _object(found.difficulty, "`difficulty`").items():
        _require(_is_measure(value), f"difficulty `{name:.80}` is {value!r:.80}")
    _require_whole(found)
    return found


def view(row: Any) -> View:
    """The view of a row."""
    found = View(**_object(row, "a view"))
    _require_text(kind=found.kind, content=found.content)
    _require(found.modality in ("image", "text"), f"`modality` is {found.modality!r:.80}")
    return found


def _require_whole(found: ProxyTask) -> None:
    """One label, one view and one record for each candidate, no label twice, and the answer among them."""
    k = len(found.labels)
    sizes = (k, len(set(found.labels)), len(found.question.candidates), len(found.candidate_records))
    _require(k >= 2 and set(sizes) == {k}, f"labels, different labels, candidates and their records are {sizes}")
    _require(found.answer in found.labels, f"`answer` is {found.answer:.80}, none of the labels")


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} is no object: {value!r:.80}")
    return value


def _list(value: Any, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"`{name}` is no list: {value!r:.80}")
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    found = tuple(_list(value, name))
    _require(all(isinstance(item, str) for item in found), f"`{name}` is {value!r:.80}")
    return found


def _require_text(**values: object) -> None:
    for name, value in values.items():
        _require(isinstance(value, str), f"`{name}` is {value!r:.80}, no text")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _is_measure(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LARGEST <= value <= LARGEST


def _require(holds: bool, said: str) -> None:
    if not holds:
        raise ValueError(said)
