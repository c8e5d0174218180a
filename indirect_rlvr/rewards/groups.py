"""Group terms: what can only be said of a rollout beside the others of its prompt.

A right answer is one whose last `<answer>` chooses the right label; a wrong or cut rollout earns nothing for being
short or for being different.
"""

import math
from collections.abc import Sequence
from functools import partial

from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask


def relative_length(name: str = "relative-length") -> GroupTerm:
    """λ = 0.5 − (L − min L) / (max L − min L) for a right rollout, min(0, λ) for a wrong or cut one, in [−0.5, 0.5].

    The length reward of Kimi k1.5 (arXiv 2501.12599, section 2.3.3), over the tokens of the G rollouts; all 0 where
    all are equally long, or where one came without its token ids.
    """
    return GroupTerm(name, -0.5, 0.5, _relative_length)


def diversity(n: int, name: str = "diversity") -> GroupTerm:
    """For a right rollout 1 − the mean Jaccard overlap of its token n-grams with those of the other right ones, in
    [0, 1]; 0 for a wrong or cut one. A single right rollout has nothing to differ from: not applicable."""
    return GroupTerm(name, 0.0, 1.0, partial(_diversity, n=n))


def _is_right(task: ProxyTask, completion: Completion) -> bool:
    return completion.finished and parse_answer(completion.text, task.labels) == task.answer


def _relative_length(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    lengths = [len(completion.token_ids) for completion in group]
    shortest, longest = min(lengths, default=0), max(lengths, default=0)
    if any(completion.text and not completion.token_ids for completion in group):
        return [Outcome(0.0, "not_applicable") for _ in group]
    if shortest == longest:
        return [Outcome(0.0) for _ in group]
    values = [0.5 - (length - shortest) / (longest - shortest) for length in lengths]
    return [
        Outcome(value if _is_right(task, completion) else min(0.0, value))
        for completion, value in zip(group, values, strict=True)
    ]


def _diversity(task: ProxyTask, group: Sequence[Completion], n: int) -> list[Outcome]:
    grams = [
        frozenset(zip(*(completion.token_ids[at:] for at in range(n)), strict=False))
        if _is_right(task, completion)
        else None
        for completion in group
    ]
    return [_difference(index, grams) for index in range(len(group))]


def _difference(index: int, grams: Sequence[frozenset[tuple[int, ...]] | None]) -> Outcome:
    own = grams[index]
    if own is None:
        return Outcome(0.0)
    others = [gram for at, gram in enumerate(grams) if at != index and gram is not None]
    if not others:
        return Outcome(0.0, "not_applicable")
    overlaps = (len(own & other) / len(own | other) if own | other else 1.0 for other in others)
    return Outcome(max(0.0, 1 - math.fsum(overlaps) / len(others)))
