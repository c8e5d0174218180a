"""The proxy task of the default recipe can be solved by geometry, and a horizon that is not there can not."""

from dataclasses import replace
from pathlib import Path

import pytest

from indirect_rlvr import engine
from indirect_rlvr.data import proxy
from indirect_rlvr.types import ProxyTask
from indirect_rlvr_geo.oracle import accuracy


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[ProxyTask], Path]:
    folder: Path = tmp_path_factory.mktemp("oracle") / "run"
    run, name = engine.prepare("geo", "default", ["records.spacing_m=350.0"], folder)
    engine.execute(run, name, None, "tasks", lambda line: None)
    return [task for task in proxy.read(folder / "tasks.jsonl") if task.split == "test"], run.views


def test_the_geometry_oracle_finds_the_answer_in_95_of_100(held_out: tuple[list[ProxyTask], Path]) -> None:
    tasks, views = held_out
    assert len(tasks) > 200
    assert accuracy(tasks, views) >= 0.95


def test_the_oracle_fails_on_the_ground_view_of_another_task(held_out: tuple[list[ProxyTask], Path]) -> None:
    tasks, views = held_out
    others = [
        replace(task, question=replace(task.question, query=other.question.query))
        for task, other in zip(tasks, tasks[1:] + tasks[:1], strict=True)
    ]
    assert accuracy(others, views) < 0.4
