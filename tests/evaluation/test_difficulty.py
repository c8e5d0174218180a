"""Accuracy against difficulty, from any file of answers; the pass rate belongs to the set, not to its members."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from indirect_rlvr.data import proxy
from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation import difficulty
from indirect_rlvr.run import write_json, write_jsonl
from indirect_rlvr.types import ProxyTask, Question, View


def _task(name: str, members: str = "ab", answer: int = 0, **measures: float) -> ProxyTask:
    views = tuple(View("code", "text", member) for member in members)
    question = Question("Which?", (View("note", "text", "note"),), views, {})
    labels = tuple("ABCDE"[: len(members)])
    return ProxyTask(name, name, "test", 0, question, labels, labels[answer], members[answer], tuple(members), measures)


def _says(letter: str) -> str:
    return f"<think>so</think><answer>{letter}</answer>"


def _file(path: Path, *answers: tuple[str, str], key: str = "task_id") -> Path:
    write_jsonl(path, [{key: name, "text": text} for name, text in answers])
    return path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", r"line 1: expected `text` and the id of a task as `task_id` or `id`"),
        ("3", r"line 1: expected `text`"),
        ('{"id": "t", "text": 3}', r"line 1: expected `text`"),
        ('{"id": "other", "text": ""}', r"line 1 answers 'other', which is none of the 1 tasks"),
        (f'{{"id": "{"x" * 5000}", "text": ""}}', r"line 1 answers 'x{79}, which is none of the 1 tasks"),
        ("", r"holds no answer; let a policy answer these tasks first"),
    ],
)
def test_a_file_that_does_not_answer_the_tasks_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(line + "\n" if line else "")
    with pytest.raises(DataError, match=message):
        difficulty.answered([_task("t")], tmp_path / "a.jsonl")


def test_tasks_without_any_measure_are_refused() -> None:
    with pytest.raises(DataError, match="no task of `here` has a measure of difficulty; run the stage tasks again"):
        difficulty.table({"m": [(_task("t"), True)]}, "here")


def test_a_run_without_answers_and_a_model_that_is_nowhere_are_refused(tmp_path: Path) -> None:
    proxy.save(tmp_path / "tasks.jsonl", [_task("t", cell=1.0)])
    with pytest.raises(DataError, match="has no evaluated row; run the stage evaluate, or give --model"):
        difficulty.against(tmp_path)
    with pytest.raises(DataError, match="is neither a folder with a model nor a file of answers"):
        difficulty.against(tmp_path, tmp_path / "nowhere")


def test_rollouts_and_predictions_are_read_alike_and_judged_by_the_parser(tmp_path: Path) -> None:
    tasks = [_task("t"), _task("u", answer=1)]
    answers = [("t", _says("A")), ("u", _says("A")), ("t", "no answer"), ("u", _says("B"))]
    for key in ("task_id", "id"):
        found = difficulty.answered(tasks, _file(tmp_path / "a.jsonl", *answers, key=key))
        assert [(task.id, right) for task, right in found] == [("t", True), ("u", False), ("t", False), ("u", True)]


def test_the_pass_rate_is_the_mean_over_the_tasks_of_a_set_and_nothing_else(tmp_path: Path) -> None:
    tasks = [_task("t", "ab", 0, cell=1.0), _task("u", "ba", 0), _task("v", "cd"), _task("w", "ab", 1)]
    answers = [(tasks[0], True), (tasks[0], True), (tasks[0], True), (tasks[1], False)]
    found = {task.id: task.difficulty for task in difficulty.with_pass_rate(tasks, answers)}
    assert found == {"t": {"cell": 1.0, "pass_rate": 0.5}, "u": {"pass_rate": 0.5}, "v": {}, "w": {"pass_rate": 0.5}}


def test_few_values_get_a_bin_each_and_many_get_equal_parts() -> None:
    tasks = [_task(f"t{i}", cell=float(i % 2), spread=float(i)) for i in range(50)]
    found = difficulty.table({"m": [(task, task.difficulty["spread"] < 10) for task in tasks]}, "")
    cells, spreads = (found["measures"][name]["models"]["m"] for name in ("cell", "spread"))
    assert [(part["low"], part["high"], part["n"]) for part in cells] == [(0.0, 0.0, 25), (1.0, 1.0, 25)]
    assert [(part["low"], part["high"], part["n"]) for part in spreads] == [
        (10.0 * i, 10.0 * i + 9, 10) for i in range(5)
    ]
    assert [part["accuracy"] for part in spreads] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert found["chance"] == 0.5


def test_ties_stay_in_one_bin() -> None:
    values = [0.0] * 30 + [float(i) for i in range(1, 11)]
    tasks = [_task(f"t{i}", spread=value) for i, value in enumerate(values)]
    found = difficulty.table({"m": [(task, True) for task in tasks]}, "")["measures"]["spread"]["models"]["m"]
    assert sum(part["n"] for part in found) == 40
    assert all(one["high"] < other["low"] for one, other in pairwise(found))


def test_models_share_their_bins_and_intervals_hold_their_accuracy() -> None:
    tasks = [_task(f"t{i}", similarity=i / 60) for i in range(60)]
    easy, all_right = [(t, t.difficulty["similarity"] < 0.5) for t in tasks[::2]], [(t, True) for t in tasks]
    models = difficulty.table({"easy": easy, "all": all_right}, "")["measures"]["similarity"]["models"]
    starts = {round(part["low"] * 60) for part in models["all"]}
    for part in models["easy"]:
        assert max(start for start in starts if start <= round(part["low"] * 60)) + 12 > round(part["high"] * 60)
        assert part["ci95"][0] <= part["accuracy"] <= part["ci95"][1]
    assert json.loads(json.dumps(models)) == models


def test_a_run_is_read_from_its_files_in_one_call(tmp_path: Path) -> None:
    tasks = [_task(f"t{i}", cell=float(i % 2)) for i in range(10)]
    proxy.save(tmp_path / "tasks.jsonl", tasks)
    for model, letter in (("base", "B"), ("better", "A")):
        _file(tmp_path / "evaluation" / model / "proxy.jsonl", *((t.id, _says(letter)) for t in tasks), key="id")
    write_json(tmp_path / "results.json", {"rows": [{"model": "base"}, {"model": "better"}]})
    found = difficulty.against(tmp_path)["measures"]["cell"]["models"]
    assert {name: [part["accuracy"] for part in bins] for name, bins in found.items()} == {
        "base": [0, 0],
        "better": [1, 1],
    }
    rollouts = _file(tmp_path / "rollouts.jsonl", ("t0", _says("A")), ("t0", _says("B")))
    (part,) = difficulty.against(tmp_path, rollouts)["measures"]["cell"]["models"]["rollouts.jsonl"]
    assert (part["accuracy"], part["n"], part["clusters"]) == (0.5, 2, 1)
