"""Which training tasks GRPO walks through, in which order, and which task replaces one whose group taught nothing.

Decisions only, on ids and numbers; the trainer samples and keeps the books (`grpo.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.config import Curriculum
from indirect_rlvr.data.difficulty import MEASURES
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.difficulty import answered, with_pass_rate
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask

ROUNDING = 1e-6
"""Rewards are float32: two that are equal on paper can differ by so much."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The tasks of the band, in the curriculum's order if it has one; `walk` are the places in `tasks` that one pass
    goes through, in that order unless `shuffled`; `left_out` counts tasks by why they are not in `tasks`, and is empty
    where no measure was asked for."""

    tasks: list[ProxyTask]
    walk: list[int]
    shuffled: bool
    left_out: dict[str, int]


def plan(tasks: Sequence[ProxyTask], settings: Curriculum, prompts: int, per_step: int, seed: int) -> Plan:
    """The tasks to train on. A run asks for `prompts` of them in all, `per_step` at a time.

    A run shorter than an ordered pass walks through tasks evenly spread over the order, from one end to the other. Ties
    are broken by a keyed hash. Raises DataError where no task has the measure, or the band leaves fewer than a step
    needs.
    """
    if settings.order == "none" and settings.band is None:
        return Plan(list(tasks), list(range(len(tasks))), True, {})
    name = settings.measure
    if name == "pass_rate":
        tasks = _with_pass_rate(tasks, settings)
    known = [task for task in tasks if name in task.difficulty]
    if not known:
        raise DataError(f"no training task has the measure `{name}`; tasks have: {_measures(tasks)}")
    low, high = settings.band or (-math.inf, math.inf)
    kept = [task for task in known if low <= task.difficulty[name] <= high]
    if len(kept) < per_step:
        values = [task.difficulty[name] for task in known]
        raise DataError(
            f"`grpo.curriculum.band` [{low:g}, {high:g}] leaves {len(kept)} of {len(known)} training tasks, too few "
            f"for a step of {per_step} prompts; `{name}` goes from {min(values):g} to {max(values):g} there"
        )
    left_out = {f"without {name}": len(tasks) - len(known), "outside the band": len(known) - len(kept)}
    if settings.order == "none":
        return Plan(kept, list(range(len(kept))), True, left_out)
    ordered = _ordered(kept, settings, seed)
    size = min(prompts, len(ordered) // per_step * per_step)
    return Plan(ordered, [place * len(ordered) // size for place in range(size)], False, left_out)


def _with_pass_rate(tasks: Sequence[ProxyTask], settings: Curriculum) -> list[ProxyTask]:
    if not settings.answers:
        raise DataError(
            "`grpo.curriculum.measure` is pass_rate, and `grpo.curriculum.answers` names no file to measure it from; "
            "give the rollouts of a training on these tasks"
        )
    return with_pass_rate(tasks, answered(tasks, Path(settings.answers)))


def _measures(tasks: Sequence[ProxyTask]) -> str:
    return ", ".join(name for name in MEASURES if any(name in task.difficulty for task in tasks)) or "none"


def _ordered(tasks: Sequence[ProxyTask], settings: Curriculum, seed: int) -> list[ProxyTask]:
    easy_is_low = MEASURES[settings.measure].hard == "high"
    sign = 1 if easy_is_low == (settings.order == "easy-first") else -1

    def key(task: ProxyTask) -> tuple[float, int, str]:
        return sign * task.difficulty[settings.measure], keyed_rng(seed, "curriculum", task.id).getrandbits(64), task.id

    return sorted(tasks, key=key)


class Refill:
    """Dynamic sampling within a step: which groups taught nothing, and which task is tried in the place of each.

    A replacement is the next task after the one replaced, in the order of `names`, that no step has had yet and that is
    not on the pass's own way (`walked`); when there is none left, the count begins again. Nothing is random, so the
    same rewards give the same replacements.
    """

    def __init__(self, names: Sequence[str], walked: Sequence[str], limit: int, tolerance: float) -> None:
        self.limit = limit
        self._names = list(names)
        self._place = {name: place for place, name in enumerate(names)}
        self._tolerance = tolerance
        self._had = set(walked)

    def had(self) -> list[str]:
        """The tasks that are not tried again yet, in order, for `go_on_from`."""
        return sorted(self._had)

    def go_on_from(self, had: Sequence[str]) -> None:
        """Take up what `had` gave."""
        self._had = set(had)

    def equal(self, rewards: Sequence[float]) -> bool:
        """Whether the rewards of one group, of any range, lie within the tolerance; NaN is a completion without a
        reward, and a group with fewer than two rewards has nothing to compare."""
        scored = [reward for reward in rewards if not math.isnan(reward)]
        return len(scored) < 2 or max(scored) - min(scored) <= self._tolerance + ROUNDING

    def replacements(self, step: Sequence[str], groups: Sequence[int], left: int) -> dict[int, str]:
        """Group to the task tried in its place, for the first `left` of `groups`.

        `step` names the task of every group of the step; none of them is chosen, nor a task twice, so a step whose
        groups hold every task there is gets nothing.
        """
        self._had.update(step)
        chosen: dict[int, str] = {}
        for group in list(groups)[:left]:
            name = self._next(step[group], {*step, *chosen.values()})
            if name is None:
                break
            chosen[group] = name
            self._had.add(name)
        return chosen

    def _next(self, name: str, busy: set[str]) -> str | None:
        if len(busy) >= len(self._names):
            return None
        if len(self._had) >= len(self._names):
            self._had = set(busy)
        place = self._place[name]
        while self._names[place] in self._had:
            place = (place + 1) % len(self._names)
        return self._names[place]
