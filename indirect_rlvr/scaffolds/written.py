"""What a writer of traces is, and the domain's own rules as one.

A writer knows nothing of what becomes of its traces; `traces.py` judges them and asks again.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from indirect_rlvr.domain import Domain
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask


@dataclass(frozen=True, slots=True)
class Written:
    """One trace as it was written. `text` is None where there is none; `fault` says why it cannot be used as it is, or
    is ""; `wording` is all that a teacher was told in words, "" of the domain's own rules, which are taken as they
    are."""

    text: str | None
    fault: str = ""
    wording: str = ""


class Writer(Protocol):
    """Who writes traces. `about` names it in messages; `trial` is after how many tasks without one good trace it is
    given up, `attempts` how often a task is asked whose trace was dropped."""

    about: str
    trial: int
    attempts: int

    def portion(self, asked: int) -> int:
        """How many tasks to hand over together when so many were handed over before."""

    def write(self, tasks: Sequence[ProxyTask], attempt: int, kept: int) -> Sequence[Written]:
        """One trace for each task, in order; `attempt` counts from 0, and `kept` traces there are already."""


class Rules:
    """The domain's hook `scaffold`: each trace from the task's own key, at no cost."""

    def __init__(self, domain: Domain, seed: int) -> None:
        self.about = f"the scaffold hook of domain `{domain.name}`"
        self.trial, self.attempts = sys.maxsize, 1
        self._domain, self._seed = domain, seed

    def portion(self, asked: int) -> int:
        """All at once."""
        return sys.maxsize

    def write(self, tasks: Sequence[ProxyTask], attempt: int, kept: int) -> Sequence[Written]:
        """What the hook returns."""
        return [Written(self._domain.scaffold(task, keyed_rng(self._seed, "scaffold", task.id))) for task in tasks]
