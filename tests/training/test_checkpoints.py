"""A training that was stopped anywhere ends in the bytes of one that was not; what is torn or foreign is refused."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from indirect_rlvr.config import Curriculum, Grpo, Model, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.scaffolds import traces as scaffold
from indirect_rlvr.stopping import Terminated
from indirect_rlvr.training import checkpoints, grpo, sft
from indirect_rlvr.training.checkpoints import Resume
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

MakeTasks = Callable[..., list[ProxyTask]]
STEPS = 6
FAST = {"learning_rate": 1e-2, "lr_scheduler_type": "linear"}


class Even:
    """A reward term that can be told to crash, or to send a signal, at its n-th call."""

    def __init__(self, at: int = 0, do: Callable[[], None] | None = None) -> None:
        self.calls, self.at, self.do = 0, at, do

    def __call__(self, task: ProxyTask, completion: Completion) -> Outcome:
        self.calls += 1
        if self.calls == self.at and self.do:
            self.do()
        return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)


def crash() -> None:
    """What a lost process looks like from inside."""
    raise KeyboardInterrupt


class Train:
    """GRPO or SFT on the toy world, stopped on demand."""

    def __init__(self, domain: Domain, tasks: list[ProxyTask], records: Path, start: Path) -> None:
        self.tasks, self.fixed, self.start = tasks, (domain, records), start

    def grpo(
        self, out: Path, even: Even, identity: dict[str, str] | None = None, accept: bool = False, **own: Any
    ) -> Any:
        asked = {"steps": STEPS, "save_steps": 2, "prompts_per_step": 2, "group_size": 4, "max_completion_tokens": 12}
        settings = Grpo(**{**asked, "trl": FAST, **own})
        reward = Composite((Term("even", 0.0, 1.0, even),), (1.0,))
        resume = Resume(identity or {}, accept)
        made = grpo.train(self.start, self.tasks, *self.fixed, reward, settings, Model(), out, 0, resume)
        return {name: value for name, value in made.items() if name != "shared_prefix"}  # each attempt has its canary

    def sft(self, out: Path, steps: int = STEPS) -> Any:
        traces, _ = scaffold.build(self.fixed[0], self.tasks, count=len(self.tasks), seed=0)
        settings = Sft(steps=steps, batch=2, save_steps=2, trl=FAST)
        return sft.train(self.start, traces, self.tasks, *self.fixed, settings, Model(), out, 0)


@pytest.fixture
def train(domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path) -> Train:
    return Train(domain, make_tasks(8), records_folder, vision_folder)


@pytest.fixture
def train_text(domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_folder: Path) -> Train:
    return Train(domain, make_tasks(8, "text"), records_folder, text_folder)


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a stage by name; of the log all but the seconds of each step."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    lines = [json.loads(line) for line in found["log.jsonl"].splitlines()]
    found["log.jsonl"] = [{key: value for key, value in line.items() if key != "step_time"} for line in lines]
    return found


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
    write = checkpoints.write_json

    def torn_mark(path: Path, value: object) -> None:
        if path.parent.name == "checkpoint-4":
            raise KeyboardInterrupt
        write(path, value)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write_json", torn_mark)  # the moment between a checkpoint and its mark
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
