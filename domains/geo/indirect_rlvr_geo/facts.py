"""What the metadata says of a place in the words of the traces, and the verdict on every claim of a trace."""

from collections.abc import Mapping, Sequence

import numpy as np

from indirect_rlvr.types import ProxyTask, Scalar, Verdict
from indirect_rlvr_geo.language import (
    DIRECTIONS,
    ELEVATION_EDGES,
    HORIZON_EDGES,
    LETTERS,
    SLOPE_EDGES,
    StatedFact,
    read_trace,
    stated_extremes,
)

TOLERANCE = 1
"""A stated level may differ by this many levels (each a tenth of the training distribution) from the metadata's."""


def levels(facts: Mapping[str, Scalar]) -> dict[str, int]:
    """The levels, 0 to 9, of the horizon in the four directions, of the mean slope and of the elevation."""
    found = {d: int(np.digitize(float(facts[f"horizon_{d}"]), HORIZON_EDGES)) for d in DIRECTIONS}
    found["slope"] = int(np.digitize(float(facts["mean_slope_deg"]), SLOPE_EDGES))
    found["elevation"] = int(np.digitize(float(facts["elevation_m"]), ELEVATION_EDGES))
    return found


def horizon(facts: Mapping[str, Scalar]) -> dict[str, int]:
    """The horizon's levels alone: what a ground view shows."""
    return {name: level for name, level in levels(facts).items() if name in DIRECTIONS}


def check(task: ProxyTask, text: str) -> Sequence[Verdict]:
    """A verdict on each level and each extreme of the horizon that a trace states, by the records' metadata."""
    query: Mapping[str, Scalar] = task.question.facts["query"]  # type: ignore[assignment]
    candidates: Sequence[Mapping[str, Scalar]] = task.question.facts["candidates"]  # type: ignore[assignment]
    truth = {"query": levels(query)} | {
        letter: levels(facts) for letter, facts in zip(LETTERS, candidates, strict=False)
    }
    verdicts = [_verdict(fact, truth) for fact in read_trace(text)]
    return verdicts + [_extreme(kind, direction, truth["query"]) for kind, direction in stated_extremes(text)]


def _verdict(fact: StatedFact, truth: Mapping[str, Mapping[str, int]]) -> Verdict:
    claim = f"{fact.view}: {fact.name} at level {fact.level}"
    if fact.view not in truth:
        return Verdict(claim, "unverifiable", "there is no such view")
    level = truth[fact.view][fact.name]
    right = abs(level - fact.level) <= TOLERANCE
    return Verdict(claim, "supported" if right else "contradicted", f"level {level} from the elevation model")


def _extreme(kind: str, direction: str, truth: Mapping[str, int]) -> Verdict:
    horizon_levels = [truth[d] for d in DIRECTIONS]
    best = max(horizon_levels) if kind == "high" else min(horizon_levels)
    level = truth[direction]
    right = abs(level - best) <= TOLERANCE
    claim = f"query: horizon {kind}est to the {DIRECTIONS[direction]}"
    return Verdict(claim, "supported" if right else "contradicted", f"level {level} there, the {kind}est is {best}")
