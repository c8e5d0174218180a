"""GLOBE's sets: the released parser and match rule, names through the gazetteer, a run in its schema."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response
from indirect_rlvr_geo.benchmarks import globe
from indirect_rlvr_geo.benchmarks.geocoding import GAZETTEER, geocode, nearest_country

EXAMPLE = Example(
    "x", "x", Prompt(("where?",)), {"latitude": 48.85, "longitude": 2.35, "country": "France", "city": "Paris"}
)
THROUGH = f"strict, {GAZETTEER}"


def parsed(text: str) -> Mapping[str, object] | None:
    return globe.parse(EXAMPLE, Response(text))


@pytest.mark.parametrize("text", [
    "", "France, Paris", "Country: France\nCity: Paris", "<answer></answer> country: France", "country:",
    "city:  \n \n",    "<answer>I cannot tell</answer>\ncity: Paris",
])  # fmt: skip
def test_without_the_two_words_nothing_is_read(text: str) -> None:
    assert parsed(text) is None


@pytest.mark.parametrize(("text", "country", "city"), [
    ("country: France\ncity: Paris", "france", "paris"),
    ("<think>country: Spain</think><answer>country: FRANCE \ncity:  Paris.\n</answer>", "france", "paris."),
    ("<answer>country:\n\nFrance\ncity: Paris</answer><answer>country: Spain</answer>", "france", "paris"),
    ("<answer>country: France, city: Paris", "france, city: paris", "paris"),
    ("capacity: 5\ncountry: France", "france", "5"),
    ("city: Paris", "", "paris"),
])  # fmt: skip
def test_names_are_read_as_the_release_reads_them(text: str, country: str, city: str) -> None:
    assert parsed(text) == {"country": country, "city": city}


def test_coordinates_are_read_beside_the_names() -> None:
    found = parsed("<answer>country: France\ncity: Paris\ncoordinates: 48.8, 2.3</answer>")
    assert found == {"country": "france", "city": "paris", "latitude": 48.8, "longitude": 2.3}


@pytest.mark.parametrize(("named", "truth", "right"), [
    ("paris", "Paris", True), ("", "Paris", False), ("paris", "", False), ("", "", False), ("pari", "Paris", True),
    ("par", "Paris", False), ("paris 12", "Paris", False), ("paris 1", "Paris", True), ("niger", "Nigeria", True),
    ("york", "New York", False), ("united states", "USA", False), ("berlin", "Paris", False),
])  # fmt: skip
def test_the_released_rule_is_containment_of_seven_tenths(named: str, truth: str, right: bool) -> None:
    assert globe.matches(named, truth) is right


@pytest.mark.parametrize(("city", "country", "place"), [
    ("xyzzy", "nowhere", None), ("", "", None), ("", "Mars", None),
    ("Paris", "France", (48.85, 2.35)), ("paris, île-de-france", "france", (48.85, 2.35)),
    ("Paris", "United States", (33.66, -95.56)), ("Paris", "", (48.85, 2.35)), ("Zurich", "Switzerland", (47.37, 8.55)),
    ("xyzzy", "Kenya", (-1.28, 36.82)), ("", "kenya", (-1.28, 36.82)),
])  # fmt: skip
def test_a_name_is_the_largest_town_of_its_country(city: str, country: str, place: tuple[float, float] | None) -> None:
    assert geocode(city, country) == place


@pytest.mark.parametrize(("latitude", "longitude", "code"), [
    (48.85, 2.35, "FR"), (52.52, 13.4, "DE"), (-25.0, -120.0, "PN"), (0.0, 179.99, "KI"),
])  # fmt: skip
def test_the_nearest_town_says_the_country_even_at_sea(latitude: float, longitude: float, code: str) -> None:
    assert nearest_country(latitude, longitude) == code


def test_a_run_from_photos_to_metrics(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("7e_c3_1.jpg", "aa_bb_2.jpg", "3.jpg", "4.jpg"):
        Image.new("RGB", (8, 6)).save(tmp_path / "images" / name)
    (tmp_path / "mp16-reason-test-12k.csv").write_text(
        "IMG_ID,LAT,LON,city,country\n7e_c3_1.jpg,48.85,2.35,Paris,France\naa_bb_2,40.71,-74.01,New York,"
        "United States\n"
        "3.jpg,52.52,13.41,,Germany\n4.jpg,,,Rome,Italy\n5.jpg,41.9,12.5,Rome,Italy\n"
    )
    benchmark = globe.benchmarks()[0]
    examples = list(benchmark.examples(tmp_path))
    assert [example.id for example in examples] == ["7e_c3_1.jpg", "aa_bb_2.jpg", "3.jpg", "4.jpg", "5.jpg"]
    assert [example.missing for example in examples] == [(), (), (), (), ("images/5.jpg",)]
    assert str(examples[0].prompt.parts[1]).endswith("give answer in <answer> </answer> tags.")
    found = run(benchmark, examples, [
        "<answer>country: France\ncity: Lyon</answer>", "<answer>country: USA\ncity: New York</answer>", "no idea",
        "country: Italy\ncity: Rome", "",
    ])  # fmt: skip
    country = found["country match", "as released"]
    assert (country.value, country.n, country.n_parsed, country.n_missing_media) == (1 / 3, 3, 2, 1)
    assert found["country match", globe.ALIASES].value == 2 / 3
    assert found["city match", "as released"].value == 1 / 3
    assert (found["city match", globe.ALIASES].value, found["city match", globe.ALIASES].n) == (1 / 2, 2)
    assert found["Acc@25km", THROUGH].value == 1 / 3
    lyon = great_circle_km(48.85, 2.35, *(geocode("Lyon", "France") or (0, 0)))
    assert found["Acc@750km", THROUGH].value == 2 / 3
    assert found["mean distance", f"answered, {GAZETTEER}"].value == pytest.approx(lyon / 2)
    assert not any("coordinates" in convention for _, convention in found)


def test_stated_coordinates_are_scored_apart_from_names(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,latitude,longitude,city,country\n1,0,0,,\n2,0,9,,\n")
    examples = [Example(e.id, e.cluster, e.prompt, e.truth) for e in globe.examples(tmp_path, "t.csv")]
    found = run(globe.benchmarks()[0], examples, ["<answer>0.0, 0.1</answer>", "?"])
    assert found["Acc@25km", "strict, stated coordinates"].value == 0.5
    assert found["Acc@25km", THROUGH].value == 0.0
    assert found["city match", "as released"].value == 0.0


def run(benchmark: Benchmark, examples: list[Example], responses: list[str]) -> dict[tuple[str, str], Metric]:
    graded = []
    for example, text in zip(examples, responses, strict=True):
        read = None if example.missing else benchmark.parse(example, Response(text))
        graded.append(Graded(example, read, benchmark.judge(example, read)))
    return {(metric.name, metric.convention): metric for metric in benchmark.metrics(graded)}
