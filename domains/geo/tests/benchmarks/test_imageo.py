"""IMAGEO-Bench: the join, the released rules beside the strict ones, and a run in each of its three schemas."""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response
from indirect_rlvr_geo.benchmarks import imageo
from indirect_rlvr_geo.benchmarks.distances import FARTHEST_KM

STREETS = Path(__file__).parents[5] / "shared/data/global_streetscapes_sample"
GSS = (
    "image_id,source,orig_id,url,label_method,city,city_id,country,continent,latitude,longitude,datetime_local,"
    "sequence_index,sequence_id,split,img_path,glare,lighting_condition,pano_status,platform,quality,reflection,"
    "view_direction,weather"
)
UPC = (
    "image_id,name,address,gmap_id,description,latitude,longitude,category,avg_rating,num_of_reviews,price,hours,MISC,"
    "relative_results,url,category_list,street,city,state"
)
PCW = "image_id,address,latitude,longitude,street,city,state,country"


def answer(latitude: object = None, longitude: object = None, **address: object) -> str:
    where = {"confidence": "4", "address": address, "coordinates": {"latitude": latitude, "longitude": longitude}}
    return json.dumps({"image_information": {}, "reasoning": {}, "reverse_geocoding": where})


def asked(**truth: object) -> Example:
    return Example("x", "x", Prompt(("where?",)), truth)


def judged(example: Example, response: str) -> Mapping[str, float]:
    return imageo.judge(example, imageo.parse(example, Response(response)))


def folder_with(tmp_path: Path, name: str, header: str, rows: list[dict[str, str]], photos: list[str]) -> Path:
    folder = tmp_path / name
    (folder / "images").mkdir(parents=True)
    with (folder / benchmark(name).source.files[0]).open("w", newline="") as file:  # type: ignore[union-attr]
        writer = csv.DictWriter(file, header.split(","), restval="")
        writer.writeheader()
        writer.writerows(rows)
    for photo in photos:
        Image.new("RGB", (8, 6)).save(folder / "images" / photo, format="JPEG")
    return folder


def benchmark(name: str) -> Benchmark:
    return {each.name: each for each in imageo.benchmarks()}[name]


def run(each: Benchmark, examples: list[Example], responses: list[str]) -> dict[tuple[str, str], Metric]:
    graded = []
    for example, text in zip(examples, responses, strict=True):
        parsed = None if example.missing else each.parse(example, Response(text))
        graded.append(Graded(example, parsed, each.judge(example, parsed)))
    return {(metric.name, metric.convention): metric for metric in each.metrics(graded)}


@pytest.mark.parametrize("response", [
    "", "I cannot help with that.", "[]", "null", "{}", '{"reverse_geocoding": null}', '{"reverse_geocoding": []}',
    '{"reverse_geocoding": {"address": "Paris", "coordinates": [48.8, 2.3]}}', answer(), answer("null", "None"),
    answer("40.7° N", "nowhere"), answer(float("nan"), float("inf")), answer([1], {"a": 2}),
    answer("1", "2", city="Paris", country="France")[:-40].partition("address")[0],
])  # fmt: skip
def test_a_response_without_address_and_coordinates_is_unparsed(response: str) -> None:
    example = asked(city="Paris", country="France", latitude=48.9, longitude=2.3)
    assert imageo.parse(example, Response(response)) is None
    values = judged(example, response)
    assert set(values.values()) == {0.0}
    assert not {"city", "country", "km", "official km"} & set(values)


def test_with_answer_tags_only_the_last_content_is_read() -> None:
    text = f"<think>{{no}} {answer(city='Rome')}</think><answer>```json\n{answer('1', 2.5, city='Paris')}\n```</answer>"
    assert imageo.parse(asked(), Response(text)) == {"city": "Paris", "latitude": 1.0, "longitude": 2.5}


def test_names_are_equal_by_the_released_rules_in_any_case_only() -> None:
    example = asked(city="Zürich", country="United States", state="NY")
    right = judged(example, answer(city="ZÜRICH", country="united states", state="New York"))
    assert (right["city"], right["country"], right["state"]) == (1, 1, 1)
    other = judged(example, answer(city="Zurich ", country="USA", state="State of New York"))
    assert (other["city"], other["country"], other["state"]) == (0, 0, 0)
    assert (other["city (aliases)"], other["country (aliases)"], other["state (aliases)"]) == (1, 1, 1)
    wrong = judged(example, answer(city="", country=["US"], state=7))
    assert [wrong[name] for name in ("city", "country", "state", "country (aliases)")] == [0, 0, 0, 0]


def test_the_released_table_of_states_leaves_the_capital_out() -> None:
    values = judged(asked(state="DC"), answer(state="District of Columbia"))
    assert (values["state"], values["state (aliases)"]) == (0, 1)
    assert judged(asked(state="DC"), answer(state=" dc "))["state"] == 1


def test_zero_degrees_are_missing_officially_and_a_place_strictly() -> None:
    example = asked(latitude=0.0, longitude=10.0)
    values = judged(example, answer("0.0", "11"))
    assert "official km" not in values
    assert values["km"] == pytest.approx(111.19492664455873)
    assert judged(example, answer("0.5", "10"))["official km"] == pytest.approx(111.19492664455873 / 2)


@pytest.mark.parametrize(("latitude", "longitude"), [("-157.8", "21.3"), ("21.3", "196.8"), ("1e300", "-1e300")])
def test_coordinates_out_of_range_are_taken_officially_and_no_place_strictly(latitude: str, longitude: str) -> None:
    values = judged(asked(latitude=21.3, longitude=-157.8), answer(latitude, longitude))
    assert 0 <= values["official km"] <= FARTHEST_KM
    assert "km" not in values
    assert values["Acc@2500km"] == 0


def test_out_of_range_is_as_far_officially_as_the_haversine_formula_says() -> None:
    values = judged(asked(latitude=21.3, longitude=-157.8), answer("21.3", "196.8"))
    assert values["official km"] == pytest.approx(great_circle_km(21.3, -157.8, 21.3, 196.8))
    values = judged(asked(latitude=21.3, longitude=-157.8), answer("-157.8", "21.3"))
    assert values["official km"] == pytest.approx(great_circle_km(21.3, -157.8, -157.8, 21.3))


def test_failures_leave_official_denominators_and_stay_in_strict_ones(tmp_path: Path) -> None:
    rows = [
        {"image_id": "A", "city": "Ann Arbor", "state": "MI", "country": "USA", "latitude": "42.3", "longitude":
         "-83.7", "address": "1 Beal Ave"},
        {"image_id": "B", "city": "", "state": "CA", "country": "USA", "latitude": "37.9", "longitude": "-119.6"},
        {"image_id": "C", "city": "Kyoto", "state": "", "country": "Japan", "latitude": "35", "longitude": "135.8"},
        {"image_id": "D", "city": "Turku", "state": "", "country": "Finland", "latitude": "60.5", "longitude": "22.3"},
        {"image_id": "E", "city": "Oulu", "state": "", "country": "Finland", "latitude": "65", "longitude": "25.5"},
    ]  # fmt: skip
    folder = folder_with(tmp_path, "imageo-pcw", PCW, rows, ["A.jpg", "B.jpg.jpg", "C.jpeg", "D.jpg"])
    each = benchmark("imageo-pcw")
    examples = list(each.examples(folder))
    assert [example.missing for example in examples] == [(), (), (), (), ("images/E.jpg",)]
    assert [getattr(example.prompt.parts[0], "content", "") for example in examples[:3]] == [
        "images/A.jpg", "images/B.jpg.jpg", "images/C.jpeg",
    ]  # fmt: skip
    assert examples[0].cluster == "1 Beal Ave"
    found = run(each, examples, [
        answer("42.3", "-83.7", city="Ann Arbor", state="Michigan", country="United States"),
        answer("0", "0", city="Fresno", state="CA", country="USA"),
        "I'm sorry, I can't tell.",
        answer("60.5", "23.3", city="Tampere", country="Finland"),
        "",
    ])  # fmt: skip
    city, strict = found["city", "official"], found["city", "strict"]
    assert (city.value, city.n, city.n_parsed) == (1 / 2, 2, 2)
    assert (strict.value, strict.n, strict.n_parsed, strict.n_missing_media) == (1 / 3, 3, 2, 1)
    assert (found["country", "official"].value, found["country", "official"].n) == (2 / 3, 3)
    assert (found["country", "strict"].value, found["country", "strict"].n) == (2 / 4, 4)
    assert found["country", imageo.ALIASES].value == 3 / 4
    assert found["country", "strict"].baselines["majority"] == 2 / 4
    assert (found["state", "official"].value, found["state", "official"].n) == (1.0, 2)
    degree = great_circle_km(60.5, 22.3, 60.5, 23.3)
    assert found["mean distance", "official"].value == pytest.approx(degree / 2)
    assert (found["mean distance", "official"].n, found["mean distance", "answered"].n) == (2, 3)
    assert found["Acc@1km", "strict"].n_parsed == 3
    far = great_circle_km(37.9, -119.6, 0, 0)
    assert found["mean distance", "strict"].value == pytest.approx((far + FARTHEST_KM + degree) / 4)


def test_coordinates_out_of_range_count_as_unparsed(tmp_path: Path) -> None:
    row = {"image_id": "A", "city": "Honolulu", "latitude": "21.3", "longitude": "-157.8"}
    each = benchmark("imageo-upc")
    folder = folder_with(tmp_path, "imageo-upc", UPC, [row], ["A.jpg"])
    found = run(each, list(each.examples(folder)), [answer("-157.8", "21.3", city="Honolulu")])
    assert (found["city", "strict"].n_parsed, found["Acc@2500km", "strict"].n_parsed) == (1, 0)
    assert found["mean distance", "official"].n == 1


def test_points_of_interest_have_no_country(tmp_path: Path) -> None:
    row = {"image_id": "1_0x88_0x9a", "latitude": "32.4", "longitude": "-86.3", "city": "Montgomery", "state": "AL",
           "MISC": "{'Service options': ['Takeout']}"}  # fmt: skip
    folder = folder_with(tmp_path, "imageo-upc", UPC, [row], ["1_0x88_0x9a.jpg"])
    each = benchmark("imageo-upc")
    examples = list(each.examples(folder))
    found = run(each, examples, [answer("32.4", "-86.3", city="montgomery", state="AL", country="USA")])
    assert {name for name, _ in found} & {"city", "state", "country"} == {"city", "state"}
    assert found["Acc@1km", "strict"].value == found["city", "official"].value == 1.0


def test_street_scenes_of_the_train_split_are_flagged(tmp_path: Path) -> None:
    rows = [
        {"image_id": name, "city": "Trenton", "city_id": "18", "country": "United States", "latitude": "40.5",
         "longitude": "-93.4", "split": split} for name, split in (("a", "train"), ("b", "test"), ("b", "test"))
    ]  # fmt: skip
    folder = folder_with(tmp_path, "imageo-gss", GSS, rows, ["a.jpeg", "b.jpeg"])
    examples = list(benchmark("imageo-gss").examples(folder))
    assert [example.flags for example in examples] == [(imageo.IN_TRAINING,), (), ("duplicate id",)]
    assert [example.id for example in examples] == ["a", "b", "b#2"]
    assert {example.cluster for example in examples} == {"18"}


def test_photos_of_training_cities_are_flagged_wherever_a_city_of_that_name_lies(tmp_path: Path) -> None:
    where = [("48.86", "2.35"), ("48.95", "2.20"), ("33.66", "-95.55"), ("25.03", "121.57"), ("", "")]
    rows = [
        {"image_id": str(n), "city": "Paris", "city_id": "1", "country": "?", "latitude": latitude,
         "longitude": longitude, "split": "test"} for n, (latitude, longitude) in enumerate(where)
    ]  # fmt: skip
    folder = folder_with(tmp_path, "imageo-gss", GSS, rows, [f"{n}.jpeg" for n in range(5)])
    flags = [example.flags for example in benchmark("imageo-gss").examples(folder)]
    assert flags == [("train city",), ("train city",), (), (), ()]  # Paris, a suburb, Texas, held-out Taipei, unknown


@pytest.mark.skipif(not STREETS.is_dir(), reason="needs ../shared/data/global_streetscapes_sample")
def test_real_street_photos_go_through_the_loader(tmp_path: Path) -> None:
    with (STREETS / "meta/01_simplemaps.csv").open(newline="") as file:
        cities = {row["uuid"]: row for row in csv.DictReader(file)}
    with (STREETS / "meta/02_metadata_common_attributes.csv").open(newline="") as file:
        places = {row["uuid"]: row for row in csv.DictReader(file)}
    photos = sorted(path.stem for path in (STREETS / "images").iterdir())
    rows = [
        {**{key: cities[name][key] for key in ("city", "city_id", "country", "continent", "source", "orig_id")},
         "image_id": name, "latitude": places[name]["lat"], "longitude": places[name]["lon"]} for name in photos
    ]  # fmt: skip
    folder = folder_with(tmp_path, "imageo-gss", GSS, rows, [])
    for name in photos:
        shutil.copyfile(STREETS / "images" / f"{name}.jpeg", folder / "images" / f"{name}.jpeg")
    each = benchmark("imageo-gss")
    examples = list(each.examples(folder))
    assert len(examples) == 25
    assert not any(example.missing for example in examples)
    found = run(each, examples, [
        answer(f"{e.truth['latitude']}", f"{e.truth['longitude']}", city="Singapore", country="Singapore")
        for e in examples
    ])  # fmt: skip
    singapore = sum(cities[name]["city"] == "Singapore" for name in photos) / 25
    assert 0 < singapore < 1
    assert found["city", "strict"].value == found["country", "official"].value == singapore
    assert found["Acc@1km", "strict"].value == 1.0
