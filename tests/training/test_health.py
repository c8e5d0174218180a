"""The watch stops what cannot recover and warns, once, of what learns nothing."""

import json
import logging
import math
from pathlib import Path

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from indirect_rlvr.errors import RunError
from indirect_rlvr.training.health import IDLE_STEPS, MISMATCH, MISMATCH_LIMIT, Watch


def _log(watch: Watch, folder: Path, steps: list[dict[str, object]]) -> None:
    args = TrainingArguments(output_dir=str(folder), use_cpu=True)
    with watch:
        for number, metrics in enumerate(steps, 1):
            watch.on_log(args, TrainerState(global_step=number), TrainerControl(), logs=metrics)


@pytest.mark.parametrize("key", ["loss", "grad_norm", "reward"])
@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_finite_stops_the_run_and_stays_readable(key: str, value: float | None, tmp_path: Path) -> None:
    good: dict[str, object] = {"loss": 0.5, "grad_norm": 1.0, "reward": 0.25}
    with pytest.raises(RunError, match=rf"grpo: `{key}` is not finite at step 2; .*\"reward\": 0.25"):
        _log(Watch("grpo", 3, tmp_path / "log.jsonl"), tmp_path, [good, good | {key: value}, good])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line[key] for line in lines] == [good[key], None]


@pytest.mark.parametrize("value", [0.021, math.nan])
def test_a_sampler_that_follows_another_policy_stops_the_run(value: float, tmp_path: Path) -> None:
    good: dict[str, object] = {"loss": 0.5, MISMATCH: MISMATCH_LIMIT}
    watch = Watch("grpo", 3, tmp_path / "log.jsonl")
    with pytest.raises(RunError, match=r"grpo: at step 2 sampler and trainer differ by (0.021|None) nats a token"):
        _log(watch, tmp_path, [good, good | {MISMATCH: value}, good])
    assert len(watch.lines) == 2


@pytest.mark.parametrize("idle", [{"frac_reward_zero_std": 1.0}, {"grad_norm": 0.0}])
def test_idle_steps_in_a_row_are_warned_of_once(
    idle: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[dict[str, object]] = [{"loss": 0.0, **idle} for _ in range(IDLE_STEPS + 3)]
    with caplog.at_level(logging.WARNING):
        _log(Watch("grpo", len(steps), tmp_path / "log.jsonl"), tmp_path, steps)
    assert [record.getMessage() for record in caplog.records] == [
        "grpo: no gradient in steps 1 to 10: every group's rewards were equal, or every weight is frozen"
    ]


def test_idle_steps_that_are_interrupted_pass_silently(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    steps: list[dict[str, object]] = [{"loss": 0.0, "grad_norm": 0.0} for _ in range(2 * IDLE_STEPS - 1)]
    steps[IDLE_STEPS - 1] = {"loss": 0.1, "grad_norm": 0.2}
    with caplog.at_level(logging.WARNING):
        _log(Watch("grpo", len(steps), tmp_path / "log.jsonl"), tmp_path, steps)
    assert caplog.records == []
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(steps)
