"""How far guesses are from the truth: coordinates in a response, Acc@km, mean, median, GeoScore, and what a guess that
looks at nothing gets.

Distances are great circles on a sphere of 6371.0 km (`rewards.geodesy`), as in every geolocation benchmark with
published code. The ellipsoid would move a distance by up to 37 km and Acc@k by up to 0.4 points; it is no option here.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.evaluation.metrics import STRICT, Columns, aggregate, asked, share
from indirect_rlvr.rewards.geodesy import EARTH_RADIUS_KM, GEOSCORE_KM, geoscore, great_circle_km
from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr.rewards.quantities import Coordinates, parse_coordinates
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Example, Graded, Metric

LEVELS_KM = (1, 25, 200, 750, 2500)
"""Street, city, region, country, continent (Vo, Jacobs and Hays, ICCV 2017)."""
FARTHEST_KM = math.pi * EARTH_RADIUS_KM
"""What a strict mean or median takes for an answer without coordinates: the antipodes, 20,015.1 km."""
ANSWERED = "answered"
"""The convention in which an example without coordinates in its answer is left out."""
LAST_LINES = 40
CANDIDATES = 128
"""Truths among which the best constant location is looked for."""

PROMPT = (
    "Where on Earth was this photo taken? Look for clues such as writing, architecture, vegetation, terrain, vehicles, "
    "road markings and the light, and reason from them between <think> and </think>. Then give your single best guess "
    "between <answer> and </answer> as latitude and longitude in decimal degrees, separated by a comma; south and west "
    "are negative."
)
"""Our wording, for benchmarks that were made for models without prompts."""

_DEGREES = re.compile(r"[.°]|[Ll]at")
_NOWHERE: Mapping[str, Coordinates] = MappingProxyType({})


def read_coordinates(text: str) -> Coordinates | None:
    """The one place that a response states in coordinates: in its last answer tag, or without one anywhere in its last
    lines.

    A line may start with words and a colon ("Coordinates: 48.85, 2.29"), and latitude and longitude may stand on two
    lines; two whole numbers among other lines are no place. Two different places, and coordinates out of range, are
    none.
    """
    stated = last_answer(text)
    body = text if stated is None else stated
    whole = parse_coordinates(body)
    if whole is not None:
        return whole
    lines = [line for line in body.splitlines()[-LAST_LINES:] if line.strip()]
    pieces = [*lines, *(line.partition(":")[2] for line in lines)]
    pieces += [f"{first}, {second}" for first, second in pairwise(lines)]
    found = {place for piece in pieces if _DEGREES.search(piece) and (place := parse_coordinates(piece))}
    return found.pop() if len(found) == 1 else None


def has_position(example: Example) -> bool:
    """Whether the truth of an example has coordinates."""
    return "latitude" in example.truth and "longitude" in example.truth


def stated_position(parsed: Mapping[str, Any] | None) -> Coordinates | None:
    """The coordinates among parsed fields, None where there are none.

    Raises ValueError where somebody else's fields hold others than a parser gives: out of range.
    """
    if parsed is None or "latitude" not in parsed:
        return None
    place = Coordinates(float(parsed["latitude"]), float(parsed["longitude"]))
    if not (abs(place.latitude_deg) <= 90 and abs(place.longitude_deg) <= 180):
        raise ValueError(f"coordinates {tuple(place)} are out of range")
    return place


def required_position(parsed: Mapping[str, Any] | None) -> Coordinates | None:
    """`stated_position` where nothing else is asked for: fields that were given need it. Raises KeyError too."""
    return None if parsed is None else stated_position({name: parsed[name] for name in ("latitude", "longitude")})


def distance_km(example: Example, guess: tuple[float, float]) -> float:
    """Kilometres from the true position, which must be there, to a guess in degrees."""
    return great_circle_km(example.truth["latitude"], example.truth["longitude"], *guess)


def distance_values(example: Example, guess: tuple[float, float] | None, prefix: str = "") -> dict[str, float]:
    """`km` where there is a guess, and `Acc@1km` … `Acc@2500km` (0 or 1) and `GeoScore` in [0, 5000], which are 0
    without one. Nothing where the truth has no position. `prefix` goes before each name."""
    if not has_position(example):
        return {}
    if guess is None:
        return {prefix + name: 0.0 for name in (*map(_accuracy, LEVELS_KM), "GeoScore")}
    km = distance_km(example, guess)
    shares = {prefix + _accuracy(level): float(km <= level) for level in LEVELS_KM}
    return {prefix + "km": km, prefix + "GeoScore": geoscore(km), **shares}


def distance_metrics(
    graded: Sequence[Graded],
    *,
    prefix: str = "",
    convention: str = "",
    task: str = "",
    levels_km: Sequence[int] = LEVELS_KM,
    constants: Mapping[str, Coordinates] = _NOWHERE,
) -> list[Metric]:
    """Acc@km, GeoScore, mean and median of what `distance_values` gave under `prefix`.

    "strict": every asked example with a true position counts; one without coordinates is wrong, worth 0 points, and for
    mean and median `FARTHEST_KM` away. "answered": mean and median over the answers with coordinates, as papers print
    them. `convention` is put behind both names. Baselines: the best constant location among `CANDIDATES` of the truths
    (chosen with the truths in view, so it flatters constants), the true position of another example, and the named
    `constants`. `n_parsed` counts answers with usable coordinates, whatever else was read.
    """
    graded = [one if prefix + "km" in one.values else replace(one, parsed=None) for one in graded]
    behind = f", {convention}" if convention else ""
    beside = _baselines(graded, constants)
    found = [
        share(
            graded, prefix + name, STRICT + behind, name=name, task=task, applies=has_position, baselines=beside[name]
        )
        for name in map(_accuracy, levels_km)
    ]
    found.append(
        aggregate(
            graded, (prefix + "GeoScore",), _mean, STRICT + behind, name="GeoScore", unit="points", task=task,
            absent=0.0, applies=has_position, baselines=beside["GeoScore"],
        )
    )  # fmt: skip
    return [
        *found,
        *_lengths(graded, prefix, STRICT + behind, task, FARTHEST_KM, beside),
        *_lengths(graded, prefix, ANSWERED + behind, task, None, beside),
    ]


def _lengths(
    graded: Sequence[Graded],
    prefix: str,
    convention: str,
    task: str,
    absent: float | None,
    beside: Mapping[str, Mapping[str, float]],
) -> list[Metric]:
    return [
        aggregate(
            graded, (prefix + "km",), statistic, convention, name=name, unit="km", task=task, absent=absent,
            applies=has_position, baselines=beside[name], higher_is_better=False,
        )
        for name, statistic in STATISTICS.items()
    ]  # fmt: skip


def _accuracy(level_km: int) -> str:
    return f"Acc@{level_km}km"


def _mean(columns: Columns) -> float:
    return float(columns[:, 0].mean())


def _median(columns: Columns) -> float:
    return float(np.median(columns[:, 0]))


STATISTICS: Mapping[str, Callable[[Columns], float]] = MappingProxyType(
    {"mean distance": _mean, "median distance": _median}
)
"""What is said of kilometres beside Acc@km, by name; of columns of shape (examples, 1)."""


def _baselines(graded: Sequence[Graded], constants: Mapping[str, Coordinates]) -> dict[str, dict[str, float]]:
    """Name of a metric → name of a baseline → what it gets."""
    truths = np.array(
        [(e.truth["latitude"], e.truth["longitude"]) for e in (one.example for one in asked(graded)) if has_position(e)]
    ).reshape(-1, 2)
    beside: dict[str, dict[str, float]] = {name: {} for name in (*map(_accuracy, LEVELS_KM), "GeoScore", *STATISTICS)}
    if not len(truths):
        return beside
    rows = range(len(truths))
    rng = keyed_rng(0, "constant location", len(truths))
    tried = [_levels(_km(truths, truths[row])) for row in sorted(rng.sample(rows, min(CANDIDATES, len(truths))))]
    order = np.array(rng.sample(rows, len(truths)))
    shuffled = np.empty_like(truths)
    shuffled[order] = truths[np.roll(order, 1)]
    fixed = {"another example's location": _levels(_km(truths, shuffled))} if len(truths) > 1 else {}
    fixed |= {name: _levels(_km(truths, np.array(place))) for name, place in constants.items()}
    for metric, named in beside.items():
        best = min if metric in STATISTICS else max
        named["best constant location"] = best(levels[metric] for levels in tried)
        named.update({name: levels[metric] for name, levels in fixed.items()})
    return beside


def _km(truths: NDArray[np.float64], guesses: NDArray[np.float64]) -> NDArray[np.float64]:
    """`great_circle_km` of rows of (latitude, longitude) in degrees; `guesses` may be one row."""
    (lat, lon), (other_lat, other_lon) = np.radians(truths).T, np.radians(guesses).T
    squared = np.sin((other_lat - lat) / 2) ** 2
    squared += np.cos(lat) * np.cos(other_lat) * np.sin((other_lon - lon) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(squared, 1.0))))


def _levels(km: NDArray[np.float64]) -> dict[str, float]:
    shares = {_accuracy(level): float((km <= level).mean()) for level in LEVELS_KM}
    score = float((5000 * np.exp(-km / GEOSCORE_KM)).mean())
    return {**shares, "GeoScore": score, "mean distance": float(km.mean()), "median distance": float(np.median(km))}
