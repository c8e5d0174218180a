"""The reward term for the entities that the reasoning between the think tags names.

A longer trace is not a better one: what is named beside the truth costs precision, and what is said twice counts once.
The term for the facts it states is in `facts.py`.
"""

import re
from collections.abc import Sequence
from functools import partial

from indirect_rlvr.errors import DomainError
from indirect_rlvr.rewards.gold import texts_fact
from indirect_rlvr.rewards.parsing import sections
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

_WORD = re.compile(r"\w+")


def entities(name: str, gold: str, vocabulary: str) -> Term:
    """The F1 of the entities a trace names: coverage of the fact `gold` and precision among the fact `vocabulary`.

    Both are lists of names, and the vocabulary, which includes the gold, is everything that counts as an entity, so
    that naming all of it earns little. A name counts once, as whole words of any case. A task without gold entities has
    nothing to cover.
    """
    return Term(name, 0.0, 1.0, partial(_entities, gold=gold, vocabulary=vocabulary))


def named_in(text: str, names: Sequence[str]) -> frozenset[str]:
    """Which of `names` the text has as whole words, whatever the case; linear in the text."""
    wanted = {tuple(_WORD.findall(name.casefold())): name for name in names}
    sizes = sorted({len(words) for words in wanted} - {0})
    words = _WORD.findall(text.casefold())
    windows = (tuple(words[at : at + size]) for size in sizes for at in range(len(words) - size + 1))
    return frozenset(wanted[window] for window in windows if window in wanted)


def _entities(task: ProxyTask, completion: Completion, gold: str, vocabulary: str) -> Outcome:
    expected, known = frozenset(texts_fact(task, gold)), texts_fact(task, vocabulary)
    if not expected <= set(known):
        raise DomainError(
            f"task `{task.id}`: the fact `{vocabulary}` lacks {', '.join(sorted(expected - set(known)))} of `{gold}`; "
            "the vocabulary must include the gold entities"
        )
    if not expected:
        return Outcome(0.0, "not_applicable")
    named = named_in("\n".join(sections(completion.text).think), known)
    right = len(named & expected)
    return Outcome(2 * right / (len(named) + len(expected)))
