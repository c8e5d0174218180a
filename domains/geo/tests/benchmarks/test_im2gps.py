"""Im2GPS, IM2GPS3k, YFCC4k: exchanged columns, a run from photo to metric, and the authors' own summaries."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.run import read_jsonl
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response
from indirect_rlvr_geo.benchmarks import im2gps, published
from indirect_rlvr_geo.benchmarks.published import Published, read_published

REAL = Path(__file__).parents[5] / "shared/data/im2gps_geoestimation"
HEADER = "IMG_ID,AUTHOR,LON,LAT,S3_Label,S16_Label,S365_Label,Prob_indoor,Prob_natural,Prob_urban"
MEDIANS = {"ISNs_M-fstar-S3": 785.47, "base_M-fstar": 838.57, "base_M-m": 845.80, "base_L-m": 856.13,
           "base-vgg_L-m": 1926.99, "base-vgg-c_L-m": 1907.41}  # fmt: skip
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/im2gps_geoestimation")


def table(folder: Path, *rows: str, header: str = HEADER) -> list[Example]:
    (folder / "t.csv").write_text("\n".join((header, *rows)) + "\n")
    return list(im2gps.examples(folder, "t.csv"))


def truths(examples: list[Example]) -> list[Mapping[str, float]]:
    return [example.truth for example in examples]


def test_a_table_without_ids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no column `IMG_ID` or `img_id` or `id`, only \['LON', 'LAT'\]"):
        table(tmp_path, "1,2", header="LON,LAT")


def test_columns_are_exchanged_back_where_a_latitude_beyond_the_pole_proves_it(tmp_path: Path) -> None:
    found = table(tmp_path, "a.jpg,x,-16.7,145.6,,,,,,", "b.jpg,y,31.9,-85.1,,,,,,", "c.jpg,y,,,,,,,,")
    assert truths(found) == [{"latitude": -16.7, "longitude": 145.6}, {"latitude": 31.9, "longitude": -85.1}, {}]
    assert all(im2gps.EXCHANGED in example.flags for example in found)
    assert im2gps.IMPOSSIBLE in found[2].flags


def test_columns_stay_where_nothing_proves_that_they_are_exchanged(tmp_path: Path) -> None:
    found = table(tmp_path, "b.jpg,y,31.9,-85.1,,,,,,")
    assert truths(found) == [{"latitude": -85.1, "longitude": 31.9}]
    assert found[0].flags == ()


def test_one_impossible_row_does_not_turn_a_right_table_round(tmp_path: Path) -> None:
    rows = ("1,145.6,-16.7", "2,31.9,-120.1", "3,0,0")
    found = table(tmp_path, *rows, header="id,latitude,longitude")
    assert truths(found) == [{}, {"latitude": 31.9, "longitude": -120.1}, {"latitude": 0, "longitude": 0}]
    assert [example.flags for example in found] == [(im2gps.IMPOSSIBLE,), (), ()]


def test_fields_without_coordinates_cannot_be_judged() -> None:
    truth = {"latitude": 52.5, "longitude": 13.4}
    with pytest.raises(KeyError, match="latitude"):
        im2gps.judge(Example("a", "a", Prompt(("",)), truth), {"lat": 52.5, "lon": 13.4})


def test_a_benchmark_that_is_named_and_has_no_photo_here_ends_with_exit_code_1(tmp_path: Path) -> None:
    folder = tmp_path / "im2gps"
    folder.mkdir()
    (folder / "im2gps_places365.csv").write_text(f"{HEADER}\na.jpg,x,-16.7,145.6,,,,,,\nb.jpg,y,31.9,-85.1,,,,,,\n")
    server = ("--model", "m", "--backend", "openai-url", "--url", "http://127.0.0.1:9/v1")
    where = ("--data-root", str(tmp_path), "--out", str(tmp_path / "out"))
    done = CliRunner().invoke(cli.app, ["eval", "-d", "geo", "--suite", "im2gps", *server, *where])
    assert done.exit_code == 1, done.output
    assert "not asked: im2gps: the media of all 2 examples are absent, first `" in done.stdout


def test_a_run_from_photos_to_metrics(tmp_path: Path) -> None:
    folder = tmp_path / "yfcc4k"
    (folder / "images").mkdir(parents=True)
    for name in ("a@N00.jpg", "b@N00.jpg", "c@N00.jpg"):
        Image.new("RGB", (8, 6)).save(folder / "images" / name)
    rows = ("a@N00.jpg,x,10,0", "b@N00.jpg,x,20,0", "c@N00.jpg,y,30,0", "gone@N00.jpg,y,40,0")
    (folder / "yfcc4k_places365.csv").write_text("\n".join(("IMG_ID,AUTHOR,LON,LAT", *rows)))
    benchmark = {each.name: each for each in im2gps.benchmarks()}["yfcc4k"]
    examples = list(benchmark.examples(folder))
    assert [example.missing for example in examples] == [(), (), (), ("images/gone@N00.jpg",)]
    assert [example.cluster for example in examples] == ["x", "x", "y", "y"]
    view, words = examples[0].prompt.parts
    assert not isinstance(view, str) and (folder / view.content).is_file()
    assert isinstance(words, str) and "<answer>" in words
    responses = ["<answer>0.0, 10.0</answer>", "<answer>0.0, 21.0</answer>", "The <answer>120.0, 1.0</answer> is"]
    found = run(benchmark, examples, dict(zip([example.id for example in examples], responses, strict=False)))
    assert found["Acc@1km", "strict"].value == 1 / 3
    assert found["Acc@200km", "strict"].value == 2 / 3
    assert (found["Acc@1km", "strict"].n, found["Acc@1km", "strict"].n_parsed) == (3, 2)
    assert found["Acc@1km", "strict"].n_missing_media == 1
    assert found["mean distance", "answered"].value == pytest.approx(111.19492664455873 / 2)


def run(benchmark: Benchmark, examples: list[Example], responses: Mapping[str, str]) -> dict[tuple[str, str], Metric]:
    parsed = [benchmark.parse(example, Response(responses.get(example.id, ""))) for example in examples]
    pairs = zip(examples, parsed, strict=True)
    graded = [Graded(example, read, benchmark.judge(example, read)) for example, read in pairs]
    return {(metric.name, metric.convention): metric for metric in benchmark.metrics(graded)}


def test_a_result_file_that_ends_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("img_id,gt_lat,predicted_lat,gt_long,predicted_long,great_circle_distance\n")
    with pytest.raises(DataError, match=r"r.csv` is no result file of GeoEstimation: expected the header .*; use the"):
        read_published(tmp_path / "r.csv")


def test_a_result_row_that_is_no_prediction_is_refused(tmp_path: Path) -> None:
    header = "img_id,gt_lat,predicted_lat,gt_long,predicted_long,great_circle_distance"
    (tmp_path / "r.csv").write_text(f"{header}\na,1,2,x,4,5\n\na,b,c,d,e,f\n0,0,0,0,0,0\n")
    with pytest.raises(DataError, match=r"has a row that is no prediction: could not convert string to float: 'x'"):
        read_published(tmp_path / "r.csv")


@pytest.mark.parametrize("arguments", [[], ["a.csv"], ["a", "b", "c"]])
def test_other_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"arguments were given; expected a published file and the file to write"):
        published.main(arguments)


def test_a_line_without_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"image_file": "a.jpg", "raw_response": null}\n[]\n')
    with pytest.raises(DataError, match=r"r.jsonl` line 2 names no `image_file`; use the file as it was published"):
        published.main([str(tmp_path / "r.jsonl"), str(tmp_path / "out.jsonl")])


def test_imageo_lines_are_joined_as_its_release_joins_them(tmp_path: Path) -> None:
    rows = [{"image_file": "X.jpg.jpg", "raw_response": "{}"}, {"image_file": "Y.jpeg", "raw_response": None}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert published.main([str(tmp_path / "r.jsonl"), str(tmp_path / "out.jsonl")]) == 2
    assert read_jsonl(tmp_path / "out.jsonl") == [{"id": "X", "response": "{}"}, {"id": "Y", "response": ""}]


@needs_data
def test_a_published_table_becomes_prediction_lines(tmp_path: Path) -> None:
    table = REAL / "results/im2gps/base_M-m.csv"
    assert published.main([str(table), str(tmp_path / "out.jsonl")]) == 237
    first = read_jsonl(tmp_path / "out.jsonl")[0]
    assert first == {
        "id": "1095548455_f636d22cbb_1277_8576809@N08.jpg", "parsed": {"latitude": 30.60037, "longitude": -89.321708}
    }  # fmt: skip


@needs_data
@pytest.mark.parametrize(("name", "size"), [("im2gps", 237), ("im2gps3k", 2997)])
def test_the_authors_summaries_are_met_to_every_printed_digit(name: str, size: int) -> None:
    benchmark = {each.name: each for each in im2gps.benchmarks()}[name]
    examples = [replace(example, missing=()) for example in benchmark.examples(REAL / "meta")]
    assert len(examples) == size
    files = sorted((REAL / "results" / name).glob("*.csv"))
    assert len(files) == 6
    for file in files:
        results = read_published(file)
        said = {each.id: f"{each.guess.latitude_deg}, {each.guess.longitude_deg}" for each in results.guesses}
        found = run(benchmark, examples, said)
        check(results, found, size)
        if name == "im2gps3k":
            assert float(f"{found['median distance', 'answered'].value:.2f}") == MEDIANS[file.stem]


def check(results: Published, found: Mapping[tuple[str, str], Metric], size: int) -> None:
    for level, printed in zip((1, 25, 200, 750, 2500), results.accuracies, strict=True):
        metric = found[f"Acc@{level}km", "strict"]
        assert (metric.n, metric.n_parsed) == (size, size)
        assert float(f"{metric.value:.6f}") == float(printed)
    for convention in ("strict", "answered"):
        assert float(f"{found['mean distance', convention].value:.2f}") == float(results.mean_km)


@needs_data
def test_the_mended_truths_are_those_of_the_result_files() -> None:
    for name, size in (("im2gps", 237), ("im2gps3k", 2997)):
        examples = {example.id: example for example in im2gps.examples(REAL / "meta", f"{name}_places365.csv")}
        guesses = read_published(REAL / "results" / name / "base_M-m.csv").guesses
        assert len(guesses) == len(examples) == size
        for guess in guesses:
            truth = examples[guess.id].truth
            assert (truth["latitude"], truth["longitude"]) == guess.truth
            assert im2gps.judge(
                examples[guess.id],
                im2gps.parse(examples[guess.id], Response(f"{guess.guess.latitude_deg}, {guess.guess.longitude_deg}")),
            )["km"] == pytest.approx(guess.km, abs=0.006)
