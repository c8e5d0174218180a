"""OSV-5M (Astruc et al., CVPR 2024): where a Mapillary street photo was taken, answered in coordinates."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.evaluation.metrics import STRICT, asked, majority, share
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Source
from indirect_rlvr_geo.benchmarks import im2gps
from indirect_rlvr_geo.benchmarks.distances import (
    PROMPT,
    distance_metrics,
    distance_values,
    required_position,
)
from indirect_rlvr_geo.benchmarks.geocoding import GAZETTEER, nearest_country
from indirect_rlvr_geo.benchmarks.truths import Photos, cell, distinct, position, read_rows, truth_position

TABLE = "test.csv"
_KEPT = ("country", "region", "sub-region", "city")


def benchmarks() -> list[Benchmark]:
    """The test split, or whatever part of it the table lists."""
    source = Source(
        homepage="https://huggingface.co/datasets/osv5m/osv5m",
        licence="CC BY-SA 4.0 (Mapillary)",
        size="210,122 photos",
        layout=f"{TABLE} and the unpacked zip files of images/test as images/test/00/<id>.jpg …",
        files=(TABLE,),
        revision="CVPR 2024",
    )
    about = "coordinates of a Mapillary photo: GeoScore, distances, Acc@km, country"
    return [Benchmark("osv5m", about, source, examples, im2gps.parse, judge, metrics, main="GeoScore")]


def examples(folder: Path) -> Iterator[Example]:
    """One for each row; the cluster is the Mapillary sequence where the table names it, for its photos follow each
    other on one road."""
    photos, seen = Photos(folder), Counter[str]()
    for row in read_rows(folder / TABLE, ("id",), ("latitude",), ("longitude",)):
        name, flags = distinct(cell(row, "id"), seen)
        place = position(cell(row, "latitude"), cell(row, "longitude"))
        truth = truth_position(place) | {kind: row[kind] for kind in _KEPT if row.get(kind)}
        view, missing = photos.find(f"test/{cell(row, 'id')}.jpg")
        cluster = cell(row, "sequence", "cell") or name
        yield Example(name, cluster, Prompt((view, PROMPT)), truth, missing=missing, flags=flags)


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """`distance_values`, and `country`: whether the town nearest to the guess lies in the true country."""
    guess = required_position(parsed)
    values = distance_values(example, guess)
    if _has_country(example):
        values["country"] = float(guess is not None and nearest_country(*guess) == example.truth["country"])
    return values


def metrics(graded: Sequence[Graded]) -> Sequence[Metric]:
    """`distance_metrics`, and the share of guesses in the right country."""
    countries = [one.example.truth["country"] for one in asked(graded) if _has_country(one.example)]
    baselines = {"majority": majority(countries)} if countries else {}
    convention = f"{STRICT}, nearest town of {GAZETTEER}"
    return [
        *distance_metrics(graded),
        share(graded, "country", convention, applies=_has_country, baselines=baselines),
    ]


def _has_country(example: Example) -> bool:
    return "country" in example.truth
