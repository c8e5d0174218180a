"""The rule metrics of MEGA-Bench that need neither a judge, a network nor code to run: what a field of an answer is
worth, in [0, 1].

Each is called by the name that the task's `metric_info` gives it; a field whose metric is not here makes its task one
that is not asked. An answer of another type than the metric expects is worth 0, as in the release.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from indirect_rlvr_geo.benchmarks.mega_bench_parsing import literal

Score = Callable[[Any, str], float]
_MARKS = "-\n\t_."
_DROPPED = str.maketrans(dict.fromkeys(" -\n\t."))


def exact(said: Any, gold: str) -> float:
    """Equality; of a single letter, "(B) text" and "B. text" are "B"."""
    text = said if isinstance(said, str) else str(said)
    if len(gold) == 1 and gold.isalpha() and len(text) > 1:
        text = _letter(text)
    return float(text == gold)


def exact_any_case(said: Any, gold: str) -> float:
    """The same without case; worth nothing where the answer is no text."""
    return exact(said.lower(), gold.lower()) if isinstance(said, str) else 0.0


def simple(said: Any, gold: str) -> float:
    """Equality without case, spaces, hyphens and full stops."""
    return exact(str(said).translate(_DROPPED).lower(), gold.translate(_DROPPED).lower())


def any_reference(said: Any, gold: str) -> float:
    """Whether `simple` holds for one of several gold answers."""
    return max((simple(said, str(one)) for one in _listed(gold.replace("，", ","))), default=0.0)


def relative_difference(said: Any, gold: str) -> float:
    """max(0, 1 − |said − gold| / |gold|)."""
    number, target = (literal(value) if isinstance(value, str) else value for value in (said, gold))
    if not (_is_number(number) and _is_number(target)) or target == 0:
        return 0.0
    difference = 1 - abs((number - target) / target)
    return max(0.0, float(difference)) if difference == difference else 0.0


def same_set(said: Any, gold: str) -> float:
    """Equality as sets."""
    return float(_set(said) == _set(gold))


def same_set_any_case(said: Any, gold: str) -> float:
    """Equality as sets of texts without case."""
    first, second = _lowered(_set(said)), _lowered(_set(gold))
    return float(first is not None and first == second)


def jaccard(said: Any, gold: str) -> float:
    """Size of the intersection by size of the union; 1 of two empty sets."""
    return _jaccard(_set(said), _set(gold))


def jaccard_any_case(said: Any, gold: str) -> float:
    """The same without case; items of the answer that are no text are spelt out, tuples of texts lose their marks."""
    items, targets = _set(said), _set(gold)
    if targets and all(isinstance(target, tuple) for target in targets):
        tuples, wanted = _plain_tuples(items, f" {_MARKS}"), _plain_tuples(targets, _MARKS)
        return 0.0 if tuples is None or wanted is None else _jaccard(tuples, wanted)
    lowered = _lowered(targets)
    return 0.0 if not lowered else _jaccard({str(item).lower() for item in items}, lowered)


def same_lines(said: Any, gold: str) -> float:
    """Equality as sets of lines without case."""
    return float(_line_set(str(said)) == _line_set(gold))


def same_items(said: Any, gold: str) -> float:
    """Equality as sets of items between commas, without case."""
    lowered = [{item.lower() if isinstance(item, str) else item for item in _set(str(x))} for x in (said, gold)]
    return float(lowered[0] == lowered[1])


def same_sequence(said: Any, gold: str) -> float:
    """Equality as lists."""
    return float(_listed(str(said)) == _listed(gold))


def same_sequence_any_case(said: Any, gold: str) -> float:
    """Equality as lists of texts without case."""
    return float([str(x).lower() for x in _listed(str(said))] == [str(x).lower() for x in _listed(gold)])


def sequence_accuracy(said: Any, gold: str) -> float:
    """The share of places with the gold item, without case; 0 where the lengths differ."""
    items, targets = _listed(said), _listed(gold)
    if len(items) != len(targets) or not targets:
        return 0.0
    return sum(_same_item(item, target) for item, target in zip(items, targets, strict=True)) / len(targets)


def common_prefix(said: Any, gold: str) -> float:
    """The length of the longest common prefix by the length of the gold list."""
    items, targets = _listed(said), _listed(gold)
    length = next(
        (place for place, (one, other) in enumerate(zip(items, targets, strict=False)) if one != other),
        min(len(items), len(targets)),
    )
    return length / len(targets) if targets else 0.0


SCORES: Mapping[str, Score] = MappingProxyType(
    {
        "exact_str_match": exact,
        "exact_str_match_case_insensitive": exact_any_case,
        "simple_str_match": simple,
        "multi_ref_phrase": any_reference,
        "number_rel_diff_ratio": relative_difference,
        "set_equality": same_set,
        "set_equality_case_insensitive": same_set_any_case,
        "jaccard_index": jaccard,
        "jaccard_index_case_insensitive": jaccard_any_case,
        "str_set_equality_line_break": same_lines,
        "str_set_equality_comma": same_items,
        "sequence_equality": same_sequence,
        "sequence_equality_case_insensitive": same_sequence_any_case,
        "sequence_accuracy_case_insensitive": sequence_accuracy,
        "longest_common_list_prefix_ratio": common_prefix,
    }
)


def _letter(text: str) -> str:
    """The letter at the start of "B. text", "(B) text" or "B"; any word starts with one, as in the release."""
    start = text[1:2] if text.startswith("(") else text[:1]
    return start if start.isascii() and start.isalpha() else text


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < 1e300


def _set(value: Any) -> set[Any]:
    frozen = _frozen(value)
    return set(frozen) if isinstance(frozen, (tuple, frozenset)) else set(_listed(value))


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((_frozen(key), _frozen(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(item) for item in value)
    return frozenset(map(_frozen, value)) if isinstance(value, (set, frozenset)) else value


def _listed(value: Any) -> list[Any]:
    """The items of a list that is written as one, or between commas; nothing of what is no text."""
    text = value.strip(" ") if isinstance(value, str) else ""
    if not text or any(text.startswith(a) and not text.endswith(b) for a, b in ("()", "{}", "[]")):
        return []
    found = literal(text)
    if isinstance(found, (list, tuple, set, frozenset, dict, str)):
        return [_frozen(item) for item in found]
    if isinstance(found, (int, float)):
        return [found]
    inner = text[1:-1] if text[0] in "({[" else text
    return [item.strip() for item in inner.split(",")]


def _lowered(items: Iterable[Any]) -> set[str] | None:
    listed = list(items)
    return {item.lower() for item in listed} if all(isinstance(item, str) for item in listed) else None


def _plain_tuples(items: Iterable[Any], dropped: str) -> set[Any] | None:
    """Tuples of texts in lower case without some marks; None where any item is something else."""
    listed = list(items)
    if not all(isinstance(item, tuple) and all(isinstance(part, str) for part in item) for item in listed):
        return None
    table = str.maketrans(dict.fromkeys(dropped))
    return {tuple(part.lower().translate(table) for part in item) for item in listed}


def _jaccard(first: set[Any], second: set[Any]) -> float:
    return len(first & second) / len(first | second) if first | second else 1.0


def _line_set(text: str) -> set[str]:
    return set(text.replace("\\n", "\n").lower().split("\n"))


def _same_item(item: Any, target: Any) -> bool:
    if isinstance(target, str):
        return isinstance(item, str) and item.lower() == target.lower()
    return bool(item == target)
