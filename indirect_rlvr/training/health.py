"""Watch a training run: log each step, show how far it is, stop or warn where `[health]` says that it is ill."""

import json
import logging
import math
import time
from collections import deque
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from indirect_rlvr import processes
from indirect_rlvr.config import Health
from indirect_rlvr.errors import RunError
from indirect_rlvr.progress import Progress, facts
from indirect_rlvr.run import read_jsonl
from indirect_rlvr.training import sharded
from indirect_rlvr.training.checkpoints import forget_after
from indirect_rlvr.training.faults import RATE, VITAL, Line, Rule, Streaks

HEALTHY = Health()
"""What a training is held to where nothing else is said."""
BEFORE = 3
"""Steps before a fault that its message shows."""

logger = logging.getLogger(__name__)


class Watch(TrainerCallback):
    """Inside its `with` block, one line of `log` for each optimizer step, behind those of an earlier attempt; `first`
    and `last` are the first and the last value of each metric.

    Raises RunError out of the training loop at a fault that `health.stop` names; checkpoints from before it stay, those
    from after it go. Any other fault is a warning each time it begins. Of several processes the first writes and warns,
    and all judge by its metrics.
    """

    def __init__(self, label: str, steps: int, log: Path, health: Health) -> None:
        self.first: dict[str, Any] = {}
        self.last: dict[str, Any] = {}
        self._label = label
        self._steps = steps
        self._log = log
        self._health = health

    def __enter__(self) -> "Watch":
        self._streaks = Streaks(self._health)
        self._recent: deque[dict[str, Any]] = deque(maxlen=BEFORE + 1)
        for line in processes.by_first(lambda: read_jsonl(self._log) if self._log.exists() else []):
            self._take(line)
        self._stream: TextIO | None = None
        if processes.is_first():
            self._stream = self._log.open("a", encoding="utf-8")
            self._progress = Progress(self._label, "step", self._steps, done=self.last.get("step", 0))
        self._since = time.monotonic()
        return self

    def __exit__(self, *error: object) -> None:
        if self._stream is not None:
            self._progress.close()
            self._stream.close()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        model: PreTrainedModel | None = None,
        **kwargs: object,
    ) -> None:
        state.log_history.clear()  # log.jsonl has it; Trainer would keep it in memory and in every checkpoint
        if logs is None or "loss" not in logs:
            return  # the summary at the end of training
        now = time.monotonic()
        line = {"step": state.global_step} | {key: _number(value) for key, value in logs.items()}
        line.setdefault("step_time", round(now - self._since, 3))
        self._since = now
        line = processes.agreed(line)
        if self._stream is not None:
            self._stream.write(json.dumps(line, allow_nan=False) + "\n")
            self._stream.flush()
            self._progress.reach(state.global_step, facts(line))
        for rule in self._take(line):
            self._judge(rule, line)
        if "not_finite" in self._health.stop and model is not None and processes.any_of(not _finite(model)):
            self._stop("a weight is not finite", line["step"] - 1, RATE)

    def sound(self) -> int:
        """The last step whose checkpoint is from before any fault that stops a training began to show."""
        return self._streaks.sound()

    def _take(self, line: dict[str, Any]) -> list[Rule]:
        self.first = line | self.first
        self.last |= line
        self._recent.append(line)
        return self._streaks.count(line)

    def _judge(self, rule: Rule, line: Line) -> None:
        words = rule.words(line, self._health)
        if rule.name in self._health.stop:
            self._stop(words, self.sound(), rule.remedy, rule)
        first, last = self._streaks.began(rule.name), line["step"]
        steps = f"step {last}" if first == last else f"steps {first} to {last}"
        if processes.is_first():
            logger.warning("%s: %s: %s; %s", self._label, steps, words, rule.remedy)

    def _stop(self, words: str, sound: int, remedy: str, rule: Rule | None = None) -> None:
        """Raise RunError; the newest checkpoint is then from before the fault."""
        kept, step = processes.by_first(partial(forget_after, self._log.parent, sound)), self.last["step"]
        here = (
            f"the checkpoint of step {kept}, from before that, is kept in `{self._log.parent}`"
            if kept
            else "no checkpoint is from before that"
        )
        go_on = f"from step {kept}" if kept else "at the beginning"
        without = rule.name if rule else "not_finite"
        raise RunError(
            f"{self._label}: {words} at step {step}; {here}. To start this training anew, {remedy}, and give "
            f"--accept-changes; to go on {go_on} as it is, leave `{without}` out of `health.stop`. "
            f"The steps before: {_tail([*self._recent][:-1])}"
        )


def _finite(model: PreTrainedModel) -> bool:
    """Whether every trained weight that this process holds is a finite number; one look at the device."""
    held = [sharded.own(parameter).detach() for parameter in model.parameters() if parameter.requires_grad]
    ends = [end for part in held if part.numel() for end in torch.aminmax(part)]
    return not ends or bool(torch.stack([end.float() for end in ends]).isfinite().all())


def _number(value: Any) -> Any:
    """`value` for JSON: what is not finite is null."""
    if isinstance(value, float):
        return round(value, 10) if math.isfinite(value) else None
    return value


def _tail(lines: list[dict[str, Any]]) -> str:
    found = [{key: line.get(key) for key in ("step", *VITAL) if key in line} for line in lines]
    return json.dumps(found) if found else "none"
