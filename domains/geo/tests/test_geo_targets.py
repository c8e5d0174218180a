"""Target tasks: balanced answers, right by the elevation model, and apart from the proxy task."""

from collections import Counter
from pathlib import Path

import pytest

from indirect_rlvr.evaluation.grade import grade
from indirect_rlvr.types import Record
from indirect_rlvr_geo.benchmarks.terrain import build
from indirect_rlvr_geo.facts import levels
from indirect_rlvr_geo.language import DIRECTIONS, pairing_question
from indirect_rlvr_geo.records import load
from indirect_rlvr_geo.settings import Settings


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    folder: Path = tmp_path_factory.mktemp("records")
    return [record for record in load(Settings(spacing_m=500.0), folder, 0) if record.split == "test"]


def test_without_records_the_names_are_the_same(held_out: list[Record]) -> None:
    assert [b.name for b in build([], 60, 0)] == [b.name for b in build(held_out, 60, 0)]
    assert [list(b.examples(Path())) for b in build([], 60, 0)] == [[]] * 4


def test_there_are_four_target_tasks_with_balanced_answers(held_out: list[Record]) -> None:
    found = build(held_out, 60, 0)
    assert [b.name for b in found] == ["highest-horizon", "higher-place", "slope-class", "elevation-band"]
    for benchmark in found:
        examples = list(benchmark.examples(Path()))
        counts = Counter(example.truth["answer"] for example in examples)
        assert len(set(counts.values())) == 1, benchmark.name
        assert set(counts) == set(examples[0].truth["labels"])
        (metric,) = benchmark.metrics(grade(benchmark, examples, {}))
        assert metric.baselines["chance"] == metric.baselines["majority"] == pytest.approx(1 / len(counts))


def test_the_highest_horizon_is_highest_by_the_metadata(held_out: list[Record]) -> None:
    places = {record.id: record for record in held_out}
    for example in build(held_out, 60, 0)[0].examples(Path()):
        facts = places[example.id.removeprefix("highest-horizon-")].facts
        highest = max(DIRECTIONS, key=lambda direction: float(facts[f"horizon_{direction}"]))
        assert f"{example.truth['answer']}: {DIRECTIONS[highest]}" in str(example.prompt.parts[-1])


def test_the_level_of_slope_and_elevation_is_the_one_of_the_metadata(held_out: list[Record]) -> None:
    places = {record.id: record for record in held_out}
    for benchmark, fact in zip(build(held_out, 60, 0)[2:], ("slope", "elevation"), strict=True):
        for example in benchmark.examples(Path()):
            level = levels(places[example.id.removeprefix(f"{fact}-")].facts)[fact]
            assert f"{example.truth['answer']}: {fact} {level} " in str(example.prompt.parts[-1])


def test_the_higher_place_is_higher_by_the_metadata(held_out: list[Record]) -> None:
    places = {record.id: record for record in held_out}
    for example in build(held_out, 60, 0)[1].examples(Path()):
        first, second = (places["x" + part] for part in example.id.removeprefix("higher-place-x").split("-x"))
        assert (levels(first.facts)["elevation"] > levels(second.facts)["elevation"]) == (
            example.truth["answer"] == "A"
        )


def test_no_target_asks_the_proxy_question(held_out: list[Record]) -> None:
    for benchmark in build(held_out, 12, 0):
        for example in benchmark.examples(Path()):
            assert not any(pairing_question() in part for part in example.prompt.parts if isinstance(part, str))
