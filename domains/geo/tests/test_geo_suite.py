"""The whole suite: what is listed, what is said of absent data, and a data root in the real schemas from end to end."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.evaluation import session, suite
from indirect_rlvr_geo.benchmarks import geobench, gpqa
from indirect_rlvr_geo.benchmarks.suite import SUITES, benchmarks

PRIMED = Path(__file__).parents[1] / "indirect_rlvr_geo" / "primed"
KNOWN = {benchmark.name: benchmark for benchmark in benchmarks()}


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (56, 56), (90, 120, 60)).save(path)


def table(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join((header, *rows)), encoding="utf-8")


def positions(name: str, header: str, *rows: str) -> Callable[[Path], None]:
    """A table of photos whose ids stand first; the last row's photo is missing."""

    def make(folder: Path) -> None:
        table(folder / name, header, *rows)
        for row in rows[:-1]:
            picture(folder / "images" / row.split(",")[0])

    return make


def geochain(folder: Path) -> None:
    constants = "City,Near Coast,Island,Desert Region,Mountainous,Climate Type,Big City,Small Town,Languages"
    cities = ("Tokyo,Yes,No,No,No,Temperate,Yes,No,Japanese", "Nairobi,No,No,No,Yes,Temperate,Yes,No,Swahili")
    table(folder / "per_city_answers.csv", constants, *cities)
    texts = [f"{number},Easy,Question {number}?,Binary,x" for number in range(1, 22)]
    table(folder / "questions.csv", "Rank,Difficulty,Question,Question Type,Question Category", *texts)
    header = "key,locatability_score,lat,lon,city,sub_folder,class_mapping,sequence_key"
    rows = (
        'k1,0.5,35.6812,139.7671,tokyo,query,"{""car"": 0.1}",s1',
        'k2,0.2,-1.2921,36.8219,nairobi,query,"{}",s3',
    )
    table(folder / "test_samples.csv", header, *rows)
    picture(folder / "tokyo/query/images/k1.jpg")


def geobench_vlm(folder: Path) -> None:
    options = ["Harbor", "Airport", "Forest", "Desert", "Meadow"]
    row = {
        "image_path": "images/a.png",
        "ground_truth": options[1],
        "ground_truth_option": "B",
        "options_list": options,
        "options": "A. Harbor B. Airport C. Forest D. Desert E. Meadow",
        "prompts": ["What is it?"],
        "image_name": "a",
        "cls_description": "A scene.",
    }
    rows = [{**row, "task": task, "question_id": number} for number, task in enumerate(geobench.SINGLE_TASKS)]
    table(folder / "Single" / "qa.json", json.dumps(rows))
    picture(folder / "Single" / "images" / "a.png")


def gpqa_diamond(folder: Path) -> None:
    folder.mkdir(parents=True)
    with (folder / "gpqa_diamond.csv").open("w", newline="") as file:
        csv.writer(file).writerows([gpqa.COLUMNS, ["What is made up?", "right", "wrong 1", "wrong 2", "wrong 3"]])


def rsvqa(folder: Path) -> None:
    golds = {"presence": "yes", "comp": "no", "count": "37", "rural_urban": "rural"}
    asked = [
        {"id": n, "active": True, "img_id": 7, "type": kind, "question": "Is it?", "answers_ids": [n + 50]}
        for n, kind in enumerate(golds)
    ]
    said = [{"id": n + 50, "active": True, "question_id": n, "answer": gold} for n, gold in enumerate(golds.values())]
    parts = {"questions": asked, "answers": said, "images": [{"id": 7, "active": True}]}
    for part, rows in parts.items():
        table(folder / f"LR_split_test_{part}.json", json.dumps({part: rows}))
    picture(folder / "Images_LR" / "7.tif")


def nwpu(folder: Path) -> None:
    found = {
        "images": [{"id": 0, "file_name": "000.jpg", "width": 56, "height": 56}],
        "categories": [{"id": 1, "name": "airplane"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [10.0, 10.0, 20.0, 20.0], "area": 400.0, "iscrowd": 0}
        ],
    }
    table(folder / "annotations.json", json.dumps(found))
    picture(folder / "images" / "000.jpg")


def vrsbench(folder: Path) -> None:
    row = {
        "image_id": "P1.png", "question": "The large ship", "ground_truth": "{<25><40><35><60>}", "question_id": 0,
        "type": "ref", "obj_cls": "ship", "obj_corner": [0.25, 0.4, 0.35, 0.4, 0.35, 0.6, 0.25, 0.6], "is_unique": True,
        "dataset": "DOTA",
    }  # fmt: skip
    table(folder / "VRSBench_EVAL_referring.json", json.dumps([row]))
    picture(folder / "Images_val" / "P1.png")


PLACES = ("a.jpg,x,10,0", "b.jpg,y,20,0", "gone.jpg,y,40,0")
FIXTURES: dict[str, Callable[[Path], None]] = {
    "geochain": geochain,
    "geobench-vlm": geobench_vlm,
    "gpqa-diamond": gpqa_diamond,
    "rsvqa-lr": rsvqa,
    "nwpu-vhr10": nwpu,
    "vrsbench-referring": vrsbench,
    "im2gps": positions("im2gps_places365.csv", "IMG_ID,AUTHOR,LON,LAT", *PLACES),
    "im2gps3k": positions("im2gps3k_places365.csv", "IMG_ID,AUTHOR,LON,LAT", *PLACES),
    "yfcc4k": positions("yfcc4k_places365.csv", "IMG_ID,AUTHOR,LON,LAT", *PLACES),
    "mp16-reason": positions(
        "mp16-reason-test-12k.csv", "IMG_ID,LAT,LON,city,country", "1.jpg,48.85,2.35,Paris,France",
        "2.jpg,41.9,12.5,Rome,Italy",
    ),
    "imageo-pcw": positions(
        "dataset3_info.csv", "image_id,address,latitude,longitude,street,city,state,country",
        "1.jpg,x,48.85,2.35,Rue,Paris,,France", "2.jpg,x,40.7,-74,Fifth,New York,New York,USA",
    ),
}  # fmt: skip
RECIPE = 'domain = "geo"\n[records]\nspacing_m = 1000.0\n[evaluation]\ntargets = 10\n'


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name, make in FIXTURES.items():
        make(folder / name)
    return folder


def test_every_benchmark_says_where_it_comes_from_and_how_it_lies() -> None:
    suite.check_names("benchmark", list(KNOWN))
    for name, benchmark in KNOWN.items():
        source = benchmark.source
        assert source is not None, name
        assert all((source.homepage, source.licence, source.size, source.layout, source.files)), name
        assert benchmark.main and benchmark.tasks, name


def test_suites_name_benchmarks_that_are_there() -> None:
    assert {name for names in SUITES.values() for name in names} <= set(KNOWN)
    assert {name for name in KNOWN if "paper" in KNOWN[name].suites} == set(SUITES["paper"])


def test_an_absent_benchmark_that_is_named_is_an_error_that_says_what_to_get(tmp_path: Path) -> None:
    arguments = ("eval", "-d", "geo", "-m", str(PRIMED), "--suite", "geochain", "--out", str(tmp_path / "out"))
    result = CliRunner().invoke(cli.app, [*arguments, "--data-root", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"into: {tmp_path / 'geochain'}/" in result.stderr
    assert "lacking: test_samples.csv" in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_fixtures_lack_nothing_that_their_sources_name(data_root: Path) -> None:
    assert {name: suite.place(KNOWN[name], data_root).lacking for name in FIXTURES} == dict.fromkeys(FIXTURES, ())


@pytest.mark.slow
def test_the_tiny_model_answers_the_whole_suite(tmp_path: Path, data_root: Path) -> None:
    (tmp_path / "small.toml").write_text(RECIPE)
    (data_root / "yfcc4k" / "images" / "b.jpg").write_bytes(b"torn")
    asking = session.Asking(max_tokens=12, batch=16)
    found = session.evaluate(
        "geo", str(PRIMED), "all", tmp_path / "out", recipe_name=str(tmp_path / "small.toml"), data_root=data_root,
        asking=asking, controls=("blind",), say=lambda line: None,
    )  # fmt: skip
    measured = {each["name"]: each for each in found["benchmarks"]}
    terrain = {"highest-horizon", "higher-place", "slope-class", "elevation-band"}
    assert set(measured) == set(FIXTURES) | terrain
    assert {each["name"] for each in found["not_asked"]} == set(KNOWN) - set(FIXTURES)
    assert all("into: " in each["get"] and not each["fault"] for each in found["not_asked"])
    tasks = [(name, task) for name, each in measured.items() for task in each["tasks"]]
    assert len(tasks) >= 50
    for name, each in measured.items():
        assert each["metrics"], name
        for metric in each["metrics"]:
            assert metric["n"] == 0 or metric["value"] is not None, (name, metric)
            assert metric["n_parsed"] <= metric["n"], (name, metric)
    assert measured["yfcc4k"]["missing_media"] == {"n": 2, "first": ["b.jpg", "gone.jpg"]}
    assert measured["geochain"]["missing_media"]["n"] == 21
    assert measured["geobench-vlm"]["controls"]["blind"]["n_examples"] == 17
    assert measured["gpqa-diamond"]["controls"]["blind"] == {"n_examples": 0, "metrics": []}


@pytest.mark.parametrize("name", sorted(FIXTURES))
def test_hostile_predictions_are_counted_and_the_rest_is_scored(tmp_path: Path, data_root: Path, name: str) -> None:
    examples = list(KNOWN[name].examples(data_root / name))
    texts = ["x" * 10**6, "\ud800<answer>", "[" * 50_000, "{" * 50_000, '{"a": ' * 20_000, "1e999, -1e999", "\x00", ""]
    lines = [
        json.dumps({"id": example.id, "response": texts[n % len(texts)], "frames": [[0, 0]]})
        for n, example in enumerate(examples)
    ]
    lines += ['{"id": "torn", "resp', json.dumps({"id": "who", "response": "A"}), lines[0]]
    lines += [json.dumps({"id": "no text"})]
    path = tmp_path / "said.jsonl"
    path.write_text("\n".join(lines))
    result = CliRunner().invoke(
        cli.app, ["score", "-d", "geo", "-b", name, "-p", str(path), "--data-root", str(data_root), "--json"]
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    counted = {what.partition(" (")[0]: at["n"] for what, at in found["faults"].items()}
    assert counted["not JSON"] == counted["an id that came before"] == 1
    assert counted["an id that the benchmark does not have"] == 2
    assert found["metrics"]
