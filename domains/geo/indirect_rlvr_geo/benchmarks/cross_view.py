"""Cross-view pairing on held-out places of CV-Cities: which of five satellite tiles shows the place of a panorama?

The sets are formed without knowing the answer, as in training (`data/negatives.py`): neighbours of one city, at least
half a tile apart, the right one under each letter equally often. Cities that the authors train on are asked too, and
kept apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import cos, radians
from pathlib import Path
from typing import Any

from indirect_rlvr.data.negatives import form_sets
from indirect_rlvr.data.proxy import make_tasks
from indirect_rlvr.evaluation.choice import CORRECT, accuracy, choice_example, judge_label
from indirect_rlvr.evaluation.metrics import asked, share
from indirect_rlvr.rewards.geodesy import EARTH_RADIUS_KM
from indirect_rlvr.rewards.parsing import has_format, parse_choice
from indirect_rlvr.types import (
    Benchmark,
    Example,
    Graded,
    Metric,
    Neighbourhood,
    Prompt,
    ProxyTask,
    Question,
    Record,
    Response,
    Source,
    View,
)
from indirect_rlvr_geo.benchmarks.boxes_in_text import answer_part
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES, HALF_TILE_M, TRAIN_CITY, Place, images_below, places, tables
from indirect_rlvr_geo.benchmarks.files import photo

K = 5
"""Candidates of a question; the base model's 19 % in the paper suggests five (inferred)."""
PER_CITY = 200
CELLS_M = (1000.0, 4000.0, 16000.0)
HELD_OUT, TRAINED_ON = "held-out cities", "train cities"
OPENING = "Street panorama:"
QUESTION = (
    "\nExactly one of the satellite images above shows the place where the street panorama was taken. Which one? Think "
    "about what both views must share, between <think> and </think>, and then give the letter alone between <answer> "
    "and </answer>."
)
PARSED, FORMAT = "parsed", "format"


def benchmarks() -> list[Benchmark]:
    """Five-way pairing on CV-Cities."""
    return [
        Benchmark(
            name="cv-cities-pairing",
            description=f"the satellite image of a street panorama, among {K} neighbours",
            source=source("a link to the folder of cv-cities-retrieval will do"),
            examples=examples,
            parse=parse,
            judge=judge,
            metrics=metrics,
            main=CORRECT,
            tasks=(HELD_OUT,),
        )
    ]


def source(also: str) -> Source:
    """Where CV-Cities comes from and how it lies; `also` ends the description of the layout."""
    return Source(
        homepage="https://huggingface.co/datasets/gaoshuang98/CV-Cities",
        licence="repository BSD-3-Clause; imagery derived from Google's, licence not found",
        size="223,736 pairs in 16 cities: 162,954 in 10 train cities, 60,782 in 6 test cities",
        layout=f"<city>/img_info.csv without a header, and the images at its paths, below here or <city>/; {also}",
        files=("*/img_info.csv",),
    )


def examples(folder: Path) -> Iterator[Example]:
    """At most `PER_CITY` questions of each city that is there, the test cities first; the same every time."""
    found = tables(folder)
    for city in sorted(found, key=lambda each: (CITIES[each].trained_on, each)):
        yield from _of_city(folder, city, found[city])


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"answer": letter, "format": whether think and answer tags stand as asked}; None without one clear letter.

    The answer tag is read, and the whole text without one, by the parser of the rewards.
    """
    label = parse_choice(answer_part(response.text), example.truth["labels"])
    return None if label is None else {"answer": label, FORMAT: has_format(response.text)}


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """Whether the letter is right, whether there was one, whether the tags were right, and which letter it was."""
    labels = example.truth["labels"]
    label = parsed.get("answer") if parsed is not None else None
    chosen = {f"chose {each}": float(label == each) for each in labels} if label in labels else {}
    form = float(parsed is not None and parsed.get(FORMAT) is True)
    return {**judge_label(example, parsed), PARSED: float(label in labels), FORMAT: form, **chosen}


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Accuracy, parse rate, format rate and answer positions on the held-out cities; accuracy on the others and on
    each city alone."""
    held_out = [one for one in graded if one.example.task == HELD_OUT]
    trained_on = [one for one in graded if one.example.task == TRAINED_ON]
    found = [accuracy(held_out, HELD_OUT)]
    for value, name in ((PARSED, "parse rate"), (FORMAT, "format rate")):
        found.append(share(held_out, value, name=name, task=HELD_OUT))
    found += _positions(held_out)
    if trained_on:
        found.append(accuracy(trained_on, TRAINED_ON))
    for city in CITIES.values():
        there = [one for one in graded if one.example.truth["city"] == city.name]
        if there:
            found.append(accuracy(there, city.name))
    return found


def _positions(graded: Sequence[Graded]) -> list[Metric]:
    """How often each letter was chosen among the answers that could be read, beside how often it is right."""
    answers = [one.example.truth["answer"] for one in asked(graded)]
    labels = sorted({label for one in graded for label in one.example.truth["labels"]})
    return [
        share(
            graded,
            f"chose {label}",
            "of the answers read",
            name=f"position {label}",
            task=HELD_OUT,
            absent=None,
            baselines={"right answers": answers.count(label) / len(answers)} if answers else {},
        )
        for label in labels
    ]


def _of_city(folder: Path, city: str, table: Path) -> Iterator[Example]:
    rows = list(places(city, table))
    origin, base = rows[0], images_below(folder, table, rows[0]) or ""
    records = [_record(place, base) for place in rows]
    neighbourhood = Neighbourhood(
        position=partial(_metres, origin=origin), unit="m", cells=CELLS_M, r_min=HALF_TILE_M, about="one city"
    )
    sets, _ = form_sets(records, neighbourhood, K, seed=0)
    limit = {sets[0].split: PER_CITY}
    for task in make_tasks(_Pairing(), sets, records, queries_per_set=1, limit=limit, seed=0):
        yield _example(folder, city, task)


class _Pairing:
    """Makes the question of a candidate set: the panorama of one, the tiles of all."""

    def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
        """The wording is the same for all."""
        tiles = tuple(record.views["overhead"] for record in candidates)
        return Question(QUESTION, (query.views["ground"],), tiles, {})


def _example(folder: Path, city: str, task: ProxyTask) -> Example:
    views = [photo(folder, view.content, view.kind) for view in (*task.question.query, *task.question.candidates)]
    parts: list[str | View] = [OPENING, views[0][0], "\nSatellite images:"]
    for label, (view, _) in zip(task.labels, views[1:], strict=True):
        parts += [f"\n{label}:", view]
    known = CITIES[city]
    return choice_example(
        task.query_record,
        task.cluster,
        Prompt((*parts, QUESTION)),
        task.labels,
        task.answer,
        task=TRAINED_ON if known.trained_on else HELD_OUT,
        missing=tuple(name for _, gone in views for name in gone),
        flags=(TRAIN_CITY,) if known.trained_on else (),
        truth={"city": known.name, "places": list(task.candidate_records)},
    )


def _record(place: Place, base: str) -> Record:
    split = CITIES[place.city].trained_on
    shown = {"ground": place.panorama, "overhead": place.satellite}
    views = {kind: View(kind, "image", base + path) for kind, path in shown.items()}
    facts = {"latitude": place.latitude_deg, "longitude": place.longitude_deg}
    block = f"{place.city} {place.latitude_deg:.2f} {place.longitude_deg:.2f}"
    return Record(place.panorama, block, views, facts, "train" if split else "test")


def _metres(record: Record, origin: Place) -> tuple[float, float]:
    """East and north of `origin`; good to a percent across a city."""
    per_degree = radians(1) * EARTH_RADIUS_KM * 1000
    east = (float(record.facts["longitude"]) - origin.longitude_deg) * per_degree * cos(radians(origin.latitude_deg))
    return east, (float(record.facts["latitude"]) - origin.latitude_deg) * per_degree
