"""What a training holds does not grow with its steps: open files, threads, what is on record; and trackers go along."""

import json
import runpy
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from trl.trainer.utils import RepeatSampler

from indirect_rlvr.config import Grpo, Model, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.scaffolds import traces as scaffold
from indirect_rlvr.training import checkpoints, grpo, sft
from indirect_rlvr.training.recording import PassSampler
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

BENCHMARK = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/long_run.py"))
ROLLOUTS = 8
"""Rollouts of one generation."""


@pytest.fixture
def train(
    domain: Domain, make_tasks: Callable[..., list[ProxyTask]], records_folder: Path, text_folder: Path
) -> Callable[..., Any]:
    """(out, rollout at which it is interrupted, options of [grpo]) to a GRPO training on a tiny policy of text."""

    def run(out: Path, at: int = 0, **own: Any) -> Any:
        calls = iter(range(1, 10_000))

        def even(task: ProxyTask, completion: Completion) -> Outcome:
            if next(calls) == at:
                raise KeyboardInterrupt
            return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)

        size = {"prompts_per_step": 2, "group_size": 4, "max_completion_tokens": 12, "steps": 6, "save_steps": 2}
        settings = Grpo(**{**size, **own})
        reward = Composite((Term("even", 0.0, 1.0, even),), (1.0,))
        return grpo.train(text_folder, make_tasks(8, "text"), domain, records_folder, reward, settings, Model(), out, 0)

    return run


def test_open_files_and_threads_are_after_sixty_steps_what_they_were(tmp_path: Path) -> None:
    first = BENCHMARK["held"](tmp_path)
    samples = BENCHMARK["train"](tmp_path, steps=60, save_steps=10, rollouts_every=10)
    assert [row["step"] for row in samples] == [10, 20, 30, 40, 50, 60]
    assert len({row["open_files"] for row in samples[1:]}) == 1
    assert len({row["threads"] for row in samples[1:]}) == 1
    left = psutil.Process()
    assert left.num_fds() <= first["open_files"]
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"]


def test_trainer_keeps_no_history_of_its_own_in_a_checkpoint(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "grpo", at=5 * ROLLOUTS)
    state = json.loads((tmp_path / ".grpo.partial/checkpoint-4/trainer_state.json").read_text())
    assert state["log_history"] == []


def steps_on_record(out: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (out / "rollouts.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("iterations", "every", "kept"), [(1, 3, [1, 4]), (2, 2, [1, 5])])
def test_rollouts_of_every_nth_generation_go_on_record(
    train: Callable[..., Any], tmp_path: Path, iterations: int, every: int, kept: list[int]
) -> None:
    made = train(tmp_path / "grpo", rollouts_every=every, trl={"num_iterations": iterations})
    assert steps_on_record(tmp_path / "grpo") == [step for step in kept for _ in range(ROLLOUTS)]
    assert made["rollouts"] == 6 // iterations * ROLLOUTS


@pytest.mark.parametrize("at", [3, 5, 6, 7, 10])
def test_thinned_rollouts_survive_an_interruption_in_any_pass_over_the_tasks(
    train: Callable[..., Any], tmp_path: Path, at: int
) -> None:
    own = {"rollouts_every": 2, "steps": 10, "save_steps": 1}  # four steps are a pass
    train(tmp_path / "whole", **own)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", at=at * ROLLOUTS, **own)
    train(tmp_path / "cut", **own)
    names = ("rollouts.jsonl", "model.safetensors")
    assert [(tmp_path / "cut" / n).read_bytes() for n in names] == [
        (tmp_path / "whole" / n).read_bytes() for n in names
    ]


def test_slopes_of_what_grows_and_of_what_does_not() -> None:
    slope = BENCHMARK["slope"]
    rows = [{"step": step, "up": 2.0 * step + (step % 3 - 1), "flat": 7.0} for step in range(100)]
    up, flat = slope(rows, "up"), slope(rows, "flat")
    assert 1990 < up["low"] < up["per_1000_steps"] < up["high"] < 2010
    assert (flat["low"], flat["high"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("neptune", "`grpo.trl.report_to` is `neptune`, which is not installed; pip install neptune, or leave the key"),
        (["none", "neptunium"], "`grpo.trl.report_to` names 'neptunium'; known trackers: "),
        (3, "`grpo.trl.report_to` names '3'; known trackers: "),
    ],
)
def test_a_tracker_that_is_not_there_is_one_message(
    train: Callable[..., Any], tmp_path: Path, wanted: object, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "grpo", trl={"report_to": wanted})
    assert str(caught.value).startswith(said)


def test_tensorboard_has_every_step_once_in_the_run_folder_after_a_resume(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trl = {"report_to": "tensorboard", "learning_rate": 1e-3}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "grpo", at=6 * ROLLOUTS, trl=trl)
    train(tmp_path / "grpo", trl=trl)
    found: dict[int, float] = {}
    folders = sorted({path.parent for path in (tmp_path / "grpo" / "runs").rglob("events.out.*")})
    for folder in folders:
        events = EventAccumulator(str(folder))
        events.Reload()
        found |= {event.step: event.value for event in events.Scalars("train/reward")}
    lines = [json.loads(line) for line in (tmp_path / "grpo/log.jsonl").read_text().splitlines()]
    assert found == pytest.approx({line["step"]: line["reward"] for line in lines})
    assert sorted(found) == [1, 2, 3, 4, 5, 6]


def test_passes_over_the_tasks_are_in_the_order_of_trl() -> None:
    own = {"mini_repeat_count": 2, "batch_size": 3, "seed": 5}
    theirs, ours = RepeatSampler(range(7), **own), PassSampler(range(7), **own)
    wanted = [list(theirs) for _ in range(3)]
    assert wanted[0] != wanted[1]
    for number in (2, 0, 1):
        ours.set_epoch(number)
        assert list(ours) == wanted[number]


@pytest.mark.parametrize("torn", [6, 8, 10])
def test_sft_goes_on_in_any_pass_over_the_traces(
    domain: Domain,
    make_tasks: Callable[..., list[ProxyTask]],
    records_folder: Path,
    text_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    torn: int,
) -> None:
    tasks = make_tasks(8, "text")
    traces, _ = scaffold.build(domain, tasks, count=8, seed=0)
    settings = Sft(steps=12, batch=2, save_steps=2, trl={"learning_rate": 1e-2})  # four steps are a pass
    write = checkpoints.write_json

    def crash(path: Path, value: object) -> None:
        if path.parent.name == f"checkpoint-{torn}":
            raise KeyboardInterrupt
        write(path, value)

    def train(out: Path) -> Any:
        return sft.train(text_folder, traces, tasks, domain, records_folder, settings, Model(), out, 0)

    whole = train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_json", crash)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "cut")
    assert train(tmp_path / "cut") == whole
