"""What the metadata says of a place in the words of the traces, and the verdict on every claim of a trace.

The levels of the terrain's template are read here; coordinates, countries, climate, the sun and so on by `claims` and
judged by `truth`. One function, `check`, serves the scaffold filter, the reward and the report.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from indirect_rlvr.rewards.facts import Claim, Finding, judge
from indirect_rlvr.types import ProxyTask, Scalar, Status, Verdict
from indirect_rlvr_geo import claims, truth
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
from indirect_rlvr_geo.phrases import QUERY

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
    """A verdict on every claim that a trace makes, by the records' metadata; linear in the text, never raising on
    it."""
    return [*_terrain(task, text), *_world(task, text)]


def _world(task: ProxyTask, text: str) -> list[Verdict]:
    """Verdicts on what is said of places in the world, each with its kind and span."""
    query: Mapping[str, Scalar] = task.question.facts["query"]  # type: ignore[assignment]
    candidates: Sequence[Mapping[str, Scalar]] = task.question.facts["candidates"]  # type: ignore[assignment]
    views = {QUERY: query} | dict(zip(task.labels, candidates, strict=False))

    def rule(claim: Claim, view: str) -> Finding:
        return truth.find(claim, views.get(view, {}))

    return judge(claims.find(text, task.labels), rule)


def _terrain(task: ProxyTask, text: str) -> list[Verdict]:
    """Verdicts on each level and each extreme of the horizon that a trace states; none where records have no
    horizon."""
    query: Mapping[str, Scalar] = task.question.facts["query"]  # type: ignore[assignment]
    candidates: Sequence[Mapping[str, Scalar]] = task.question.facts["candidates"]  # type: ignore[assignment]
    if "horizon_N" not in query:
        return []
    truth = {"query": levels(query)} | {
        letter: levels(facts) for letter, facts in zip(LETTERS, candidates, strict=False)
    }
    verdicts, start = [], 0
    for line in text.split("\n"):
        after = 0
        for fact in read_trace(line):
            span = _span(line, fact, after)
            after = span[1] if span else after
            verdicts.append(_verdict(fact, truth, (start + span[0], start + span[1]) if span else None))
        start += len(line) + 1
    return verdicts + [_extreme(kind, direction, truth["query"]) for kind, direction in stated_extremes(text)]


def _span(line: str, fact: StatedFact, after: int) -> tuple[int, int] | None:
    """Where a line states a fact, looked for within a little of the last one, so that a long line is read in linear
    time."""
    words = f"{fact.name}{fact.level}" if fact.name in DIRECTIONS else f"{fact.name} {fact.level}"
    start = line.find(words, after, after + 120)
    return None if start < 0 else (start, start + len(words))


def _verdict(fact: StatedFact, truth: Mapping[str, Mapping[str, int]], span: tuple[int, int] | None) -> Verdict:
    claim = f"{fact.view}: {fact.name} at level {fact.level}"
    if fact.view not in truth:
        return Verdict(claim, "unverifiable", "there is no such view", "terrain", span)
    level = truth[fact.view][fact.name]
    status: Status = "supported" if abs(level - fact.level) <= TOLERANCE else "contradicted"
    return Verdict(claim, status, f"level {level} from the elevation model", "terrain", span)


def _extreme(kind: str, direction: str, truth: Mapping[str, int]) -> Verdict:
    horizon_levels = [truth[d] for d in DIRECTIONS]
    best = max(horizon_levels) if kind == "high" else min(horizon_levels)
    level = truth[direction]
    status: Status = "supported" if abs(level - best) <= TOLERANCE else "contradicted"
    claim = f"query: horizon {kind}est to the {DIRECTIONS[direction]}"
    return Verdict(claim, status, f"level {level} there, the {kind}est is {best}", "terrain")
