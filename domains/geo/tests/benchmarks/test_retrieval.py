"""Retrieval: ranks by hand, semi-positives, the released formulas, five layouts, and similarity matrices."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation.predictions import score
from indirect_rlvr.evaluation.suite import Place
from indirect_rlvr.types import Example, Prompt, Response
from indirect_rlvr_geo.benchmarks import predictions, ranks
from indirect_rlvr_geo.benchmarks.retrieval import RANKING, benchmarks

STEADY = settings(deadline=None, derandomize=True)
SETS = {benchmark.name: benchmark for benchmark in benchmarks()}
Found = dict[tuple[str, str, str], dict[str, Any]]
VIGOR = "vigor-cross-area"
SINGLE = "rank of the best positive"
FREE, OFFICIAL = "semi-positives taken out", "official: semi-positives rank as negatives"


def query(positives: list[str], semi: list[str], gallery: int) -> Example:
    return Example("q", "q", Prompt(("?",)), {"positives": positives, "semi": semi, "gallery": gallery})


def ranked(name: str, folder: Path, said: dict[str, Any]) -> Found:
    """Metrics by (task, name, convention) of parsed fields by id, through the scoring of prediction files."""
    path = folder / "predictions.jsonl"
    lines(path, *(json.dumps({"id": query, "parsed": fields}) for query, fields in said.items()))
    results = score(Place(SETS[name], folder, ""), path)
    assert results["n_responses"] == len(said)
    return {(m["task"], m["name"], m["convention"]): m for m in results["metrics"]}


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


@pytest.fixture
def vigor(tmp_path: Path) -> Path:
    folder = tmp_path / VIGOR
    for city in ("Chicago", "SanFrancisco"):
        lines(folder / "splits" / city / "satellite_list.txt", *(f"{city}_{n}.png" for n in range(5)))
        label = " ".join(f"{city}_{n}.png 12.5 -3.0" for n in range(4))
        lines(folder / "splits" / city / "pano_label_balanced.txt", f"{city}_p.jpg {label}")
    return folder


@pytest.fixture
def university(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    folder = tmp_path / "university-1652"
    for building, drones in (("0001", 2), ("0002", 1)):
        for number in range(drones):
            picture(folder / "test" / "query_drone" / building / f"{number}.jpg")
            picture(folder / "test" / "gallery_drone" / building / f"{number}.jpg")
        picture(folder / "test" / "query_satellite" / building / "s.jpg")
    for building in ("0001", "0002", "0003"):
        picture(folder / "test" / "gallery_satellite" / building / "s.jpg")
    return folder


@STEADY
@given(st.text() | st.text(alphabet='{}[]:", rankings012'))
def test_no_answer_raises(text: str) -> None:
    example = query(["a"], [], 10)
    ranks.judge(example, ranks.parse(example, Response(text)))


@pytest.mark.parametrize(
    "parsed",
    [
        {}, {"ranking": []}, {"ranking": "abc"}, {"ranking": [1, 2]}, {"ranks": {}}, {"ranks": {"a": 0}},
        {"ranks": {"a": True}}, {"ranks": {"a": 1.5}}, {"ranks": [1]}, {"ranking": {"a": 1}},
    ],
)  # fmt: skip
def test_fields_that_are_no_ranking_place_nothing(parsed: dict[str, Any]) -> None:
    assert ranks.positions(parsed) is None
    assert ranks.parse(query(["a"], [], 10), Response(json.dumps(parsed))) is None
    assert not any(ranks.judge(query(["a"], [], 10), parsed).values())


def test_deep_json_and_a_megabyte_are_no_ranking() -> None:
    for text in ("[" * 1_000_000, '{"ranking": [' * 80_000, '"' * 1_000_000):
        assert ranks.parse(query(["a"], [], 10), Response(text)) is None


def test_semi_positives_are_never_mistakes_except_officially() -> None:
    # best first: two semi-positives, then the positive; then a negative
    values = ranks.judge(query(["p"], ["s", "t"], 10), {"ranking": ["s", "t", "p", "n"]})
    assert (values["R@1"], values["official R@1"], values["official R@5"]) == (1, 0, 1)
    assert (values["hit rate"], values["top-1 covers"]) == (1, 1)
    # a negative before the positive: the first tile covers, and yet the released hit rate says no
    values = ranks.judge(query(["p"], ["s"], 10), {"ranking": ["s", "n", "p"]})
    assert (values["R@1"], values["hit rate"], values["top-1 covers"]) == (0, 0, 1)
    assert ranks.judge(query(["p"], ["s"], 10), {"ranking": ["n", "p"]})["top-1 covers"] == 0


def test_one_percent_is_at_least_the_first_and_rounds_down() -> None:
    for gallery, rank, inside in ((50, 1, 1), (50, 2, 0), (250, 2, 1), (250, 3, 0), (1000, 10, 1), (1000, 11, 0)):
        assert ranks.judge(query(["p"], [], gallery), {"ranks": {"p": rank}})["R@1 %"] == inside


def test_what_was_not_placed_is_not_found_and_repeats_keep_their_first_place() -> None:
    values = ranks.judge(query(["p", "q"], [], 10), {"ranking": ["n", "n", "p", "p"]})
    assert (values["R@1"], values["R@5"]) == (0, 1)
    assert values["AP"] == pytest.approx((1 / 2) / 2)


def released_ap(order: list[str], good: set[str]) -> float:
    """University-1652's AP, as its formula stands."""
    rows = [place for place, item in enumerate(order) if item in good]
    total = 0.0
    for number, row in enumerate(rows):
        before = number / row if row else 1.0
        total += (before + (number + 1) / (row + 1)) / 2 / len(good)
    return total


@STEADY
@given(st.permutations("abcdefg"), st.sets(st.sampled_from("abcdefg"), min_size=1))
def test_both_average_precisions_follow_their_formulas(order: list[str], good: set[str]) -> None:
    values = ranks.judge(query(sorted(good), [], 7), {"ranking": list(order)})
    assert values["AP trapezoid"] == pytest.approx(released_ap(list(order), good))
    hits = [item in good for item in order]
    assert values["AP"] == pytest.approx(
        sum(sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit) / len(good)
    )


def test_no_model_is_asked_to_rank(vigor: Path, scored: Callable[..., Any]) -> None:
    found = scored(SETS[VIGOR], vigor, {})
    assert (found["", "R@1", FREE]["n"], found["", "R@1", FREE]["n_missing_media"]) == (0, 2)
    assert all(example.missing == (RANKING,) for example in SETS[VIGOR].examples(vigor))


def test_vigor_gives_one_positive_and_three_semi_positives_in_its_two_cities(vigor: Path) -> None:
    first, second = SETS[VIGOR].examples(vigor)
    assert first.truth == {
        "positives": ["satellite/Chicago/Chicago_0.png"],
        "semi": [f"satellite/Chicago/Chicago_{n}.png" for n in (1, 2, 3)],
        "gallery": 10,
    }
    said = {first.id: {"ranking": [first.truth["semi"][0], first.truth["positives"][0]]}}
    found = ranked(VIGOR, vigor, said)
    assert found["", "R@1", FREE]["value"] == 0.5
    assert found["", "R@1", OFFICIAL]["value"] == 0
    assert found["", "R@5", OFFICIAL]["value"] == 0.5
    assert found["", "R@5", FREE]["baselines"]["chance"] == pytest.approx(0.5)
    assert found["", "R@1", FREE]["n_parsed"] == 1
    assert second.id == "ground/SanFrancisco/SanFrancisco_p.jpg"


@pytest.mark.parametrize(
    ("ground", "overhead"),
    [("Chicago/panorama", "Chicago/satellite"), ("ground/Chicago", "satellite/Chicago")],
    ids=["as published", "as in the Sample4Geo lineage"],
)
def test_vigor_is_read_as_published_and_as_its_followers_keep_it(vigor: Path, ground: str, overhead: str) -> None:
    for folder in (ground, overhead):
        (vigor / folder).mkdir(parents=True)
    first, second = SETS[VIGOR].examples(vigor)
    assert first.id == f"{ground}/Chicago_p.jpg"
    assert first.truth["positives"] == [f"{overhead}/Chicago_0.png"]
    assert first.truth["semi"] == [f"{overhead}/Chicago_{n}.png" for n in (1, 2, 3)]
    assert second.id == "ground/SanFrancisco/SanFrancisco_p.jpg"  # a city whose images are not there


def test_a_query_whose_tile_is_not_in_the_gallery_is_refused(vigor: Path) -> None:
    lines(vigor / "splits" / "Chicago" / "satellite_list.txt", "Chicago_0.png")
    with pytest.raises(DataError, match=r"'satellite/Chicago/Chicago_1.png' is not in the gallery of 6 images"):
        list(SETS[VIGOR].examples(vigor))


def test_cvusa_pairs_the_columns_of_its_split(tmp_path: Path) -> None:
    rows = [f"bingmap/19/{n:07d}.jpg,streetview/panos/{n:07d}.jpg,polarmap/{n}.png" for n in range(3)]
    lines(tmp_path / "splits" / "val-19zl.csv", *rows)
    said = {"streetview/panos/0000001.jpg": {"ranks": {"bingmap/19/0000001.jpg": 1}}}
    found = ranked("cvusa-retrieval", tmp_path, said)
    assert found["", "R@1", SINGLE]["value"] == pytest.approx(1 / 3)
    assert ("", "hit rate", SINGLE) not in found


def test_cvact_reads_the_numbers_of_its_validation_set_from_one(tmp_path: Path) -> None:
    names = np.array([["aa"], ["bb"], ["cc"]], dtype=object)
    numbers = {"valNum": 2, "valInd": np.array([[1], [3]])}
    savemat(tmp_path / "ACT_data.mat", {"panoIds": names, "valSet": numbers, "utm": np.zeros((3, 2))})
    found = list(SETS["cvact-retrieval"].examples(tmp_path))
    assert [example.cluster for example in found] == ["aa", "cc"]
    assert found[0].truth["positives"] == ["ANU_data_small/satview_polish/aa_satView_polish.jpg"]


@pytest.mark.parametrize("data", [b"", b"torn", b"MATLAB 5.0" + b"\x00" * 200])
def test_a_torn_mat_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ACT_data.mat").write_bytes(data)
    with pytest.raises(DataError, match="ACT_data.mat"):
        list(SETS["cvact-retrieval"].examples(tmp_path))


def test_university_asks_both_ways_and_unasked_buildings_distract(university: Path) -> None:
    examples = list(SETS["university-1652"].examples(university))
    assert [(e.task, len(e.truth["positives"]), e.truth["gallery"]) for e in examples] == [
        ("drone to satellite", 1, 3),
        ("drone to satellite", 1, 3),
        ("drone to satellite", 1, 3),
        ("satellite to drone", 2, 3),
        ("satellite to drone", 1, 3),
    ]
    said = {examples[3].id: {"ranking": ["x", *examples[3].truth["positives"]]}}
    found = ranked("university-1652", university, said)
    trapezoid = "precision before and at each positive (University-1652)"
    assert found["satellite to drone", "AP trapezoid", trapezoid]["value"] == pytest.approx(
        released_ap(["x", "a", "b"], {"a", "b"}) / 2
    )
    assert found["drone to satellite", "R@1", SINGLE]["n"] == 3


def test_near_tiles_of_cv_cities_are_semi_positives(tmp_path: Path) -> None:
    rows = [f"a{n},{121.56 + step:.6f},25.03,taipei,sat/{n}.jpg,pano/{n}.jpg" for n, step in enumerate((0, 2e-4, 1e-2))]
    lines(tmp_path / "taipei" / "img_info.csv", *rows)
    lines(tmp_path / "paris" / "img_info.csv", "b,2.35,48.86,paris,sat/9.jpg,pano/9.jpg")
    found = list(SETS["cv-cities-retrieval"].examples(tmp_path))
    assert [(e.truth["semi"], e.truth["gallery"]) for e in found] == [(["sat/1.jpg"], 3), (["sat/0.jpg"], 3), ([], 3)]


def test_cv_cities_without_a_test_city_is_refused(tmp_path: Path) -> None:
    lines(tmp_path / "paris" / "img_info.csv", "b,2.35,48.86,paris,sat/9.jpg,pano/9.jpg")
    with pytest.raises(DataError, match="has none of the test cities taipei, singapore"):
        list(SETS["cv-cities-retrieval"].examples(tmp_path))


def test_a_similarity_matrix_becomes_positions_and_ties_count_against_it(vigor: Path, tmp_path: Path) -> None:
    scores = np.zeros((2, 10), dtype=np.float32)
    scores[0, :5] = [0.5, 0.9, 0.5, 0.1, 0.5]
    np.save(tmp_path / "scores.npy", scores)
    out = tmp_path / "out.jsonl"
    assert predictions.main([VIGOR, str(tmp_path), str(out), str(tmp_path / "scores.npy")]) == 2
    first, second = [json.loads(line)["parsed"]["ranks"] for line in out.read_text().splitlines()]
    # 0.9 (semi 1) first; then 0.5 of a negative (tile 4), then of tiles 0 and 2; 0.1 after them
    assert first == {f"satellite/Chicago/Chicago_{n}.png": place for n, place in ((1, 1), (0, 3), (2, 4), (3, 5))}
    assert sorted(second.values()) == [7, 8, 9, 10]


@pytest.mark.parametrize("kind", ["shape", "pickle", "NaN", "whole numbers", "torn"])
def test_a_matrix_that_is_none_is_refused(vigor: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "scores.npy"
    matrix: Any = np.zeros((2, 10))
    if kind == "torn":
        path.write_bytes(b"\x93NUMPY")
    else:
        changed = {
            "shape": matrix[:, :3],
            "pickle": np.array([[{}]], dtype=object),
            "NaN": matrix * np.nan,
            "whole numbers": matrix.astype(np.int64),
        }
        np.save(path, changed[kind], allow_pickle=True)
    with pytest.raises(DataError, match="scores.npy"):
        predictions.main([VIGOR, str(tmp_path), str(tmp_path / "out.jsonl"), str(path)])
    assert not (tmp_path / "out.jsonl").exists()


def test_masks_become_lines_and_other_benchmarks_are_refused(tmp_path: Path, picture: Callable[[Path], None]) -> None:
    root = tmp_path / "earthreason-val" / "val"
    picture(root / "images" / "1.jpg")
    picture(root / "labels" / "1.png")
    lines(root / "QAs" / "1.json", '{"questions": ["?"], "answer": []}')
    picture(tmp_path / "masks" / "val-1.png")
    out = tmp_path / "out.jsonl"
    assert predictions.main(["earthreason-val", str(tmp_path), str(out), str(tmp_path / "masks")]) == 1
    assert json.loads(out.read_text()) == {"id": "val-1", "parsed": {"mask": {"size": [8, 8], "counts": [0, 64]}}}
    with pytest.raises(ConfigError, match="`x` has no rankings and no masks"):
        predictions.main(["x", str(tmp_path), str(out), "y"])
    with pytest.raises(ConfigError, match="expected benchmark, DATA_ROOT"):
        predictions.main([])
