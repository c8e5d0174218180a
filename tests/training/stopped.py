"""Trainings of the toy world that can be stopped anywhere, and what they left; for the tests of resuming."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indirect_rlvr.config import Grpo, Model, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.scaffolds import traces as scaffold
from indirect_rlvr.training import checkpoints, grpo, sft
from indirect_rlvr.training.checkpoints import Resume
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

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
    """GRPO or SFT on the toy world, stopped on demand; `model` is the policy's part of the recipe."""

    def __init__(
        self, domain: Domain, tasks: list[ProxyTask], records: Path, start: Path, model: Model | None = None
    ) -> None:
        self.tasks, self.fixed, self.start, self.model = tasks, (domain, records), start, model or Model()

    def grpo(
        self, out: Path, even: Even, identity: dict[str, str] | None = None, accept: bool = False, **own: Any
    ) -> Any:
        asked = {"steps": STEPS, "save_steps": 2, "prompts_per_step": 2, "group_size": 4, "max_completion_tokens": 12}
        settings = Grpo(**{**asked, "trl": FAST, **own})
        reward = Composite((Term("even", 0.0, 1.0, even),), (1.0,))
        resume = Resume(identity or {}, accept)
        made = grpo.train(self.start, self.tasks, *self.fixed, reward, settings, self.model, out, 0, resume)
        return {name: value for name, value in made.items() if name != "shared_prefix"}  # each attempt has its canary

    def sft(self, out: Path, steps: int = STEPS, **own: Any) -> Any:
        traces, _ = scaffold.build(self.fixed[0], self.tasks, count=len(self.tasks), seed=0)
        settings = Sft(**{"steps": steps, "batch": 2, "save_steps": 2, "trl": FAST, **own})
        return sft.train(self.start, traces, self.tasks, *self.fixed, settings, self.model, out, 0)


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a stage by name; of the log all but the seconds of each step."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found: dict[str, Any] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    lines = [json.loads(line) for line in found["log.jsonl"].splitlines()]
    found["log.jsonl"] = [{key: value for key, value in line.items() if key != "step_time"} for line in lines]
    return found


def stop_between_checkpoint_and_mark(patch: Any, name: str) -> None:
    """Have the checkpoint of this name written and not marked."""
    write = checkpoints.write_json

    def torn_mark(path: Path, value: object) -> None:
        if path.parent.name == name:
            raise KeyboardInterrupt
        write(path, value)

    patch.setattr(checkpoints, "write_json", torn_mark)
