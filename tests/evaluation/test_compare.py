import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from indirect_rlvr.commands import compare as commands
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation.compare import FARTHEST_KM, compare
from indirect_rlvr.evaluation.matrix import matrix
from indirect_rlvr.reporting import matrix as drawn
from indirect_rlvr.run import write_json, write_jsonl

Values = Sequence[float | None]


def folder(
    root: Path, name: str, tasks: Mapping[str, Values], main: str = "correct", benchmark: str = "quiz", **changed: Any
) -> Path:
    """An evaluation folder as `rlvr eval` leaves it: one benchmark, and for each sub-task the main value of each item,
    None where the item has none."""
    about = {"name": benchmark, "main": main, "tasks": list(tasks), "prompt_hash": "h", "parser_version": "1",
             "data_revision": "r", **changed}  # fmt: skip
    write_json(root / name / "results.json", {"model": name, "benchmarks": [about]})
    rows = [
        {"id": f"{task}-{i}", "cluster": f"c{i // 2}", "task": task, "missing": False,
         "parsed": None if value is None else {}, "values": {} if value is None else {main: value}}
        for task, values in tasks.items()
        for i, value in enumerate(values)
    ]  # fmt: skip
    write_jsonl(root / name / "items" / f"{benchmark}.jsonl", rows)
    return root / name


def edit(path: Path, line: int, **changed: Any) -> None:
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    rows[line] |= changed
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def right(count: int, of: int = 40) -> Values:
    """`count` right answers of `of`, spread over the clusters in a fixed way."""
    order = np.random.default_rng(0).permutation(of)
    return [float(order[i] < count) for i in range(of)]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompt_hash": "other"}, "`quiz` has prompt_hash 'h' in"),
        ({"parser_version": "2"}, "has parser_version '1' in"),
        ({"data_revision": "s"}, "they were not measured alike; evaluate both with the same release"),
    ],
)
def test_two_that_were_not_measured_alike_are_refused(changed: dict[str, str], said: str, tmp_path: Path) -> None:
    base, other = folder(tmp_path, "a", {"": right(4)}), folder(tmp_path, "b", {"": right(4)}, **changed)
    with pytest.raises(DataError, match=said):
        compare(base, other)


def test_items_that_only_one_side_was_asked_are_refused(tmp_path: Path) -> None:
    base, other = folder(tmp_path, "a", {"": right(4)}), folder(tmp_path, "b", {"": right(4, of=39)})
    with pytest.raises(DataError, match="1 items were asked in only one of .*, first `-39`"):
        compare(base, other)
    other = folder(tmp_path, "b", {"": right(4)})
    edit(other / "items" / "quiz.jsonl", 3, missing=True)
    with pytest.raises(DataError, match="first `-3`; evaluate both with the same data"):
        compare(base, other)


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    base = folder(tmp_path, "a", {"": right(4)})
    with pytest.raises(DataError, match="holds no results.json; make it with `rlvr eval --out"):
        compare(base, tmp_path)
    write_json(tmp_path / "b" / "results.json", {"rows": []})
    with pytest.raises(DataError, match="is not what `rlvr eval` writes"):
        compare(base, tmp_path / "b")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "../quiz"}, "`benchmarks.0.name`: Value error, expected letters, digits"),
        ({"tasks": 5}, "`benchmarks.0.tasks`: Input should be a valid list; run `rlvr eval` again"),
        ({"main": ["correct"]}, "`benchmarks.0.main`: Input should be a valid string"),
    ],
)
def test_results_that_name_a_file_elsewhere_or_are_of_another_shape_are_refused(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    base, other = folder(tmp_path, "a", {"": right(4)}), folder(tmp_path, "b", {"": right(4)})
    for where in (base, other):
        found = json.loads((where / "results.json").read_text())
        write_json(where / "results.json", found | {"benchmarks": [found["benchmarks"][0] | changed]})
    with pytest.raises(DataError, match=said):
        compare(base, other)


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    base, other = folder(tmp_path, "a", {"": right(4)}), folder(tmp_path, "b", {"": right(4)}, benchmark="other")
    with pytest.raises(DataError, match=r"no benchmark in common: \['quiz'\] and \['other'\]"):
        compare(base, other)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"id": "-1"}, "line 1: item '-1' is there twice|line 2: item '-1' is there twice"),
        ({"id": 5}, "line 1: `id` is missing or of another type"),
        ({"values": None}, "`values` is missing"),
        ({"values": {"correct": float("nan")}}, "NaN is no number of JSON"),
        ({"values": {"correct": "1"}}, "`correct` is '1'"),
        ({"values": {"correct": 10**400}}, r"`correct` is 10+\.?.*, expected a number up to 1e\+300"),
    ],
)
def test_a_broken_line_is_named(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    base, other = folder(tmp_path, "a", {"": right(4)}), folder(tmp_path, "b", {"": right(4)})
    edit(other / "items" / "quiz.jsonl", 0, **changed)
    with pytest.raises(DataError, match=said):
        compare(base, other)


def test_a_gain_in_right_answers_is_mcnemars(tmp_path: Path) -> None:
    found = compare(folder(tmp_path, "a", {"": right(4)}), folder(tmp_path, "b", {"": right(30)}))
    (task,) = found["tasks"]
    assert (task["first"], task["second"], task["n"], task["test"]) == (0.1, 0.75, 40, "McNemar")
    assert task["gain"] == pytest.approx(0.65)
    assert task["p_value"] == pytest.approx(2 * 0.5**26)
    assert task["verdict"] == "improved"
    assert found["improved"] == 1 and found["worse"] == 0


def test_a_shorter_distance_is_an_improvement_and_wilcoxons(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    near, far = rng.lognormal(3, 1, 40).tolist(), rng.lognormal(6, 1, 40).tolist()
    found = compare(folder(tmp_path, "a", {"": far}, "km"), folder(tmp_path, "b", {"": near}, "km"))
    (task,) = found["tasks"]
    assert (task["unit"], task["test"], task["verdict"]) == ("km", "Wilcoxon", "improved")
    assert task["first"] == pytest.approx(float(np.median(far))) and task["second"] < task["first"]
    back = compare(tmp_path / "b", tmp_path / "a")
    assert back["tasks"][0]["verdict"] == "worse" and back["tasks"][0]["gain"] == -task["gain"]


def test_points_are_compared_as_they_are_and_more_is_better(tmp_path: Path) -> None:
    low, high = [10.0 * i for i in range(30)], [10.0 * i + 7 for i in range(30)]
    found = compare(folder(tmp_path, "a", {"": low}, "GeoScore"), folder(tmp_path, "b", {"": high}, "GeoScore"))
    (task,) = found["tasks"]
    assert (task["unit"], task["test"], task["verdict"]) == ("points", "Wilcoxon", "improved")
    assert (task["first"], task["second"], task["gain"]) == (145.0, 152.0, 1.0)


def test_a_position_nobody_could_read_is_the_farthest(tmp_path: Path) -> None:
    found = compare(
        folder(tmp_path, "a", {"": [None] * 30}, "error_km"), folder(tmp_path, "b", {"": [5000.0] * 30}, "error_km")
    )
    (task,) = found["tasks"]
    assert (task["first"], task["second"], task["verdict"]) == (FARTHEST_KM, 5000.0, "improved")


def test_a_value_that_does_not_apply_to_an_item_leaves_it_out_and_an_unread_answer_does_not(tmp_path: Path) -> None:
    sides = [folder(tmp_path, name, {"": [0.5, None, None, 0.25]}, "iou") for name in "ab"]
    for side in sides:
        edit(side / "items" / "quiz.jsonl", 1, parsed={})
    (task,) = compare(*sides)["tasks"]
    assert task["n"] == 3
    assert task["first"] == pytest.approx(0.25)


def test_an_item_whose_media_both_sides_lack_does_not_count(tmp_path: Path) -> None:
    sides = [folder(tmp_path, name, {"": [1.0, 1.0, None, 0.0]}) for name in "ab"]
    for side in sides:
        edit(side / "items" / "quiz.jsonl", 2, missing=True)
    (task,) = compare(*sides)["tasks"]
    assert (task["n"], task["first"]) == (3, pytest.approx(2 / 3))


def test_the_correction_is_for_all_tasks_together(tmp_path: Path) -> None:
    quiet = {f"q{i}": right(20) for i in range(19)}
    base = folder(tmp_path, "a", {**quiet, "moved": right(10)})
    alone = compare(folder(tmp_path, "c", {"moved": right(10)}), folder(tmp_path, "d", {"moved": right(17)}))
    among = compare(base, folder(tmp_path, "b", {**quiet, "moved": right(17)}))
    assert alone["tasks"][0]["verdict"] == "improved"
    moved = among["tasks"][-1]
    assert moved["p_value"] == alone["tasks"][0]["p_value"] == pytest.approx(2 * 0.5**7)
    assert moved["p_holm"] == pytest.approx(20 * moved["p_value"])
    assert moved["verdict"] == "no measurable change"
    assert among["statement"].startswith("0 of 20 target tasks improved, 0 got worse and 20 did not change measurably")


def test_what_is_not_compared_is_named(tmp_path: Path) -> None:
    base = folder(tmp_path, "a", {"": right(4), "empty": []})
    other = folder(tmp_path, "b", {"": right(4), "empty": []})
    more = json.loads((other / "results.json").read_text())
    more["benchmarks"].append({**more["benchmarks"][0], "name": "extra"})
    write_json(other / "results.json", more)
    assert [(one["benchmark"], one["task"], one["why"]) for one in compare(base, other)["not_compared"]] == [
        ("extra", "", f"only in `{other}`"), ("quiz", "empty", "nothing was asked")
    ]  # fmt: skip


def test_a_matrix_needs_rows_with_names_of_their_own(tmp_path: Path) -> None:
    base = folder(tmp_path, "a", {"": right(4)})
    with pytest.raises(ConfigError, match="at least one trained model"):
        matrix(base, [])
    twins = [folder(tmp_path / name, "same", {"": right(4)}) for name in "xy"]
    with pytest.raises(ConfigError, match="two evaluation folders are named `same`"):
        matrix(base, twins)


def test_a_matrix_has_a_cell_for_each_model_and_task_and_none_where_it_was_not_measured(tmp_path: Path) -> None:
    base = folder(tmp_path, "base", {"": right(4)})
    good, bad = folder(tmp_path, "good", {"": right(30)}), folder(tmp_path, "bad", {"": right(0)})
    for side, values in ((base, right(9)), (good, right(9))):
        whole = json.loads((side / "results.json").read_text())
        folder(tmp_path, side.name, {"part": values}, benchmark="second")
        whole["benchmarks"] += json.loads((side / "results.json").read_text())["benchmarks"]
        write_json(side / "results.json", whole)
    found = matrix(base, [good, bad])
    assert found["tasks"] == [{"benchmark": "quiz", "task": ""}, {"benchmark": "second", "task": "part"}]
    cells = {row["name"]: [cell and cell["gain"] for cell in row["cells"]] for row in found["rows"]}
    assert cells == {"good": [pytest.approx(0.65), 0.0], "bad": [pytest.approx(-0.1), None]}
    written = [path.read_text() for path in drawn.write(found, tmp_path / "out")]
    assert json.loads(written[0]) == found
    assert "| quiz | +65.0 \\*\\*" in written[1] and "| second: part | +0.0" in written[1]
    assert "bad: second (only in" in written[1]


def command(*arguments: object) -> Any:
    app = Typer()
    app.command()(commands.compare)
    app.command("transfer-matrix")(commands.transfer_matrix)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_commands_print_and_write_what_the_functions_say(tmp_path: Path) -> None:
    base, good = folder(tmp_path, "base", {"": right(4)}), folder(tmp_path, "good", {"": right(30)})
    shown = command("compare", base, good)
    assert shown.exit_code == 0 and "improved" in shown.output and "1 of 1 target task improved" in shown.output
    assert json.loads(command("compare", base, good, "--json").output) == json.loads(json.dumps(compare(base, good)))
    made = command("transfer-matrix", base, good, "--out", tmp_path / "out")
    assert made.exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "transfer-matrix.json", "transfer-matrix.md", "transfer-matrix.svg"
    ]  # fmt: skip
