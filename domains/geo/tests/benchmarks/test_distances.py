"""Coordinates in responses, kilometres, accuracies at distances, and their baselines."""

import math

import pytest

from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr.types import Example, Graded, Metric, Prompt
from indirect_rlvr_geo.benchmarks.distances import (
    FARTHEST_KM,
    distance_metrics,
    distance_values,
    read_coordinates,
    stated_position,
)

BERLIN = Coordinates(52.5, 13.4)


def asked(name: str, place: tuple[float, float] | None, missing: tuple[str, ...] = ()) -> Example:
    truth = {} if place is None else {"latitude": place[0], "longitude": place[1]}
    return Example(name, name, Prompt(("where?",)), truth, missing=missing)


def graded(example: Example, guess: tuple[float, float] | None) -> Graded:
    return Graded(example, None if guess is None else {"seen": True}, distance_values(example, guess))


def by_name(found: list[Metric]) -> dict[tuple[str, str], Metric]:
    return {(metric.name, metric.convention): metric for metric in found}


@pytest.mark.parametrize("text", [
    "", "I cannot tell.", "<answer></answer>", "<answer>Berlin</answer>", "<answer>152.5, 13.4</answer>",
    "<answer>52.5, 213.4</answer>", "<answer>-157.8, 21.3</answer>", "<answer>52.5, 13.4\n48.8, 2.3</answer>",
    "52.5, 13.4 or maybe 48.8, 2.3", "I see:\n12\n34", "Options:\n3 4\nnone", "<answer>nan, nan</answer>",
    "52.5, 13.4\n<answer>unknown</answer>", "<answer>52.5</answer>", "inf, 1.0", "1e400, 2.0",
])  # fmt: skip
def test_what_is_not_one_place_in_range_is_no_place(text: str) -> None:
    assert read_coordinates(text) is None


@pytest.mark.parametrize("text", [
    "<answer>52.5, 13.4</answer>", "52.5, 13.4", "<think>48.8, 2.3?</think><answer>(52.5, 13.4)</answer>",
    "<answer>52.5° N, 13.4° E</answer>", "<answer>52°30'N 13°24'E</answer>", "A street.\nCoordinates: 52.5, 13.4",
    "A street.\nLatitude: 52.5\nLongitude: 13.4\n", '<answer>{"lat": 52.5, "lon": 13.4}</answer>',
    "<answer>1.0, 1.0</answer> no: <answer>52.5, 13.4</answer>",
    "<answer>city: Berlin\ncoordinates: [52.5, 13.4]</answer>",
    "52.5, 13.4\n\nAs I said: 52.5, 13.4",
])  # fmt: skip
def test_one_place_is_read_wherever_it_stands(text: str) -> None:
    assert read_coordinates(text) == BERLIN


def test_a_long_response_is_read_to_its_end() -> None:
    assert read_coordinates("a line of thought, 1.5, 2.5\n" * 40_000 + "Coordinates: 52.5, 13.4") == BERLIN
    assert read_coordinates("7" * 1_000_000) is None


def test_an_example_without_a_true_position_has_no_values() -> None:
    assert distance_values(asked("a", None), BERLIN) == {}


def test_without_a_guess_everything_is_wrong_and_there_are_no_kilometres() -> None:
    values = distance_values(asked("a", BERLIN), None, "x ")
    assert set(values.values()) == {0.0}
    assert set(values) == {"x GeoScore", *(f"x Acc@{km}km" for km in (1, 25, 200, 750, 2500))}


def test_a_guess_is_right_at_every_distance_it_is_within() -> None:
    one_degree = math.pi * 6371.0 / 180
    values = distance_values(asked("a", (0.0, 0.0)), (0.0, 1.0))
    assert values["km"] == pytest.approx(one_degree)
    assert values["GeoScore"] == pytest.approx(5000 * math.exp(-one_degree / 1492.7))
    assert [values[f"Acc@{km}km"] for km in (1, 25, 200, 750, 2500)] == [0, 0, 1, 1, 1]


@pytest.mark.parametrize("fields", [
    {"latitude": 91, "longitude": 0}, {"latitude": 0, "longitude": -181}, {"latitude": "north", "longitude": 0},
    {"latitude": float("nan"), "longitude": 0},
])  # fmt: skip
def test_fields_of_others_that_are_no_coordinates_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"out of range|could not convert"):
        stated_position(fields)


def test_fields_without_coordinates_are_no_place() -> None:
    assert stated_position(None) is stated_position({"state": "TX"}) is None
    assert stated_position({"latitude": 52.5, "longitude": "13.4"}) == BERLIN


def test_strict_metrics_count_failures_and_leave_missing_photos_out() -> None:
    found = by_name(distance_metrics([
        graded(asked("right", (0.0, 0.0)), (0.0, 0.0)),
        graded(asked("silent", (0.0, 10.0)), None),
        graded(asked("near", (0.0, 20.0)), (0.0, 21.0)),
        Graded(asked("gone", (0.0, 30.0), ("images/gone.jpg",)), None, {}),
        graded(asked("no truth", None), (1.0, 1.0)),
    ]))  # fmt: skip
    accuracy = found["Acc@25km", "strict"]
    assert (accuracy.value, accuracy.n, accuracy.n_parsed, accuracy.n_missing_media) == (1 / 3, 3, 2, 1)
    assert found["Acc@200km", "strict"].value == 2 / 3
    one_degree = math.pi * 6371.0 / 180
    assert found["mean distance", "strict"].value == pytest.approx((one_degree + FARTHEST_KM) / 3)
    assert found["median distance", "strict"].value == pytest.approx(one_degree)
    assert found["mean distance", "answered"].value == pytest.approx(one_degree / 2)
    assert (found["mean distance", "answered"].n, found["mean distance", "answered"].n_parsed) == (2, 2)
    assert not found["mean distance", "answered"].higher_is_better
    assert found["GeoScore", "strict"].value == pytest.approx((5000 + 5000 * math.exp(-one_degree / 1492.7)) / 3)
    assert found["GeoScore", "strict"].unit == "points"


def test_no_true_place_beats_the_best_constant_location() -> None:
    places = [(52.5, 13.4), (52.6, 13.5), (48.9, 2.3), (-33.9, 151.2)]
    found = distance_metrics(
        [graded(asked(str(number), place), place) for number, place in enumerate(places)], constants={"Berlin": BERLIN}
    )
    for metric in found:
        constant, berlin = metric.baselines["best constant location"], metric.baselines["Berlin"]
        assert constant >= berlin if metric.higher_is_better else constant <= berlin
        assert "another example's location" in metric.baselines
    assert by_name(found)["Acc@25km", "strict"].baselines["best constant location"] == 0.5
    mean = sum(great_circle_km(*BERLIN, *place) for place in places) / 4
    assert by_name(found)["mean distance", "strict"].baselines["Berlin"] == pytest.approx(mean)


def test_another_examples_location_is_never_the_own_one() -> None:
    places = [(0.0, 0.0), (0.0, 90.0), (0.0, 180.0), (0.0, -90.0)]
    found = by_name(distance_metrics([graded(asked(str(p), p), None) for p in places]))
    assert found["Acc@2500km", "strict"].baselines["another example's location"] == 0.0


def test_nothing_graded_gives_metrics_of_nothing() -> None:
    found = distance_metrics([])
    assert all(metric.n == 0 and math.isnan(metric.value) and not metric.baselines for metric in found)
