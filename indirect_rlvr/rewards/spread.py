"""Mean and spread of every term over scored completions, so that a term that drowns the others can be seen.

In GRPO only the spread counts: what all rollouts of a group share is subtracted. A term with a small mean and a large
λ·spread decides the advantage.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from indirect_rlvr.rewards.composite import Composite, Score


@dataclass(frozen=True, slots=True)
class Spread:
    """One term over many completions: counts by status, the mean of the values that count, their standard deviation
    (population), λ times it, and the share of that in the sum over all terms, in [0, 1]."""

    name: str
    weight: float
    scored: int
    unparsable: int
    not_applicable: int
    mean: float
    std: float
    weighted_std: float
    share: float


def spread(composite: Composite, scores: Sequence[Score]) -> list[Spread]:
    """The spread of each term over `scores`, in the order of the composite; 0 for a term that never applies."""
    weights = (*composite.weights, *composite.group_weights)
    rows = []
    for term, weight in zip(composite.all_terms(), weights, strict=True):
        found = [score.outcomes[term.name] for score in scores if term.name in score.outcomes]
        statuses = [one.status for one in found]
        mean, std = moments([one.value for one in found if one.status != "not_applicable"])
        rows.append(
            Spread(
                name=term.name,
                weight=weight,
                scored=statuses.count("scored"),
                unparsable=statuses.count("unparsable"),
                not_applicable=statuses.count("not_applicable"),
                mean=mean,
                std=std,
                weighted_std=abs(weight) * std,
                share=0.0,
            )
        )
    whole = math.fsum(row.weighted_std for row in rows)
    return [replace(row, share=row.weighted_std / whole) for row in rows] if whole else rows


def moments(values: Sequence[float]) -> tuple[float, float]:
    """Mean and population standard deviation; (0, 0) of nothing."""
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
