"""Looks up what a task's facts say is right: the one place where a term meets `task.question.facts`.

A domain names the fact by its key, with dots into nested tables ("query.latitude"). A fact that is missing or of the
wrong kind is the domain's mistake, never the model's, and stops the run.
"""

import math
from collections.abc import Mapping

from indirect_rlvr.errors import DomainError
from indirect_rlvr.types import ProxyTask


def fact(task: ProxyTask, key: str) -> object:
    """The fact at `key`; raises DomainError that names the task, the key and the keys that are there."""
    found: object = task.question.facts
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            there = ", ".join(map(str, found)) if isinstance(found, Mapping) else f"a {type(found).__name__}"
            raise DomainError(
                f"task `{task.id}` has no fact `{key}`: `{part}` is not among {there or 'no facts'}; "
                "let `make_task` put it into `Question.facts`, or name another fact in the reward term"
            )
        found = found[part]
    return found


def number_fact(task: ProxyTask, key: str) -> float:
    """The finite number at `key`; raises DomainError."""
    found = fact(task, key)
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise wrong_kind(task, key, found, "a finite number")
    return float(found)


def text_fact(task: ProxyTask, key: str) -> str:
    """The text at `key`, not blank; raises DomainError."""
    found = fact(task, key)
    if not isinstance(found, str) or not found.strip():
        raise wrong_kind(task, key, found, "a text that is not blank")
    return found


def texts_fact(task: ProxyTask, key: str) -> tuple[str, ...]:
    """The list of texts at `key`; raises DomainError."""
    found = fact(task, key)
    if not isinstance(found, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in found):
        raise wrong_kind(task, key, found, "a list of texts that are not blank")
    return tuple(found)


def wrong_kind(task: ProxyTask, key: str, found: object, expected: str) -> DomainError:
    """The error for a fact that is not what a term needs."""
    return DomainError(f"task `{task.id}`: the fact `{key}` is {found!r:.200}; expected {expected}")
