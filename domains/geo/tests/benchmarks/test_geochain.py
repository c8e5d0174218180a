"""GeoChain: bad rows, readings of answers, a run by hand, and the official key of 2,100 × 21 answers."""

import csv
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.types import Benchmark, Example, Prompt, Response
from indirect_rlvr_geo import gazetteer, nations
from indirect_rlvr_geo.benchmarks import geochain, geochain_answers, geochain_images, geochain_metrics
from indirect_rlvr_geo.benchmarks.countries import country_code
from indirect_rlvr_geo.benchmarks.geochain_key import BINARY, CITIES, COLUMNS, OPTIONS, RULED, answers

Found = dict[tuple[str, str, str], dict[str, Any]]
Real = tuple[list[Example], list[dict[str, str]]]
REAL = Path(__file__).parents[5] / "shared/data/geochain"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/geochain")
GEOCHAIN = geochain.benchmarks()[0]
CONSTANTS = [
    "Near Coast",
    "Island",
    "Desert Region",
    "Mountainous",
    "Climate Type",
    "Big City",
    "Small Town",
    "Languages",
]
ROWS = (
    'k1,0.5,35.6812,139.7671,tokyo,query,"{""car"": 0.1, ""flag"": 0.01}",s1',
    'k2,0.3,45.4215,-75.6972,ottawa,database,"{""boat"": 0.2}",s2',
    'k3,0.2,-1.2921,36.8219,nairobi,query,"{}",s3',
)
KEYS = {
    "k1": "No Yes No Yes No No Yes Asia Left Japan Yes No No No Temperate Yes No Japanese Tokyo Tokyo",
    "k3": "No No No No Yes No No Africa Left Kenya No No No Yes Temperate Yes No Swahili,English Nairobi|Area Nairobi",
}


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    """Three rows in the release's schema; the photo of k3 is missing."""
    cities = [
        ("Tokyo", "Yes,No,No,No,Temperate,Yes,No,Japanese"),
        ("Ottawa", 'No,No,No,No,Continental,Yes,No,"English, French"'),
        ("Nairobi", 'No,No,No,Yes,Temperate,Yes,No,"Swahili, English"'),
    ]
    lines = [f"{name},{cells}" for name, cells in cities]
    (tmp_path / "per_city_answers.csv").write_text("\n".join((",".join(("City", *CONSTANTS)), *lines)))
    texts = [f"{number},Easy,Question {number}?,Binary,x" for number in range(1, 22)]
    header = "Rank,Difficulty,Question,Question Type,Question Category"
    (tmp_path / "questions.csv").write_text("\n".join((header, *texts)))
    write(tmp_path, *ROWS)
    picture(tmp_path / "tokyo/query/images/k1.jpg")
    picture(tmp_path / "ottawa/database/images/k2.jpg")
    return tmp_path


def write(folder: Path, *rows: str) -> None:
    header = "key,locatability_score,lat,lon,city,sub_folder,class_mapping,sequence_key"
    (folder / "test_samples.csv").write_text("\n".join((header, *rows)))


@pytest.mark.parametrize(("row", "message"), [
    ('k,0.5,139.7671,35.6812,tokyo,query,"{}",s', r"test_samples.csv` line 2: lat '139.7671', lon '35.6812' is no pos"),
    ('k,0.5,-75.6972,45.4215,ottawa,query,"{}",s', r"line 2: \(-75.6972, 45.4215\) is \d+ km from .* swapped"),
    ('k,0.5,45.4215,-75.6972,tokyo,query,"{}",s', r"line 2: city 'tokyo', but \(45.4215, -75.6972\) is in Ottawa"),
    ('k,0.5,45.4215,-75.6972,ottawa,query,"{""car"": 0.',  r"line 2: class_mapping is cut off or no JSON"),
    ('k,0.5,45.4215,-75.6972,ottawa,query,"[]",s', r"line 2: class_mapping holds list; expected names"),
    ('k,0.5,,-75.6972,ottawa,query,"{}",s', r"line 2: lat '', lon '-75.6972' is no position"),
])  # fmt: skip
def test_a_bad_row_is_named(folder: Path, row: str, message: str) -> None:
    write(folder, row)
    with pytest.raises(DataError, match=message):
        list(geochain.examples(folder))


def test_files_of_something_else_are_refused(folder: Path) -> None:
    (folder / "questions.csv").write_text("Rank,Question\n1,a\n")
    with pytest.raises(DataError, match=r"numbers its questions \['1'\]; expected 1 to 21"):
        list(geochain.examples(folder))
    (folder / "per_city_answers.csv").write_text("City,Near Coast\nTokyo,Yes\n")
    with pytest.raises(DataError, match=r"has no column `Island`"):
        list(geochain.examples(folder))


def test_a_city_without_a_row_in_the_table_is_named() -> None:
    with pytest.raises(DataError, match="the table of cities has no row for Tokyo"):
        answers(35.6812, 139.7671, set(), {})


def test_the_key_follows_the_rules(folder: Path) -> None:
    found: dict[str, list[str]] = {}
    for example in geochain.examples(folder):
        found.setdefault(example.id[:2], []).append(example.truth["answer"])
    for name, key in KEYS.items():
        plain = [answer.replace(", ", ",").replace(" ", "|") for answer in found[name][:20]]
        assert plain == key.split(" ")
    assert found["k2"][0] == "Yes"
    assert [found[name][20] for name in ("k1", "k2", "k3")] == [
        "35.6812, 139.7671", "45.4215, -75.6972", "-1.2921, 36.8219"
    ]  # fmt: skip


def test_media_flags_and_clusters(folder: Path) -> None:
    found = {example.id: example for example in geochain.examples(folder)}
    assert len(found) == 63
    assert found["k1-q21"].flags == ("train city", "watermark not cropped")
    assert found["k2-q01"].flags == ("watermark not cropped",)
    assert found["k3-q01"].missing == ("nairobi/query/images/k3.jpg",)
    assert found["k2-q01"].cluster == "ottawa"


def test_the_cities_that_cv_cities_trains_on_are_flagged() -> None:
    assert {"manila", "melbourne", "paris", "tokyo"} == geochain.TRAINED


def test_a_key_that_comes_twice_is_asked_twice_and_flagged(folder: Path) -> None:
    write(folder, ROWS[1], ROWS[1])
    found = list(geochain.examples(folder))
    assert [found[0].id, found[21].id] == ["k2-q01", "k2#2-q01"]
    assert "duplicate id" in found[21].flags and "duplicate id" not in found[0].flags


def test_cropped_images_take_the_place_of_the_others(folder: Path) -> None:
    path = folder / "tokyo/query/images/k1.jpg"
    Image.new("RGB", (8, 100)).save(path)
    (folder / "ottawa/database/images/k2.jpg").unlink()
    assert geochain_images.crop(folder) == 1
    assert geochain_images.crop(folder) == 0
    with Image.open(folder / "cropped/tokyo/query/images/k1.jpg") as image:
        assert image.size == (8, 70)
    found = {example.id: example for example in geochain.examples(folder)}
    assert found["k1-q01"].flags == ("train city",)
    view = found["k1-q01"].prompt.parts[1]
    assert not isinstance(view, str) and view.content == "cropped/tokyo/query/images/k1.jpg"


def test_an_image_without_rows_to_spare_or_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="k2.jpg` cannot be read as an image: it has 8 rows; expected more than 30"):
        geochain_images.crop(folder)
    (folder / "ottawa/database/images/k2.jpg").write_bytes(b"no image")
    with pytest.raises(DataError, match="k2.jpg` cannot be read as an image"):
        geochain_images.crop(folder)


def test_an_image_of_a_kind_that_calls_other_programs_or_of_too_many_pixels_is_not_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / "ottawa/database/images/k2.jpg"
    Image.new("RGB", (40, 40)).save(place, "EPS")
    with pytest.raises(DataError, match="k2.jpg` cannot be read as an image: cannot identify"):
        geochain_images.crop(folder)
    Image.new("RGB", (40, 40)).save(place)
    monkeypatch.setattr(geochain_images, "MAX_PIXELS", 1599)
    with pytest.raises(DataError, match="it is 40x40; at most 1599 pixels are decoded"):
        geochain_images.crop(folder)


def test_coordinates_out_of_range_are_none_even_where_somebody_else_parsed_them(folder: Path) -> None:
    (where,) = (example for example in geochain.examples(folder) if example.id == "k1-q21")
    with pytest.raises(ValueError, match=r"coordinates \(-157.8, 196.8\) are out of range"):
        geochain.judge(where, {"latitude": -157.8, "longitude": 196.8})


def test_a_folder_without_images_and_other_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no CITY/SUB_FOLDER/images"):
        geochain_images.main([str(tmp_path)])
    with pytest.raises(ConfigError, match="expected the folder of GeoChain, got \\[\\]"):
        geochain_images.main([])


def test_a_prompt_lists_closed_options_and_asks_for_one_free_answer(folder: Path) -> None:
    texts = {example.id: str(example.prompt.parts[2]) for example in geochain.examples(folder)}
    assert "Question 9? Reason" in texts["k1-q09"]
    assert "one of: Left, Right, between <answer>" in texts["k1-q09"]
    assert "only the name of the country, between <answer>" in texts["k1-q10"]
    assert "latitude and longitude in decimal degrees" in texts["k1-q21"]


def ask(question: int, answer: str, text: str, **more: Any) -> dict[str, float]:
    label = answer if question in OPTIONS else geochain_answers.label(question, answer)
    truth = {"question": question, "answer": answer, "label": label, **more}
    example = Example("x", "x", Prompt(("",)), truth)
    return geochain.judge(example, geochain.parse(example, Response(text)))


@pytest.mark.parametrize("text", ["", "<answer></answer>", "<think>Yes", "<answer>Yes", "<answer>Yes or No</answer>",
                                  "<think>Yes</think>", "<answer>maybe</answer>"])  # fmt: skip
def test_what_is_no_clear_option_is_unparsed(text: str) -> None:
    example = Example("x", "x", Prompt(("",)), {"question": 1, "answer": "Yes", "label": "Yes"})
    assert geochain.parse(example, Response(text)) is None


@pytest.mark.parametrize(
    "text", ["yes", "<think>No.</think><answer>**Yes.**</answer>", "<answer>The answer is yes</answer>"]
)
def test_an_option_is_read_in_any_spelling(text: str) -> None:
    assert ask(1, "Yes", text) == {"correct": 1.0}


@pytest.mark.parametrize(("question", "gold", "text", "correct", "raw"), [
    (10, "Russian Federation", "Russia", 1, 0),
    (10, "Russian Federation", "Russian Federation.", 1, 1),
    (10, "United States", "the USA", 1, 0),
    (10, "United Kingdom", "UK", 1, 0),
    (10, "Switzerland", "Sweden", 0, 0),
    (19, "Moscow", "Moscow Oblast", 0, 0),
    (19, "Moskovskaya", "Moscow Oblast", 1, 0),
    (19, "Ile-de-France", "Île de France", 1, 1),
    (19, "Sor-Trondelag", "Sør-Trøndelag", 1, 1),
    (19, "Capital Region", "Region Hovedstaden", 1, 0),
    (19, "Pest", "Pest County", 1, 0),
    (19, "Ontario", "Province of Ontario", 1, 0),
    (20, "Sao Paulo", "São Paulo", 1, 1),
    (20, "Copenhagen", "København", 1, 0),
    (20, "San Francisco", "SF", 1, 0),
    (20, "Zurich", "Zürich", 1, 1),
    (20, "Boston", "Austin", 0, 0),
])  # fmt: skip
def test_names_are_compared_with_and_without_their_other_names(
    question: int, gold: str, text: str, correct: int, raw: int
) -> None:
    assert ask(question, gold, f"<answer>{text}</answer>") == {"correct": correct, "raw": raw}


@pytest.mark.parametrize(("text", "correct", "same"), [
    ("English, French", 1, 1), ("French", 1, 0), ("English and Spanish", 0, 0), ("English, Inuktitut", 1, 0),
    ("mainly English; some French", 1, 1), ("Klingon", 0, 0), ("", 0, 0), ("German", 0, 0),
])  # fmt: skip
def test_languages_count_leniently_and_as_a_set(text: str, correct: int, same: int) -> None:
    found = ask(18, "English, French", f"<answer>{text}</answer>", languages=["English", "French"], country="CA")
    assert found == {"correct": correct, "same set": same}


def test_coordinates_are_right_within_25_km() -> None:
    truth = {"latitude": 45.0, "longitude": -75.0}
    near = ask(21, "45.0000, -75.0000", "<answer>(45.1, -75.0)</answer>", **truth)
    assert near["correct"] == 1 and near["km"] == pytest.approx(11.119, abs=1e-3)
    assert ask(21, "", "<answer>46, -75</answer>", **truth)["correct"] == 0
    assert ask(21, "", "<answer>145, -75</answer>", **truth) == {
        "correct": 0, "Acc@1km": 0, "Acc@25km": 0, "Acc@200km": 0, "Acc@750km": 0, "Acc@2500km": 0, "GeoScore": 0
    }  # fmt: skip


def test_a_run_by_hand(folder: Path, scored: Callable[[Benchmark, Path, Mapping[str, str]], Found]) -> None:
    found = scored(GEOCHAIN, folder, {
        "k1-q01": "<answer>No</answer>", "k2-q01": "<answer>No</answer>", "k1-q10": "<answer>Japan</answer>",
        "k2-q10": "<answer>Japan</answer>", "k1-q18": "<answer>Japanese</answer>", "k2-q18": "<answer>French</answer>",
        "k1-q21": "<answer>35.6812, 139.7671</answer>",
    })  # fmt: skip
    first = found["q01", "accuracy", "strict"]
    assert (first["value"], first["n"], first["n_parsed"], first["n_missing_media"]) == (0.5, 2, 2, 1)
    assert first["baselines"] == {"majority": 0.5, "chance": 0.5}
    assert found["q01", "recall of Yes", "strict"]["value"] == 0
    assert found["q01", "macro F1", "strict"]["value"] == pytest.approx(1 / 3)
    assert found["q10", "balanced accuracy", "strict"]["value"] == 0.5
    assert found["q06", "balanced accuracy", "strict"]["baselines"] == {"majority": 1}
    assert found["q10", "balanced accuracy", "strict"]["baselines"] == {"majority": 0.5}
    assert found["q18", "accuracy", "strict"]["value"] == 1
    assert found["q18", "accuracy", "same set"]["value"] == 0.5
    assert found["q21", "accuracy", "strict"]["value"] == 0.5
    assert found["q21", "median distance", "answered"]["value"] == 0
    assert found["", "macro accuracy", "13-A, the binary questions"]["value"] == pytest.approx(0.5 / 13)
    assert found["", "macro accuracy", "20, all but the coordinates"]["value"] == pytest.approx((0.5 + 0.5 + 1) / 20)


def test_balanced_accuracy_and_macro_f1_are_those_of_their_definitions() -> None:
    columns = np.array([[0, 0], [0, 1], [0, -1], [1, 1], [2, 0]], dtype=float)
    assert geochain_metrics.balanced_accuracy(columns) == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert geochain_metrics.macro_f1(columns) == pytest.approx((2 / 5 + 2 / 3 + 0) / 3)


def test_both_readings_have_thirteen_questions() -> None:
    assert len(BINARY) == len(RULED) == 13
    assert all(OPTIONS[question] == ("Yes", "No") for question in BINARY)


def test_our_tables_agree_with_the_official_constants_of_the_cities() -> None:
    for city in CITIES.values():
        assert country_code(city.country_name) == city.country
        assert city.continent in {nations.CONTINENT_NAMES[code] for code in nations.continents_at(
            [city.country], city.latitude, city.longitude)}  # fmt: skip


@pytest.fixture(scope="module")
def real() -> Real:
    """The 44,100 examples, and the rows of the official answer file."""
    with (REAL / "test_samples_with_answers.csv").open(encoding="utf-8", newline="") as file:
        return list(geochain.examples(REAL)), list(csv.DictReader(file))


@needs_data
def test_the_official_key_of_2100_by_21_is_made_again_without_a_difference(real: Real) -> None:
    examples, rows = real
    official = {row["key"]: row for row in rows}
    assert len(examples) == 2100 * 21
    different = [
        example.id for example in examples
        if example.truth["answer"] != official[example.id[:-4]][f"answer_{example.truth['question'] - 1}"]
    ]  # fmt: skip
    assert different == []


@needs_data
def test_the_packs_own_gazetteer_differs_from_the_official_countries_in_two_spellings_only(real: Real) -> None:
    different: Counter[tuple[str, str]] = Counter()
    for row in real[1]:
        place = (float(row["lat"]), float(row["lon"]))
        towns = next(towns for km in (1.5, 6.0, 40.0) if (towns := gazetteer.near(*place, km)))
        nearest = min(towns, key=lambda town: great_circle_km(*place, town.latitude, town.longitude))
        name = nations.name_of(nearest.country)
        assert country_code(row["answer_9"]) == nearest.country
        if name != row["answer_9"]:
            different[name, row["answer_9"]] += 1
    assert different == {("Russia", "Russian Federation"): 358, ("The Netherlands", "Netherlands"): 57}


@needs_data
def test_nearest_by_distance_would_change_the_official_division_of_28_rows(real: Real) -> None:
    """The official look-up is nearest in degrees; this is the whole effect of that."""
    with (Path(geochain.__file__).parents[1] / "data/geochain_places.csv").open(encoding="utf-8", newline="") as file:
        places = list(csv.DictReader(file))
    lat, lon = (np.radians([float(place[axis]) for place in places]) for axis in ("latitude", "longitude"))
    different: Counter[str] = Counter()
    for row in real[1]:
        here, east = np.radians(float(row["lat"])), np.radians(float(row["lon"]))
        near = np.sin((lat - here) / 2) ** 2 + np.cos(here) * np.cos(lat) * np.sin((lon - east) / 2) ** 2
        different[row["city"]] += places[int(near.argmin())]["division"] != row["answer_18"]
    assert +different == {"moscow": 22, "budapest": 6}


@needs_data
def test_the_majority_lines_are_92_1_and_80_6_percent(real: Real) -> None:
    golds: dict[int, list[str]] = {}
    for example in real[0]:
        golds.setdefault(example.truth["question"], []).append(example.truth["answer"])
    most = {question: Counter(gold).most_common(1)[0][1] / 2100 for question, gold in golds.items()}
    assert round(100 * float(np.mean([most[question] for question in BINARY])), 1) == 92.1
    assert round(100 * float(np.mean([most[question] for question in RULED])), 1) == 80.6
    assert len(COLUMNS) == 8
