"""The oracle's numbers point at what the oracle chooses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indirect_rlvr import engine
from indirect_rlvr.data import proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import CandidateSet
from indirect_rlvr_geo.oracle import choose
from indirect_rlvr_geo.probes import build


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list, Path]:
    folder: Path = tmp_path_factory.mktemp("probes") / "run"
    run, name = engine.prepare("geo", "default", ["records.spacing_m=1000.0"], folder)
    engine.execute(run, name, None, "records", lambda line: None)
    own = [record for record in store.read(run.views / "records.jsonl") if record.split == "test"]
    sets = [CandidateSet(f"s{i}", "test", 0, tuple(r.id for r in own[i : i + 5])) for i in range(0, 40, 5)]
    limit = {"test": 40}
    tasks = proxy.make_tasks(run.domain, sets, own, queries_per_set=5, limit=limit, seed=0)  # type: ignore[arg-type]
    return tasks, run.views


def test_the_best_fit_is_the_oracle_s_choice_and_mostly_right(world: tuple[list, Path]) -> None:
    tasks, folder = world
    (probe,) = build()
    chosen = [task.labels[int(np.argmax(probe.measure(task, folder)))] for task in tasks]
    assert chosen == [choose(task, folder) for task in tasks]
    assert sum(label == task.answer for label, task in zip(chosen, tasks, strict=True)) >= 36


def test_a_picture_outside_the_records_folder_is_never_opened(world: tuple[list, Path]) -> None:
    task, folder = world[0][0], world[1]
    (seen,) = task.question.query
    inside = (folder / seen.content).relative_to(folder.parent).as_posix()
    away = replace(task, question=replace(task.question, query=(replace(seen, content=f"../{inside}"),)))
    for read in (build()[0].measure, choose):
        with pytest.raises(DataError, match="is not a relative path inside the records folder"):
            read(away, folder)
