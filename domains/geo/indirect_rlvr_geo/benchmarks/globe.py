"""MP16-Reason and the two other sets of GLOBE (Li et al., NeurIPS 2025, arXiv 2506.14674): the country and the city of
a photo, by name.

GLOBE's released evaluator compares names; its paper prints Acc@km of coordinates that a geocoding service gave for the
names, a step that is not released. Here the service is a gazetteer on disk, and results name it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from indirect_rlvr.evaluation.metrics import STRICT, asked, majority, share
from indirect_rlvr.rewards.quantities import normal_text
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.countries import same_country
from indirect_rlvr_geo.benchmarks.cv_cities import train_city
from indirect_rlvr_geo.benchmarks.distances import (
    distance_metrics,
    distance_values,
    has_position,
    read_coordinates,
    stated_position,
)
from indirect_rlvr_geo.benchmarks.geocoding import GAZETTEER, geocode
from indirect_rlvr_geo.benchmarks.im2gps import IDS, LATITUDES, LONGITUDES
from indirect_rlvr_geo.benchmarks.short_answers import first_answer
from indirect_rlvr_geo.benchmarks.truths import Photos, cell, distinct, position, read_rows, truth_position

RELEASED = "as released"
ALIASES = f"{STRICT}, other names of the country and accents allowed"
THRESHOLD = 0.7
"""How much of the longer name the shorter one must cover."""
PROMPT = """You are participating in a geolocation challenge. Based on the provided image:
1. Carefully analyze the image for clues about its location (architecture, signage, vegetation, terrain, etc.)
2. Think step-by-step about what country, and city this is likely to be in and why
Your final answer include these two lines somewhere in your response:
country: [country name]
city: [city name]

You MUST output the thinking process in <think> </think> and give answer in <answer> </answer> tags."""
"""GLOBE's prompt of its evaluation (Apache-2.0)."""
_NAMES = ("country", "city")


def benchmarks() -> list[Benchmark]:
    """MP16-Reason-Test, and IM2GPS3k and OSV-5M-mini with the names that GLOBE gave them."""
    hub = "https://huggingface.co/datasets/globe-project/MP16-Reason"
    code = "https://github.com/lingli1996/GLOBE"
    return [
        _benchmark("mp16-reason", "mp16-reason-test-12k.csv", "12,000 Flickr photos", hub),
        _benchmark("globe-im2gps3k", "img2gps3k_gt.csv", "2,997 Flickr photos", code),
        _benchmark("globe-osv-mini", "test_mini.csv", "3,000 Mapillary photos", code),
    ]


def examples(folder: Path, table: str) -> Iterator[Example]:
    """One for each row; ".jpg" is added to an id without it, as the evaluator does."""
    photos, seen = Photos(folder), Counter[str]()
    for row in read_rows(folder / table, IDS, LATITUDES, LONGITUDES, ("country",), ("city",)):
        file = cell(row, *IDS)
        file = file if file.endswith(".jpg") else f"{file}.jpg"
        name, flags = distinct(file, seen)
        place = position(cell(row, *LATITUDES), cell(row, *LONGITUDES))
        truth = truth_position(place) | {kind: row[kind] for kind in _NAMES}
        view, missing = photos.find(file)
        cluster = cell(row, "AUTHOR", "sequence") or f"{row['country']}/{row['city']}"
        yield Example(name, cluster, Prompt((view, PROMPT)), truth, missing=missing, flags=flags + train_city(place))


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"country", "city"} as the evaluator reads them, "" where one is not named, and "latitude" and "longitude" where
    the response states them too."""
    answer = first_answer(response.text)
    body = response.text if answer is None else answer
    named = {kind: _line(body, f"{kind}:") for kind in _NAMES}
    place = read_coordinates(response.text)
    return {**named, **truth_position(place)} if place or any(named.values()) else None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """`country` and `city` by the released rule, the same with other names allowed, distances of stated coordinates
    and, under "gazetteer …", of the named place. Nothing for rows without coordinates, which the evaluator drops."""
    if not has_position(example):
        return {}
    stated = parsed or {}
    country, city = (str(stated.get(kind, "")) for kind in _NAMES)
    true_country, true_city = (str(example.truth[kind]) for kind in _NAMES)
    return {
        "country": float(matches(country, true_country)),
        "city": float(matches(city, true_city)),
        "country (aliases)": float(same_country(country, true_country)),
        "city (aliases)": float(normal_text(city) is not None and normal_text(city) == normal_text(true_city)),
        **distance_values(example, stated_position(stated)),
        **distance_values(example, geocode(city, country), "gazetteer "),
    }


def metrics(graded: Sequence[Graded]) -> Sequence[Metric]:
    """Name matches under both rules, Acc@km through the gazetteer, and Acc@km of stated coordinates where any response
    states some."""
    found = []
    for kind in _NAMES:
        for value, convention, applies in (
            (kind, RELEASED, has_position), (f"{kind} (aliases)", ALIASES, partial(_is_named, kind))
        ):  # fmt: skip
            rows = [one.example.truth[kind].lower() for one in asked(graded) if applies(one.example)]
            named = [name for name in rows if name]
            beside = {"majority": majority(named) * len(named) / len(rows)} if named else {}
            found.append(share(graded, value, convention, name=f"{kind} match", applies=applies, baselines=beside))
    found += distance_metrics(graded, prefix="gazetteer ", convention=GAZETTEER)
    if any("km" in one.values for one in graded):
        found += distance_metrics(graded, convention="stated coordinates")
    return found


def _is_named(kind: str, example: Example) -> bool:
    return has_position(example) and bool(example.truth[kind])


def matches(named: str, truth: str) -> bool:
    """GLOBE's rule: one name contains the other and is at least `THRESHOLD` as long, in any case; an empty name or an
    empty truth matches nothing."""
    one, other = named.lower(), truth.lower()
    if not named:
        return False
    short, long = sorted((one, other), key=len)
    return short in long and len(short) / len(long) >= THRESHOLD


def _line(text: str, word: str) -> str:
    """What follows the first `word`, from the first character that is not blank to the end of its line, lower case."""
    return text.partition(word)[2].lstrip().partition("\n")[0].strip().lower()


def _benchmark(name: str, table: str, size: str, homepage: str) -> Benchmark:
    source = Source(
        homepage=homepage,
        licence="each photo under its own licence; code Apache-2.0",
        size=size,
        layout=f"{table} (IMG_ID or id, LAT and LON or latitude and longitude, country, city) and images/<IMG_ID>",
        files=(table,),
        revision="NeurIPS 2025",
    )
    about = "country and city of a photo by name: string match as released, Acc@km through an offline gazetteer"
    read = partial(examples, table=table)
    return Benchmark(name, about, source, read, parse, judge, metrics, main="gazetteer GeoScore")
