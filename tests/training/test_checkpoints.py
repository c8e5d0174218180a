"""A training that was stopped anywhere ends in the bytes of one that was not; what is torn or foreign is refused."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from stopped import FAST, STEPS, Even, Train, contents, crash, stop_between_checkpoint_and_mark
from torch import nn

from indirect_rlvr.config import Curriculum
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.run import settle
from indirect_rlvr.stopping import Terminated, terminable
from indirect_rlvr.training import checkpoints, models
from indirect_rlvr.types import ProxyTask

MakeTasks = Callable[..., list[ProxyTask]]


@pytest.fixture
def train(domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path) -> Train:
    return Train(domain, make_tasks(8), records_folder, vision_folder)


@pytest.fixture
def train_text(domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_folder: Path) -> Train:
    return Train(domain, make_tasks(8, "text"), records_folder, text_folder)


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "reference model": {"trl": FAST | {"beta": 0.04}},
    "two iterations": {"trl": FAST | {"num_iterations": 2}},
    "refilled": {"curriculum": Curriculum(refill=2, tolerance=0.05)},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("at", [3, 20])
def test_grpo_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(
    train: Train, tmp_path: Path, case: str, at: int
) -> None:
    whole = train.grpo(tmp_path / "whole" / "grpo", Even(), **CASES[case])
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut" / "grpo", Even(at, crash), **CASES[case])
    assert not (tmp_path / "cut" / "grpo").exists()
    resumed = Even()
    assert train.grpo(tmp_path / "cut" / "grpo", resumed, **CASES[case]) == whole
    assert contents(tmp_path / "cut" / "grpo") == contents(tmp_path / "whole" / "grpo")
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["grpo"]


def test_a_text_only_policy_resumes_too(train_text: Train, tmp_path: Path) -> None:
    train_text.grpo(tmp_path / "whole", Even())
    with pytest.raises(KeyboardInterrupt):
        train_text.grpo(tmp_path / "cut", Even(30, crash))
    even = Even()
    train_text.grpo(tmp_path / "cut", even)
    assert even.calls < STEPS * 8
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_sft_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train.sft(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_between_checkpoint_and_mark(patch, "checkpoint-4")
        with pytest.raises(KeyboardInterrupt):
            train.sft(tmp_path / "cut")
    assert checkpoints.newest(tmp_path / ".cut.partial").step == 2
    assert train.sft(tmp_path / "cut") == whole
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_ends_the_step_writes_a_checkpoint_and_stops(
    train: Train, tmp_path: Path, number: signal.Signals, error: type[BaseException]
) -> None:
    train.grpo(tmp_path / "whole", Even(), save_steps=100)
    with pytest.raises(error):
        train.grpo(tmp_path / "cut", Even(20, lambda: os.kill(os.getpid(), number)), save_steps=100)
    assert checkpoints.newest(tmp_path / ".cut.partial").step == 3
    even = Even()
    train.grpo(tmp_path / "cut", even, save_steps=100)
    assert even.calls == (STEPS - 3) * 8
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(train: Train, tmp_path: Path) -> None:
    train.grpo(tmp_path / "whole", Even())
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash))
    kept = sorted(path.name for path in (tmp_path / ".cut.partial").glob("checkpoint-*"))
    assert kept == ["checkpoint-2", "checkpoint-4"]
    optimizer = tmp_path / ".cut.partial" / "checkpoint-4" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-1])
    assert checkpoints.newest(tmp_path / ".cut.partial").step == 2
    train.grpo(tmp_path / "cut", Even())
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_checkpoint_whose_log_or_rollouts_are_cut_is_passed_over_for_the_one_before(
    train: Train, tmp_path: Path
) -> None:
    """A power cut may take the end of a file that was still to be written to the disk."""
    train.grpo(tmp_path / "whole", Even())
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash))
    lines = (tmp_path / ".cut.partial" / "log.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / ".cut.partial" / "log.jsonl").write_bytes(b"".join(lines[:3]))
    assert checkpoints.newest(tmp_path / ".cut.partial").step == 2
    train.grpo(tmp_path / "cut", Even())
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_other_weights_than_were_saved_are_refused(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash))
    path = tmp_path / ".cut.partial" / "checkpoint-4" / "model.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(RunError, match="are not those that were saved"):
        train.grpo(tmp_path / "cut", Even())


def test_only_the_last_checkpoints_stay_and_nothing_pickled_is_among_them(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash), save_steps=1, keep_checkpoints=3)
    folder = tmp_path / ".cut.partial"
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-3", "checkpoint-4", "checkpoint-5"]
    assert not list(folder.rglob("training_args.bin"))


def test_a_training_that_ended_and_that_nobody_marked_goes_on_from_its_last_checkpoint(
    train: Train, tmp_path: Path
) -> None:
    """Killed behind its end, before the manifest said so."""
    train.grpo(tmp_path / "grpo", Even(), {"grpo": "1"})
    ended = contents(tmp_path / "grpo")
    even = Even()
    train.grpo(tmp_path / "grpo", even, {"grpo": "1"})
    assert even.calls == 2 * 8
    assert contents(tmp_path / "grpo") == ended
    settle(tmp_path / "grpo")
    train.grpo(tmp_path / "alone", Even())
    assert contents(tmp_path / "grpo") == contents(tmp_path / "alone")


def test_a_changed_recipe_starts_anew_only_when_that_is_accepted(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash), {"grpo": "1", "packages": "a"})
    with pytest.raises(ConfigError, match=r"since then changed: grpo; with the change it starts anew. Give --accept"):
        train.grpo(tmp_path / "cut", Even(), {"grpo": "2", "packages": "a"})
    even = Even()
    train.grpo(tmp_path / "cut", even, {"grpo": "2", "packages": "a"}, accept=True)
    assert even.calls == STEPS * 8


def test_other_packages_go_on_only_when_that_is_accepted(train: Train, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash), {"grpo": "1", "packages": "a"})
    with pytest.raises(ConfigError, match=r"changed: packages; with the change it goes on from its checkpoint, though"):
        train.grpo(tmp_path / "cut", Even(), {"grpo": "1", "packages": "b"})
    even = Even()
    train.grpo(tmp_path / "cut", even, {"grpo": "1", "packages": "b"}, accept=True)
    assert even.calls == 2 * 8


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_signal_behind_the_last_step_stops_too_and_the_training_is_not_lost(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    def trained(out: Path, even: Even) -> None:
        train.sft(out) if stage == "sft" else train.grpo(out, even)

    trained(tmp_path / "whole", Even())
    digest = models.weights_digest

    def signalled(model: nn.Module, dtype: str | None = None) -> str:
        if dtype is not None:  # of the model that is finished, not of a checkpoint
            os.kill(os.getpid(), signal.SIGTERM)
        return digest(model, dtype)

    with monkeypatch.context() as patch, terminable(), pytest.raises(Terminated):
        patch.setattr(models, "weights_digest", signalled)
        trained(tmp_path / "cut", Even())
    assert checkpoints.newest(tmp_path / ".cut.partial").step == STEPS - 2
    resumed = Even()
    trained(tmp_path / "cut", resumed)
    assert resumed.calls == (16 if stage == "grpo" else 0)
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
