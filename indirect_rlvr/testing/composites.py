"""What a whole reward must satisfy, however it is put together: a composite, group terms, the adapter to a trainer."""

import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace

from indirect_rlvr.errors import RlvrError
from indirect_rlvr.rewards.composite import Composite, group_outcomes
from indirect_rlvr.rewards.trl import TermReward
from indirect_rlvr.testing.subject import raw, written
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask, Term

Total = Callable[[Composite, ProxyTask, Completion], float]
Adapt = Callable[[Composite, dict[str, ProxyTask], int], Sequence[TermReward]]
END = 0
"""The end token of what the adapter is fed."""


def total_of(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    """The total as this project makes it."""
    return composite.score(task, completion).total


def assert_composite_invariants(composite: Composite, task: ProxyTask, total: Total = total_of) -> None:
    """Hold a composite that counts accuracy and format to what no sum of terms may do.

    Every weight counts as it stands; a wrong answer never beats the same completion made right; format alone earns no
    more than its weight; nothing earns nothing. `total` is how the terms are summed. Raises AssertionError.
    """
    right, wrong = task.answer, next(label for label in task.labels if label != task.answer)
    for count in (20, 700, 2048):
        good, bad = (total(composite, task, written(answer, count)) for answer in (right, wrong))
        _require(
            good > bad, f"the composite pays {bad} for a wrong answer of {count} tokens and {good} for a right one"
        )
    _weights_count(composite, task, total)
    low = math.fsum(w * term.low for term, w in _counted(composite) if term.name not in {"format", "repetition"})
    most = sum(w * term.high for term, w in _counted(composite) if term.name == "format") + low
    for answer in ("?", ", ".join(task.labels)):
        paid = total(composite, task, written(answer))
        _require(paid <= most + 1e-9, f"the composite pays {paid} for format alone; its weight allows {most}")
    empty = total(composite, task, Completion("", ()))
    _require(empty <= max(0.0, low) + 1e-9, f"the composite pays {empty} for an empty completion")


def assert_group_invariants(term: GroupTerm, task: ProxyTask) -> None:
    """Hold a group term to: one outcome in range for each rollout; the same twice; it follows the order of the group;
    a wrong rollout never earns more than the same one made right, nor for being longer. Raises AssertionError."""
    wrong = next(label for label in task.labels if label != task.answer)
    group = [written(task.answer, 10), written(wrong, 20), written(task.answer, 40), raw("", ()), written(wrong, 80)]
    found = _group(term, task, group)
    _require(found == _group(term, task, group), f"group term `{term.name}` says something else the second time")
    turned = _group(term, task, group[::-1])[::-1]
    _require(found == turned, f"group term `{term.name}` depends on the order: {found} and {turned}")
    for at in (1, 4):
        mended = [*group[:at], replace(group[at], text=written(task.answer).text), *group[at + 1 :]]
        better = _group(term, task, mended)[at].value
        _require(better >= found[at].value, f"group term `{term.name}` pays {better} for mending {found[at].value}")
    _require(found[4].value <= found[1].value, f"group term `{term.name}` pays the longer wrong answer more")
    _require(found[3].value <= 0, f"group term `{term.name}` pays {found[3].value} for an empty completion")
    for size in (1, 2, 8):
        _group(term, task, [written(wrong)] * size)


def assert_adapter_invariants(adapt: Adapt, composite: Composite, tasks: Sequence[ProxyTask]) -> None:
    """Hold reward functions in TRL's form to: one unique name each; one value for each row, scored against its own
    task, whatever the order and size of the batch; picklable; and a term that raises or is not finite is never a
    middling value in silence. `tasks` are two or more with different answers. Raises AssertionError."""
    by_id = {task.id: task for task in tasks}
    functions = adapt(composite, by_id, 1)
    names = [function.__name__ for function in functions]
    _require(len(set(names)) == len(names), f"reward functions share a name: {names}; TRL merges them")
    rows = [(task, answer) for task in tasks for answer in (task.answer, _other(task), "A or B")]
    for term, function in zip(composite.terms, functions, strict=True):
        expected = [_expected(term, task, answer) for task, answer in rows]
        _require(_ask(function, rows) == expected, f"`{term.name}` scores a row against another row's task")
        _require(_ask(function, rows[::-1]) == expected[::-1], f"`{term.name}` depends on the order of the batch")
        _require([_ask(function, [row])[0] for row in rows] == expected, f"`{term.name}` depends on the batch's size")
        _require(_ask(pickle.loads(pickle.dumps(function)), rows) == expected, f"`{term.name}` differs once pickled")
    for broken in (_raises, _nan, _infinite):
        _never_silent(adapt, by_id, Term("broken", -1.0, 1.0, broken), rows)


def _never_silent(adapt: Adapt, by_id: dict[str, ProxyTask], term: Term, rows: Sequence[tuple[ProxyTask, str]]) -> None:
    (function,) = adapt(Composite((term,), (1.0,)), by_id, 1)
    logged: dict[str, float] = {}
    try:
        values = _ask(function, rows, logged)
    except (RlvrError, RuntimeError):
        return
    counted = any(name.endswith("errors") and value for name, value in logged.items())
    lowest = all(value == term.low for value in values)
    _require(counted and lowest, f"a term that breaks is worth {values}, and {logged} is all that is logged of it")


def _weights_count(composite: Composite, task: ProxyTask, total: Total) -> None:
    probes = [written(task.answer), written(_other(task)), Completion(written(task.answer).text, (7,) * 400)]
    for at, (term, weight) in enumerate(zip(composite.terms, composite.weights, strict=True)):
        doubled = replace(composite, weights=(*composite.weights[:at], 2 * weight, *composite.weights[at + 1 :]))
        for probe in probes:
            found = term.score(task, probe)
            expected = weight * found.value if found.status != "not_applicable" else 0.0
            gained = total(doubled, task, probe) - total(composite, task, probe)
            _require(
                abs(gained - expected) < 1e-9, f"doubling the weight of `{term.name}` adds {gained}, not {expected}"
            )


def _counted(composite: Composite) -> list[tuple[Term, float]]:
    return list(zip(composite.terms, composite.weights, strict=True))


def _group(term: GroupTerm, task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    try:
        return group_outcomes(term, task, group)
    except RlvrError as error:
        raise AssertionError(str(error)) from error


def _ask(
    function: TermReward, rows: Sequence[tuple[ProxyTask, str]], logged: dict[str, float] | None = None
) -> list[float | None]:
    return function(
        completions=[written(answer).text for _, answer in rows],
        completion_ids=[[*range(1, 21), END] for _ in rows],
        task_id=[task.id for task, _ in rows],
        log_metric=({} if logged is None else logged).__setitem__,
    )


def _expected(term: Term, task: ProxyTask, answer: str) -> float | None:
    found = term.score(task, Completion(written(answer).text, tuple(range(1, 21))))
    return None if found.status == "not_applicable" else found.value


def _other(task: ProxyTask) -> str:
    return next(label for label in task.labels if label != task.answer)


def _raises(task: ProxyTask, completion: Completion) -> Outcome:
    raise ValueError("broken on purpose")


def _nan(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(math.nan)


def _infinite(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(math.inf)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
