"""What both harness exports hold, and that its numbers are those of the benchmark itself."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from indirect_rlvr.commands import export as commands
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.evaluation import session, suite
from indirect_rlvr.evaluation.grade import grade, prompt_hash
from indirect_rlvr.export import callbacks, inspect, lmms_eval
from indirect_rlvr.types import Response

Said = Callable[[str, list[str]], dict[str, str]]


def test_an_unknown_benchmark_is_refused(pack: str, data_root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown benchmark or suite `nope`"):
        inspect.export(pack, "nope", tmp_path / "out", data_root=data_root)
    assert not (tmp_path / "out").exists()


def test_a_benchmark_named_itself_whose_files_are_absent_is_refused_with_what_to_get(pack: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)far-away.*from: https://example.org.*into: .*far-away/"):
        inspect.export(pack, "far-away", tmp_path / "out", data_root=tmp_path / "nowhere")


def test_nothing_there_at_all_is_refused(pack: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to export: none of the benchmarks has its files here"):
        inspect.export(pack, "all", tmp_path / "out")


def test_a_folder_that_is_no_export_is_left_alone(pack: str, data_root: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="exists and is no export"):
        inspect.export(pack, "all", data_root, data_root=data_root)
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    lmms_eval.export(pack, "all", tmp_path / "out", data_root=data_root)
    assert not list((tmp_path / "out").glob("rlvr_chips.py"))


def test_an_image_outside_the_benchmarks_folder_is_refused(pack: str, data_root: Path, tmp_path: Path) -> None:
    chips = data_root / "chip-colour" / "chips"
    (chips / "red.png").rename(tmp_path / "red.png")
    (chips / "red.png").symlink_to(tmp_path / "red.png")
    with pytest.raises(DataError, match="image `chips/red.png` is not in"):
        inspect.export(pack, "chip-colour", tmp_path / "out", data_root=data_root)


def test_what_has_no_files_is_listed_and_not_silently_left_out(pack: str, data_root: Path, tmp_path: Path) -> None:
    (data_root / "far-away" / "rows.jsonl").unlink()
    counts, left_out = inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    assert counts.kept == 1
    assert [each["name"] for each in left_out] == ["far-away"]
    assert "https://example.org" in left_out[0]["why"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('{"id": "a", "km": 1}\n{"id": "a", "km": 2}\n', "comes twice"),
        ("", "holds no example"),
        ('{"id": "a", "km": 1, "prompt": ""}\n', "scored from predictions alone"),
        ('{"id": "a", "km": 1, "lost": true}\n', "the media of all 1 examples are absent"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name_and_listed_in_a_suite(
    rows: str, said: str, pack: str, data_root: Path, tmp_path: Path
) -> None:
    (data_root / "far-away" / "rows.jsonl").write_text(rows)
    with pytest.raises(DataError, match="cannot export `far-away`") as caught:
        inspect.export(pack, "far-away", tmp_path / "out", data_root=data_root)
    assert said in str(caught.value)
    _, left_out = inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    assert [each["name"] for each in left_out] == ["far-away"] and said in left_out[0]["why"]


def test_another_parser_than_that_of_the_export_is_refused(pack: str, data_root: Path, tmp_path: Path) -> None:
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    path = tmp_path / "out" / "bundle" / "export.json"
    path.write_text(path.read_text().replace('"parser_version": "1"', '"parser_version": "0"'))
    with pytest.raises(RunError, match="made with parser version 0 of `chip-colour`, and 1 is installed"):
        callbacks.tasks(tmp_path / "out" / "bundle")


def test_a_response_to_no_example_is_refused(pack: str, data_root: Path, tmp_path: Path) -> None:
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    with pytest.raises(DataError, match="`other` is no example of `far-away`"):
        callbacks.measured(tmp_path / "out" / "bundle", "far-away", {"other": "5"})


def test_examples_and_their_images_come_back_as_the_benchmark_gives_them(
    pack: str, data_root: Path, tmp_path: Path
) -> None:
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    found = callbacks.tasks(tmp_path / "out" / "bundle")
    for where in session.places(pack, data_root):
        examples = list(where.benchmark.examples(where.folder))
        task = found[where.benchmark.name]
        assert list(task.examples.values()) == examples
        assert prompt_hash(list(task.examples.values())) == prompt_hash(examples)
        for view in (view for example in callbacks.asked(task) for view in callbacks.image_views(example)):
            assert (task.folder / view.content).read_bytes() == (where.folder / view.content).read_bytes()
    assert sum(bool(each.missing) for each in found["chip-colour"].examples.values()) == 1


@pytest.mark.parametrize("name", ["chip-colour", "far-away"])
def test_every_metric_is_that_of_the_benchmark(
    name: str, pack: str, data_root: Path, tmp_path: Path, said: Said
) -> None:
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    benchmark = suite.named([where.benchmark for where in session.places(pack, data_root)], name)
    examples = list(benchmark.examples(data_root / name))
    texts = said(name, [example.id for example in examples if not example.missing])
    expected = benchmark.metrics(grade(benchmark, examples, {key: Response(text) for key, text in texts.items()}))
    found = callbacks.measured(tmp_path / "out" / "bundle", name, texts)
    assert list(found.values()) == [metric.value for metric in expected]
    assert len(found) == len(expected) and all(map(math.isfinite, found.values()))


def test_keys_hold_nothing_a_harness_takes_for_its_own(pack: str, data_root: Path, tmp_path: Path) -> None:
    inspect.export(pack, "all", tmp_path / "out", data_root=data_root)
    about = json.loads((tmp_path / "out" / "bundle" / "export.json").read_text())
    keys = [key["key"] for row in about["benchmarks"] for key in row["keys"]]
    assert keys == ["accuracy (strict)", "one accuracy (strict)", "pair accuracy (strict)", "macro accuracy (strict)",
                    "median- km (pairwise- valid)"]  # fmt: skip


def test_a_limit_exports_a_sample(pack: str, data_root: Path, tmp_path: Path) -> None:
    inspect.export(pack, "far-away", tmp_path / "out", data_root=data_root, limit=2)
    assert len(callbacks.tasks(tmp_path / "out" / "bundle")["far-away"].examples) == 2


def command(*arguments: object) -> Result:
    app = Typer()
    app.command()(commands.export)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect", "chips", "--tokenizer", "t"], "--tokenizer has no meaning for an export to inspect"),
        (["lmms-eval", "chips", "--set", "a=1"], "--set has no meaning"),
        (["verl", "chips", "--suite", "all", "--limit", "3"], "--suite, --limit has no meaning for an export to verl"),
    ],
)
def test_an_option_of_the_other_kind_of_export_is_refused(
    arguments: list[str], said: str, pack: str, tmp_path: Path
) -> None:
    found = command(*arguments, "--out", tmp_path / "out")
    assert isinstance(found.exception, ConfigError) and said in str(found.exception)


@pytest.mark.parametrize(
    ("ecosystem", "file"), [("inspect", "rlvr_chips.py"), ("lmms-eval", "rlvr_chips_far_away.yaml")]
)
def test_the_command_exports_and_says_what_it_left_out(
    ecosystem: str, file: str, pack: str, data_root: Path, tmp_path: Path
) -> None:
    (data_root / "chip-colour" / "rows.jsonl").unlink()
    found = command(ecosystem, pack, "--out", tmp_path / "out", "--data-root", data_root)
    assert found.exit_code == 0 and "1 tasks" in found.output
    assert "not exported: chip-colour" in found.output
    assert (tmp_path / "out" / file).is_file()
