"""Bugs of whole rewards: how terms are summed, how a trainer is fed, how a group is scored."""

import math
from collections.abc import Sequence

from indirect_rlvr.rewards import groups
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.rewards.trl import TermReward, trl_rewards
from indirect_rlvr.types import Completion, Outcome, ProxyTask

Tasks = dict[str, ProxyTask]


def _values(composite: Composite, task: ProxyTask, completion: Completion) -> list[float]:
    return [found.value for found in composite.score(task, completion).outcomes.values()]


def weights_are_never_read(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    """The released trainer of Geo-R1 has `reward_weights` in its settings and sums without them."""
    return math.fsum(_values(composite, task, completion))


def weights_are_normalised(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    return composite.score(task, completion).total / sum(composite.weights)


def weights_follow_another_order(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    values = _values(composite, task, completion)
    return math.fsum(weight * value for weight, value in zip(composite.weights[::-1], values, strict=True))


def penalties_are_dropped(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    values = _values(composite, task, completion)
    return math.fsum(max(0.0, weight * value) for weight, value in zip(composite.weights, values, strict=True))


def the_largest_term_is_all(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    return max(w * v for w, v in zip(composite.weights, _values(composite, task, completion), strict=True))


def format_makes_a_wrong_answer_right(composite: Composite, task: ProxyTask, completion: Completion) -> float:
    total = composite.score(task, completion).total
    return max(total, 1.2) if completion.text.startswith("<think>") else total


TOTALS = (weights_are_never_read, weights_are_normalised, weights_follow_another_order, penalties_are_dropped,
          the_largest_term_is_all, format_makes_a_wrong_answer_right)  # fmt: skip


def ours(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return trl_rewards(composite, tasks, [0], group_size)[0]


def ours_with_a_budget(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return trl_rewards(composite, tasks, [0], group_size, errors_allowed=1000)[0]


class Shifted(TermReward):
    """VLM-R1, issue 129: prompts repeated twice slide against completions."""

    def __call__(self, *, task_id: Sequence[str] = (), **rest: object) -> list[float | None]:  # type: ignore[override]
        return super().__call__(task_id=[*task_id[1:], *task_id[:1]], **rest)  # type: ignore[arg-type]


class LastGold(TermReward):
    """GeoPerceive: every prediction is scored against the last gold of the batch."""

    def __call__(self, *, task_id: Sequence[str] = (), **rest: object) -> list[float | None]:  # type: ignore[override]
        return super().__call__(task_id=[task_id[-1]] * len(task_id), **rest)  # type: ignore[arg-type]


class Swallowing(TermReward):
    """Catch and return nought, as where an alarm in a worker thread made every reward 0 (verl, issue 5635)."""

    def __call__(self, **rest: object) -> list[float | None]:  # type: ignore[override]
        try:
            return super().__call__(**rest)  # type: ignore[arg-type]
        except Exception:
            return [0.0 for _ in rest["completions"]]  # type: ignore[attr-defined]


class Abstaining(TermReward):
    def __call__(self, **rest: object) -> list[float | None]:  # type: ignore[override]
        try:
            return super().__call__(**rest)  # type: ignore[arg-type]
        except Exception:
            return [None for _ in rest["completions"]]  # type: ignore[attr-defined]


class BatchNormalised(TermReward):
    def __call__(self, **rest: object) -> list[float | None]:  # type: ignore[override]
        values = [value or 0.0 for value in super().__call__(**rest)]  # type: ignore[arg-type]
        return [value - sum(values) / len(values) for value in values]


class Zeroing(TermReward):
    """What does not apply becomes nought, and what is right too."""

    def __call__(self, **rest: object) -> list[float | None]:  # type: ignore[override]
        return [0.0 if value in (None, 1.0) else value for value in super().__call__(**rest)]  # type: ignore[arg-type]


def _as(kind: type[TermReward], composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    made = ours(composite, tasks, group_size)
    for function in made:
        function.__class__ = kind
    return made


def prompts_shift_against_completions(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return _as(Shifted, composite, tasks, group_size)


def every_row_meets_the_last_gold(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return _as(LastGold, composite, tasks, group_size)


def errors_become_nought(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return _as(Swallowing, composite, tasks, group_size)


def errors_become_none(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return _as(Abstaining, composite, tasks, group_size)


def rewards_are_centred_in_the_batch(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return _as(BatchNormalised, composite, tasks, group_size)


def what_does_not_apply_is_nought(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    return _as(Zeroing, composite, tasks, group_size)


def every_function_has_one_name(composite: Composite, tasks: Tasks, group_size: int) -> list[TermReward]:
    made = ours(composite, tasks, group_size)
    for function in made:
        function.__name__ = "reward"
    return made


ADAPTERS = (prompts_shift_against_completions, every_row_meets_the_last_gold, errors_become_nought, errors_become_none,
            rewards_are_centred_in_the_batch, what_does_not_apply_is_nought, every_function_has_one_name)  # fmt: skip


def _lengths(group: Sequence[Completion]) -> list[int]:
    return [len(completion.token_ids) for completion in group]


def one_value_for_the_group(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    return groups.relative_length().score(task, group)[:1]  # type: ignore[return-value]


def the_place_in_the_group_counts(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    found = groups.relative_length().score(task, group)
    return [Outcome(one.value / (at + 1)) for at, one in enumerate(found)]


def short_wrong_answers_are_paid(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    lengths = _lengths(group)
    span = max(1, max(lengths) - min(lengths))
    return [Outcome(0.5 - (length - min(lengths)) / span) for length in lengths]


def long_wrong_answers_are_paid(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    found = groups.relative_length().score(task, group)
    return [Outcome(-one.value) for one in found]


def equal_lengths_divide_by_zero(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    lengths = _lengths(group)
    return [Outcome(min(0.0, 0.5 - (n - min(lengths)) / (max(lengths) - min(lengths)))) for n in lengths]


GROUP_TERMS = (one_value_for_the_group, the_place_in_the_group_counts, short_wrong_answers_are_paid,
               long_wrong_answers_are_paid, equal_lengths_divide_by_zero)  # fmt: skip
