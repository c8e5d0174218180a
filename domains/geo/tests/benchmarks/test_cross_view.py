"""Pairing on CV-Cities: the table's traps, symmetric sets of neighbours, balanced letters, cities kept apart."""

from collections import Counter
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.types import Example, Prompt, Response
from indirect_rlvr_geo.benchmarks.cross_view import HELD_OUT, TRAINED_ON, benchmarks, parse
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES, HALF_TILE_M, city_id, places

STEADY = settings(deadline=None, derandomize=True)
(BENCHMARK,) = benchmarks()
FIVE = Example("a", "a", Prompt(("?",)), {"labels": list("ABCDE"), "answer": "B", "city": "Taipei"})
READ = "of the answers read"


def city(folder: Path, name: str, count: int, longitude: float, latitude: float, step: float = 0.001) -> dict[str, str]:
    """A city's table of places on a line, and where each of them is."""
    (folder / name).mkdir()
    rows, where = [], {}
    for number in range(count):
        lon, lat = longitude + number * step, latitude
        rows.append(f"{name}{number},{lon:.6f},{lat:.6f},{name},{name}/sat/{number}.jpg,{name}/pano/{number}.jpg")
        where[f"{name}/sat/{number}.jpg"] = f"{name}/pano/{number}.jpg"
    (folder / name / "img_info.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return where


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    for satellite, panorama in city(tmp_path, "taipei", 20, 121.56, 25.03).items():
        picture(tmp_path / satellite)
        picture(tmp_path / panorama)
    city(tmp_path, "captown", 10, 18.42, -33.93)
    return tmp_path


@STEADY
@given(st.text() | st.text(alphabet="ABCDE <answer>/think.\n"))
def test_no_answer_raises(text: str) -> None:
    found = parse(FIVE, Response(text))
    BENCHMARK.judge(FIVE, found)


def test_a_table_with_swapped_columns_is_refused(tmp_path: Path) -> None:
    city(tmp_path, "barcelona", 8, 41.39, 2.17)
    with pytest.raises(
        DataError, match=r"line 1 has longitude '41.390000' and latitude '2.170000', not within 150 km of"
    ):
        list(BENCHMARK.examples(tmp_path))


def test_a_city_of_no_place_is_refused(tmp_path: Path) -> None:
    city(tmp_path, "barcelona", 0, 2.17, 41.39)
    with pytest.raises(DataError, match=r"barcelona/img_info.csv` lists no place; download it again"):
        list(BENCHMARK.examples(tmp_path))


def test_a_table_with_a_header_or_short_lines_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taipei").mkdir()
    path = tmp_path / "taipei" / "img_info.csv"
    path.write_text("name,longitude,latitude,city,sat_dir,pano_dir\n")
    with pytest.raises(DataError, match="without a header"):
        list(BENCHMARK.examples(tmp_path))
    path.write_text("a,121.5,25.0\n")
    with pytest.raises(DataError, match="line 1 has 3 cells; expected at least 6"):
        list(BENCHMARK.examples(tmp_path))


def test_an_unknown_city_is_refused_and_spellings_are_known(tmp_path: Path) -> None:
    assert [city_id(name) for name in ("captown", "Cape Town", "MANILA", "maynila", "Rio")] == [
        "captown", "captown", "maynila", "maynila", "rio",
    ]  # fmt: skip
    city(tmp_path, "atlantis", 8, 0, 0)
    with pytest.raises(DataError, match="atlantis` is none of the cities barcelona"):
        list(BENCHMARK.examples(tmp_path))


def test_ten_cities_are_trained_on_and_six_are_held_out() -> None:
    assert Counter(each.trained_on for each in CITIES.values()) == {True: 10, False: 6}


def test_a_place_that_comes_again_in_another_month_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "img_info.csv"
    path.write_text("a,121.5,25.0,taipei,1.jpg,1p.jpg\nb,121.5,25.0000001,taipei,2.jpg,2p.jpg\n")
    assert [place.name for place in places("taipei", path)] == ["a"]


def test_candidates_are_neighbours_at_least_half_a_tile_apart(tmp_path: Path) -> None:
    city(tmp_path, "taipei", 60, 121.56, 25.03, step=0.0003)  # every 30 m
    where = {place.panorama: place for place in places("taipei", tmp_path / "taipei" / "img_info.csv")}
    examples = list(BENCHMARK.examples(tmp_path))
    assert len(examples) > 8
    for example in examples:
        members = [where[name] for name in example.truth["places"]]
        apart = [
            great_circle_km(one.latitude_deg, one.longitude_deg, other.latitude_deg, other.longitude_deg) * 1000
            for one, other in combinations(members, 2)
        ]
        assert len(members) == 5 and min(apart) >= HALF_TILE_M * 0.99 and max(apart) < 2000


def test_the_right_letter_shows_the_place_of_the_panorama_and_comes_equally_often(folder: Path) -> None:
    examples = list(BENCHMARK.examples(folder))
    assert [example.task for example in examples] == [HELD_OUT] * 4 + [TRAINED_ON] * 2
    for example in examples:
        views = [part.content for part in example.prompt.parts if not isinstance(part, str)]
        right = views[1 + "ABCDE".index(example.truth["answer"])]
        assert right == views[0].replace("pano", "sat")
    assert max(Counter(e.truth["answer"] for e in examples if e.task == HELD_OUT).values()) == 1
    assert [e.id for e in examples] == [e.id for e in BENCHMARK.examples(folder)]


def test_images_are_found_below_their_city_too(tmp_path: Path, picture: Callable[[Path], None]) -> None:
    city(tmp_path, "taipei", 10, 121.56, 25.03)
    table = tmp_path / "taipei/img_info.csv"
    table.write_text(table.read_text().replace("taipei/sat", "/sat").replace("taipei/pano", "pano"))
    for number in range(10):
        picture(tmp_path / f"taipei/sat/{number}.jpg")
        picture(tmp_path / f"taipei/pano/{number}.jpg")
    found = list(BENCHMARK.examples(tmp_path))
    assert found and not any(example.missing for example in found)


def test_train_cities_are_flagged_and_their_missing_images_counted(folder: Path) -> None:
    last = list(BENCHMARK.examples(folder))[-1]
    assert last.flags == ("train city",) and len(last.missing) == 6


def test_the_fixture_scores_as_by_hand(folder: Path, scored: Callable[..., Any]) -> None:
    held_out = [example for example in BENCHMARK.examples(folder) if example.task == HELD_OUT]
    right = [example.truth["answer"] for example in held_out]
    wrong = next(letter for letter in "ABCDE" if letter not in right)
    said = {
        held_out[0].id: f"<think>t</think><answer>{right[0]}</answer>",
        held_out[1].id: right[1],
        held_out[2].id: f"<answer>{wrong}</answer>",
    }
    found = scored(BENCHMARK, folder, said)
    overall = found[HELD_OUT, "accuracy", "strict"]
    assert (overall["value"], overall["n"], overall["n_parsed"]) == (0.5, 4, 3)
    assert overall["baselines"]["chance"] == pytest.approx(0.2)
    assert found[HELD_OUT, "parse rate", "strict"]["value"] == 0.75
    assert found[HELD_OUT, "format rate", "strict"]["value"] == 0.25
    position = found[HELD_OUT, f"position {wrong}", READ]
    assert (position["value"], position["n"]) == (pytest.approx(1 / 3), 3)
    assert sum(found[HELD_OUT, f"position {letter}", READ]["value"] for letter in [*right, wrong]) == pytest.approx(1)
    assert found["Taipei", "accuracy", "strict"]["value"] == 0.5
    assert found[TRAINED_ON, "accuracy", "strict"]["n_missing_media"] == 2
    assert found["Cape Town", "accuracy", "strict"]["value"] is None
