"""Watch a training run: log each step, draw the bar, stop what cannot recover, warn of what learns nothing."""

import json
import logging
import math
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from indirect_rlvr.errors import RunError
from indirect_rlvr.run import read_jsonl

VITAL = ("loss", "grad_norm", "reward")
"""Metrics that must be finite at every step that has them."""
IDLE_STEPS = 10
"""Steps in a row without a gradient, or without a group whose rewards differ, before a warning."""
SHOWN = ("loss", "reward", "completions/mean_length")
MISMATCH = "sampling/sampling_logp_difference/mean"
"""Mean difference of a sampled token's log-probability between sampler and trainer, where two engines compute it."""
MISMATCH_LIMIT = 0.02
"""Nats. Between vLLM and transformers in bfloat16 0.002 to 0.006 was measured; with image tokens expanded twice 0.11 to
0.16, with image embeddings of the weights before 0.09 to 0.10."""

logger = logging.getLogger(__name__)


class Watch(TrainerCallback):
    """Inside its `with` block, one line of `log` for each optimizer step, behind those of an earlier attempt; `lines`
    holds the same.

    Raises RunError out of the training loop where loss, gradient or reward is not finite, or where the sampler follows
    another policy than the one being trained.
    """

    def __init__(self, label: str, steps: int, log: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        self._label = label
        self._steps = steps
        self._log = log
        self._idle = 0

    def __enter__(self) -> "Watch":
        self.lines = read_jsonl(self._log) if self._log.exists() else []
        self._stream = self._log.open("a", encoding="utf-8")
        self._bar = tqdm(total=self._steps, initial=len(self.lines), desc=self._label, unit="step", dynamic_ncols=True)
        for line in self.lines[-IDLE_STEPS:]:
            self._count_idle(line)
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self._stream.close()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: object,
    ) -> None:
        if logs is None or "loss" not in logs:
            return  # the summary at the end of training
        line = {"step": state.global_step} | {key: _number(value) for key, value in logs.items()}
        self.lines.append(line)
        self._stream.write(json.dumps(line, allow_nan=False) + "\n")
        self._stream.flush()
        self._bar.update(state.global_step - self._bar.n)
        self._bar.set_postfix({key.split("/")[-1]: line[key] for key in SHOWN if key in line})
        self._require_finite(line)
        self._require_match(line)
        self._warn_when_idle(line)

    def _require_finite(self, line: dict[str, Any]) -> None:
        for key in VITAL:
            if key in line and line[key] is None:
                raise RunError(
                    f"{self._label}: `{key}` is not finite at step {line['step']}; nothing was saved. Lower the "
                    f"learning rate or raise the batch; the steps before: {_tail(self.lines[:-1])}"
                )

    def _require_match(self, line: dict[str, Any]) -> None:
        if MISMATCH not in line:
            return
        if line[MISMATCH] is None or line[MISMATCH] > MISMATCH_LIMIT:
            raise RunError(
                f"{self._label}: at step {line['step']} sampler and trainer differ by {line[MISMATCH]} nats a token, "
                f"more than {MISMATCH_LIMIT}; nothing was saved. The sampler has other weights, prompts or images; set "
                "grpo.trl.use_vllm = false"
            )

    def _warn_when_idle(self, line: dict[str, Any]) -> None:
        self._count_idle(line)
        if self._idle == IDLE_STEPS:
            logger.warning(
                "%s: no gradient in steps %d to %d: every group's rewards were equal, or every weight is frozen",
                self._label,
                line["step"] - IDLE_STEPS + 1,
                line["step"],
            )

    def _count_idle(self, line: dict[str, Any]) -> None:
        idle = line.get("grad_norm") == 0.0 or line.get("frac_reward_zero_std") == 1.0
        self._idle = self._idle + 1 if idle else 0


def _number(value: Any) -> Any:
    """`value` for JSON: what is not finite is null."""
    if isinstance(value, float):
        return round(value, 10) if math.isfinite(value) else None
    return value


def _tail(lines: list[dict[str, Any]]) -> str:
    shown = [{key: line.get(key) for key in ("step", *VITAL) if key in line} for line in lines[-3:]]
    return json.dumps(shown) if shown else "none"
