"""Reward terms for answers that are a value: an exact text, a number with a unit, a pair of coordinates.

Each reads the last `<answer>` and compares it with the fact whose key the domain names. All of them can be pickled.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Literal

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.rewards.geodesy import geoscore, great_circle_km
from indirect_rlvr.rewards.gold import number_fact, text_fact
from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr.rewards.quantities import normal_text, parse_coordinates, parse_number
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

UNPARSABLE = Outcome(0.0, "unparsable")
"""What an answer that cannot be read is worth where terms start at 0."""


def exact(name: str, gold: str) -> Term:
    """1 where the answer is the text of the fact `gold`, whatever its case, accents and outer punctuation; else 0."""
    return Term(name, 0.0, 1.0, partial(_exact, gold=gold))


def number(name: str, gold: str, units: Mapping[str, float], tolerance: float, zero_at: float) -> Term:
    """1 within `tolerance` of the number `gold`, falling linearly to 0 at an error of `zero_at`, in the unit of gold.

    `units` gives the factor into that unit of each unit that may be written, "" for none (`quantities.METRES` has the
    usual lengths). Raises ConfigError unless 0 ≤ tolerance ≤ zero_at.
    """
    if not 0 <= tolerance <= zero_at < math.inf:
        raise ConfigError(f"reward term `{name}`: expected 0 <= tolerance <= zero_at, got {tolerance} and {zero_at}")
    return Term(name, 0.0, 1.0, partial(_number, gold=gold, units=dict(units), tolerance=tolerance, zero_at=zero_at))


def coordinates(name: str, latitude_deg: str, longitude_deg: str, scale: Literal["geoscore", "linear"]) -> Term:
    """How close the answer's coordinates are to those in the two facts, in [0, 1].

    "geoscore" is exp(−d/1492.7 km), the GeoGuessr score over 5000; "linear" is 1 − d/20015 km, so that even the far
    side of the Earth has a slope.
    """
    return Term(name, 0.0, 1.0, partial(_coordinates, latitude=latitude_deg, longitude=longitude_deg, scale=scale))


def _exact(task: ProxyTask, completion: Completion, gold: str) -> Outcome:
    expected = text_fact(task, gold)
    written = normal_text(last_answer(completion.text) or "")
    return UNPARSABLE if written is None else Outcome(float(written == normal_text(expected)))


def _number(
    task: ProxyTask, completion: Completion, gold: str, units: Mapping[str, float], tolerance: float, zero_at: float
) -> Outcome:
    expected = number_fact(task, gold)
    written = parse_number(last_answer(completion.text) or "", units)
    if written is None:
        return UNPARSABLE
    error = abs(written - expected)
    if error <= tolerance:
        return Outcome(1.0)
    return Outcome(0.0 if error >= zero_at else (zero_at - error) / (zero_at - tolerance))


def _coordinates(task: ProxyTask, completion: Completion, latitude: str, longitude: str, scale: str) -> Outcome:
    expected = number_fact(task, latitude), number_fact(task, longitude)
    written = parse_coordinates(last_answer(completion.text) or "")
    if written is None:
        return UNPARSABLE
    distance_km = great_circle_km(*expected, *written)
    if scale == "geoscore":
        return Outcome(geoscore(distance_km) / geoscore(0.0))
    return Outcome(max(0.0, 1 - distance_km / great_circle_km(0.0, 0.0, 0.0, 180.0)))
