"""IMAGEO-Bench (Li et al., arXiv 2508.01608): the address and the coordinates of a photo, as one JSON object; street
scenes of the world (GSS), points of interest in the US (UPC), the authors' own photos (PCW).

Two conventions side by side. "official" is the released code: each metric over the rows where both sides exist, so
that a response that cannot be read leaves every denominator. "strict" counts such a response as wrong.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from indirect_rlvr.evaluation.metrics import STRICT, aggregate, asked, majority, share
from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr.rewards.quantities import normal_text
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.countries import same_country
from indirect_rlvr_geo.benchmarks.cv_cities import train_city
from indirect_rlvr_geo.benchmarks.distances import (
    STATISTICS,
    distance_km,
    distance_metrics,
    distance_values,
    has_position,
)
from indirect_rlvr_geo.benchmarks.imageo_prompt import PROMPT
from indirect_rlvr_geo.benchmarks.lenient_json import read_object
from indirect_rlvr_geo.benchmarks.states import NAMES, state_code
from indirect_rlvr_geo.benchmarks.truths import (
    Photos,
    cell,
    degrees,
    distinct,
    photo_key,
    position,
    read_rows,
    truth_position,
)

OFFICIAL = "official"
ALIASES = f"{STRICT}, other names allowed"
IN_TRAINING = "train split of Global Streetscapes"
FIELDS = ("city", "state", "country")
LONGEST_NAME = 500


def benchmarks() -> list[Benchmark]:
    """GSS, UPC and PCW."""
    return [
        _benchmark("imageo-gss", "dataset1_info.csv", "6,152 street photos of 111 countries", "city_id"),
        _benchmark("imageo-upc", "dataset2_info.csv", "2,928 US points of interest", "state"),
        _benchmark("imageo-pcw", "dataset3_info.csv", "270 private photos", "address"),
    ]


def examples(folder: Path, table: str, cluster: str) -> Iterator[Example]:
    """One for each row of the table. The truth has those of city, state, country and position that the row has; a US
    state is its code. GSS photos of the train split of Global Streetscapes are flagged, and photos of training cities
    of CV-Cities."""
    photos, seen = Photos(folder), Counter[str]()
    for row in read_rows(folder / table, ("image_id",), ("latitude",), ("longitude",)):
        key = photo_key(cell(row, "image_id"))
        name, flags = distinct(key, seen)
        truth: dict[str, Any] = {kind: row[kind] for kind in FIELDS if row.get(kind)}
        place = position(cell(row, "latitude"), cell(row, "longitude"))
        truth |= truth_position(place)
        flags += ((IN_TRAINING,) if row.get("split") == "train" else ()) + train_city(place)
        view, missing = photos.find(f"{key}.jpg")
        yield Example(name, row.get(cluster) or name, Prompt((view, PROMPT)), truth, missing=missing, flags=flags)


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """Those of city, state, country, latitude and longitude that the response gives, as it gives them (text, or a
    finite number); None where it gives none. With answer tags only their last content is read."""
    stated = last_answer(response.text)
    found = _inner(read_object(response.text if stated is None else stated), "reverse_geocoding")
    address, coordinates = _inner(found, "address"), _inner(found, "coordinates")
    parsed: dict[str, Any] = {kind: value for kind in FIELDS if (value := _text(address.get(kind))) is not None}
    for axis in ("latitude", "longitude"):
        degree = _number(coordinates.get(axis))
        if degree is not None:
            parsed[axis] = degree
    return parsed or None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """`city`, `state` and `country` by the released rules where truth and response have one; with other names allowed
    as "… (aliases)"; "official km" by the released rules; and `distance_values`, for which coordinates out of range are
    none and 0.0 is a place."""
    stated, truth = parsed or {}, example.truth
    values = {}
    for kind in FIELDS:
        if kind in stated and kind in truth:
            values[kind] = float(_released(kind, stated[kind]) == _released(kind, truth[kind]))
            values[f"{kind} (aliases)"] = float(_SAME[kind](stated[kind], truth[kind]))
    guess = (stated["latitude"], stated["longitude"]) if {"latitude", "longitude"} <= set(stated) else None
    if guess and has_position(example) and 0.0 not in guess:
        values["official km"] = distance_km(example, _on_the_sphere(*guess))
    inside = guess if guess and abs(guess[0]) <= 90 and abs(guess[1]) <= 180 else None
    return values | distance_values(example, inside)


def metrics(graded: Sequence[Graded]) -> Sequence[Metric]:
    """City, state and country as far as the truths have them, official and strict, raw and with other names; distances
    official, strict and answered."""
    found = []
    for kind in FIELDS:
        applies = partial(_has, kind)
        truths = [_released(kind, one.example.truth[kind]) for one in asked(graded) if applies(one.example)]
        if not truths:
            continue
        beside = {"majority": majority(truths)}
        for convention, value, absent in (
            (OFFICIAL, kind, None), (STRICT, kind, 0.0), (ALIASES, f"{kind} (aliases)", 0.0)
        ):  # fmt: skip
            found.append(share(graded, value, convention, name=kind, absent=absent, applies=applies, baselines=beside))
    for name, statistic in STATISTICS.items():
        found.append(
            aggregate(graded, ("official km",), statistic, OFFICIAL, name=name, unit="km", higher_is_better=False)
        )
    return [*found, *distance_metrics(graded)]


def _released(kind: str, name: str) -> str:
    """A name as the released code compares it. Its table of states leaves the District of Columbia out."""
    if kind != "state":
        return name.lower()
    plain = name.strip().lower()
    if (len(plain) == 2 and plain.isalpha()) or plain == "district of columbia":
        return plain.upper()
    return NAMES.get(plain, plain.upper())


def _same_state(one: str, other: str) -> bool:
    code = state_code(one)
    return _same_text(one, other) or (code is not None and code == state_code(other))


def _same_text(one: str, other: str) -> bool:
    plain = normal_text(one)
    return plain is not None and plain == normal_text(other)


_SAME: Mapping[str, Callable[[str, str], bool]] = {"city": _same_text, "state": _same_state, "country": same_country}


def _has(kind: str, example: Example) -> bool:
    return kind in example.truth


def _inner(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What stands under a name, {} where that is no object."""
    inner = found.get(name)
    return inner if isinstance(inner, dict) else {}


def _text(value: object) -> str | None:
    """A value of the address; null is not there, and what is there and no text is no name."""
    if value is None or value != value:
        return None
    return value[:LONGEST_NAME] if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return degrees(str(value)[:LONGEST_NAME]) if isinstance(value, (str, int, float)) else None


def _on_the_sphere(latitude: float, longitude: float) -> tuple[float, float]:
    """The place that latitudes beyond a pole and longitudes beyond the antimeridian come down to; the released
    haversine formula takes them as they are, which is the same."""
    angle = math.radians(latitude)
    turn = 180.0 if math.cos(angle) < 0 else 0.0
    return math.degrees(math.asin(math.sin(angle))), math.remainder(longitude + turn, 360.0)


def _benchmark(name: str, table: str, size: str, cluster: str) -> Benchmark:
    source = Source(
        homepage="https://github.com/Lingyao1219/benchmark-reverse-geocoding",
        licence="none stated; Global Streetscapes photos CC BY-SA 4.0",
        size=size,
        layout=f"{table} of the repository, and the photos of doi:10.5281/zenodo.16670471 as images/<image_id>.jpg",
        files=(table,),
        revision="arXiv 2508.01608",
    )
    about = "address and coordinates of a photo as JSON: city, state, country, distance; official and strict"
    read = partial(examples, table=table, cluster=cluster)
    return Benchmark(name, about, source, read, parse, judge, metrics, main="GeoScore")
