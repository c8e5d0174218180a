"""A fault that is planted in a real training is found, and the training stops or goes on as the recipe says."""

import json
import logging
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from indirect_rlvr.config import Grpo, Health, Model, Recipe
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.training import checkpoints, grpo
from indirect_rlvr.training.faults import MISMATCH, RULES, VITAL
from indirect_rlvr.training.health import HEALTHY, Watch
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term
from indirect_rlvr.validation import validate

MakeTasks = Callable[..., list[ProxyTask]]
SIZE = {"prompts_per_step": 2, "group_size": 4, "max_completion_tokens": 12, "steps": 6, "save_steps": 1}
ROLLOUTS = 8
"""Calls of the reward in one step."""


class Score:
    """A reward term that pays even tokens, and from its n-th call on does something else."""

    def __init__(self, at: int = 0, then: Callable[[], float] | None = None) -> None:
        self.calls, self.at, self.then = 0, at, then

    def __call__(self, task: ProxyTask, completion: Completion) -> Outcome:
        self.calls += 1
        if self.then and self.calls >= self.at:
            return Outcome(self.then())
        return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)


@pytest.fixture
def train(domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_folder: Path) -> Callable[..., Any]:
    """(out, health, score, trl options, others of [grpo]) to a GRPO training on a tiny policy of text."""

    def run(out: Path, health: Health = HEALTHY, score: Score | None = None, **own: Any) -> Any:
        trl = {"learning_rate": 1e-3, **own.pop("trl", {})}
        reward = Composite((Term("even", 0.0, 1.0, score or Score()),), (1.0,))
        tasks, settings = make_tasks(8, "text"), Grpo(**{**SIZE, **own}, trl=trl)
        return grpo.train(text_folder, tasks, domain, records_folder, reward, settings, Model(), out, 0, health=health)

    return run


def left(out: Path) -> list[int]:
    """The steps of the checkpoints that a stopped training left."""
    return sorted(step for step, _ in checkpoints._steps(out.with_name(f".{out.name}.partial")))


def test_a_fault_of_no_rule_is_refused_and_every_rule_has_a_key() -> None:
    with pytest.raises(ConfigError, match="`health.stop.0` is 'boredom'"):
        validate(Recipe, {"domain": "toy", "health": {"stop": ["boredom"]}}, "recipe")
    assert {rule.name for rule in RULES} == {"not_finite", *Health.model_fields} - {"stop", "steps"}


def test_a_loss_that_is_not_finite_stops_at_the_checkpoint_before_it(
    train: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    whole = grpo.RecordingTrainer.compute_loss

    def spoiled(self: Any, *arguments: Any, **named: Any) -> torch.Tensor:
        loss = whole(self, *arguments, **named)
        seen.append(loss)
        return loss * math.nan if self.state.global_step == 3 else loss

    monkeypatch.setattr(grpo.RecordingTrainer, "compute_loss", spoiled)
    out = tmp_path / "grpo"
    with pytest.raises(RunError, match=r"grpo: `loss` is not finite at step 4; the checkpoint of step 3, from before"):
        train(out)
    assert left(out) == [2, 3] and checkpoints.newest(tmp_path / ".grpo.partial").step == 3  # type: ignore[union-attr]
    monkeypatch.undo()
    assert train(out)["steps"] == 6  # what had struck is gone: the same command goes on


def test_weights_that_overflow_stop_before_they_reach_a_checkpoint(train: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "grpo"
    with pytest.raises(RunError, match=r"a weight is not finite at step 1; no checkpoint is from before that"):
        train(out, trl={"learning_rate": 1e39, "max_grad_norm": 0.0})
    assert not list(tmp_path.iterdir())


def test_a_gradient_that_is_not_finite_stops(train: Callable[..., Any], tmp_path: Path) -> None:
    def poison(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * math.inf

    whole = grpo.RecordingTrainer.training_step

    class Poisoned(grpo.RecordingTrainer):
        def training_step(self, model: Any, *arguments: Any, **named: Any) -> torch.Tensor:
            if self.state.global_step == 2 and not getattr(self, "poisoned", False):
                self.poisoned = True
                next(model.parameters()).register_hook(poison)
            return whole(self, model, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grpo, "RecordingTrainer", Poisoned)
        with pytest.raises(RunError, match=r"`grad_norm` is not finite at step 3; the checkpoint of step 2"):
            train(tmp_path / "grpo")


def test_a_reward_that_is_not_finite_stops_and_keeps_the_last_checkpoint(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="even"):
        train(tmp_path / "grpo", score=Score(3 * ROLLOUTS + 1, lambda: math.nan))
    assert left(tmp_path / "grpo") == [2, 3]


def test_equal_rewards_are_warned_of_once_each_time_they_begin(
    train: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(tmp_path / "grpo", Health(steps=2), Score(2 * ROLLOUTS + 1, lambda: 1.0))
    said = [record.getMessage() for record in caplog.records if "gradient" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("grpo: steps 3 to 4: no gradient: every group's rewards were equal")


def test_equal_rewards_stop_where_the_recipe_says_so_and_the_last_good_checkpoint_outlives_pruning(
    train: Callable[..., Any], tmp_path: Path
) -> None:
    out, health = tmp_path / "grpo", Health(stop=("equal_rewards",), steps=4)
    with pytest.raises(RunError, match=r"no gradient: .* at step 6; the checkpoint of step 2, .* is kept in"):
        train(out, health, Score(2 * ROLLOUTS + 1, lambda: 1.0), keep_checkpoints=1)
    assert left(out) == [2]
    score = Score()
    assert train(out, HEALTHY, score, keep_checkpoints=1)["steps"] == 6
    assert score.calls == 4 * ROLLOUTS  # from step 2 on, and not from the beginning


def test_steps_that_tell_nothing_of_rewards_do_not_break_a_streak(train: Callable[..., Any], tmp_path: Path) -> None:
    health, trl = Health(stop=("equal_rewards",), steps=3), {"num_iterations": 2, "beta": 0.1}
    with pytest.raises(RunError, match=r"no gradient: .* at step 7; the checkpoint of step 2,"):
        train(tmp_path / "grpo", health, Score(ROLLOUTS + 1, lambda: 1.0), steps=12, save_steps=2, trl=trl)


def test_a_streak_that_an_interruption_cuts_counts_on(train: Callable[..., Any], tmp_path: Path) -> None:
    out, health = tmp_path / "grpo", Health(stop=("equal_rewards",), steps=4)

    def crash() -> float:
        raise KeyboardInterrupt

    calls = iter(range(10_000))

    def equal_then_crash() -> float:
        return crash() if next(calls) >= 2 * ROLLOUTS else 1.0

    with pytest.raises(KeyboardInterrupt):
        train(out, health, Score(ROLLOUTS + 1, equal_then_crash))
    assert left(out) == [1, 2, 3]  # two are kept, and the one from before the streak
    with pytest.raises(RunError, match=r"at step 5; the checkpoint of step 1,"):
        train(out, health, Score(1, lambda: 1.0))


def test_entropy_that_collapses_is_found(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"entropy [0-9.e-]+ nats a token, at or below 0\.001: .* at step \d+;"):
        train(
            tmp_path / "grpo",
            Health(stop=("entropy",), steps=2),
            steps=40,
            trl={"learning_rate": 0.3, "scale_rewards": "none"},
        )


def test_completions_that_only_the_limit_ends_are_found(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"\d+% of the completions were cut off, 50% or more at step 3;"):
        train(tmp_path / "grpo", Health(stop=("clipped",), steps=3), max_completion_tokens=8)


def test_a_policy_that_runs_away_from_its_reference_stops(train: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"KL [0-9.]+ nats a token from the reference model, above 2\.0 at step \d+;"):
        train(tmp_path / "grpo", Health(steps=2), steps=20, trl={"learning_rate": 0.1, "beta": 1e-4})


def _log(health: Health, folder: Path, steps: list[dict[str, Any]]) -> None:
    args = TrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none")
    with Watch("grpo", len(steps), folder / "log.jsonl", health) as watch:
        for number, metrics in enumerate(steps, 1):
            watch.on_log(args, TrainerState(global_step=number), TrainerControl(), logs=metrics)


def test_a_sampler_of_another_policy_stops_at_once(tmp_path: Path) -> None:
    good = {"loss": 0.5, MISMATCH: 0.006}
    with pytest.raises(RunError, match=r"differ by 0\.11 nats a token, above 0\.02: .* at step 2; .*use_vllm"):
        _log(HEALTHY, tmp_path, [good, good | {MISMATCH: 0.11}, good])


@pytest.mark.parametrize("key", VITAL)
@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_finite_stops_the_run_and_stays_readable(key: str, value: float | None, tmp_path: Path) -> None:
    good: dict[str, object] = {"loss": 0.5, "grad_norm": 1.0, "reward": 0.25}
    with pytest.raises(RunError, match=rf"grpo: `{key}` is not finite at step 2; .*\"reward\": 0.25"):
        _log(HEALTHY, tmp_path, [good, good | {key: value}, good])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line[key] for line in lines] == [good[key], None]


def test_what_is_not_finite_is_a_warning_where_the_recipe_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    steps: list[dict[str, Any]] = [{"loss": 0.5}, {"loss": math.nan}, {"loss": math.nan}, {"loss": 0.5}]
    with caplog.at_level(logging.WARNING):
        _log(Health(stop=()), tmp_path, steps)
    assert [record.getMessage() for record in caplog.records] == [
        "grpo: step 2: `loss` is not finite; lower the learning rate or raise the batch"
    ]


def test_faults_that_come_and_go_pass_silently(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    steps: list[dict[str, Any]] = [{"loss": 0.0, "grad_norm": 0.0} for _ in range(19)]
    steps[9] = {"loss": 0.1, "grad_norm": 0.2}
    with caplog.at_level(logging.WARNING):
        _log(HEALTHY, tmp_path, steps)
    assert caplog.records == []
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(steps)


def test_every_message_says_what_to_do(tmp_path: Path) -> None:
    steps: list[dict[str, Any]] = [{"loss": 0.5, "kl": math.inf} for _ in range(10)]
    with pytest.raises(RunError) as caught:
        _log(HEALTHY, tmp_path, steps)
    assert re.search(
        r"lower the learning rate .*--accept-changes; .*leave `kl` out of `health.stop`", str(caught.value)
    )
