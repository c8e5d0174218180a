"""GRPO with the real engine in the trainer's process: what each guard prevents, seen by leaving it out.

A sampler and a trainer that agree differ by rounding and by what banning eight tokens costs an untrained model.
"""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from indirect_rlvr.config import Curriculum, Grpo, Health, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.training import grpo, models, vllm_guards, vllm_requests, vllm_settings
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

MakeTasks = Callable[..., list[ProxyTask]]
DIFFERENCE = "sampling/sampling_logp_difference/mean"
GROUP = 4
AGREE = 0.01
"""Nats a token: banning eight tokens of 1,300 costs 0.006, a guard left out 0.05 and more."""
PROMPT = 38 - 4 + 4 * 8
"""Tokens of each prompt, four images of eight tokens among them."""
LENIENT = Health(stop=("not_finite",))


def _even(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 16)


class Run:
    """One call of `grpo.train`: 2 prompts with four images × 4 rollouts a step, a vision tower that learns fast."""

    def __init__(self, domain: Domain, tasks: list[ProxyTask], records: Path, start: Path) -> None:
        self.fixed, self.start, self.reward = (tasks, domain, records), start, _even
        self.model, self.curriculum = Model(freeze_vision=False), Curriculum()

    def __call__(
        self, out: Path, steps: int = 2, seed: int = 0, health: Health = LENIENT, **trl: Any
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """The lines of its log and its rollouts."""
        options = {"use_vllm": True, "learning_rate": 3e-3, "lr_scheduler_type": "constant"} | trl
        asked: dict[str, Any] = {"steps": steps, "save_steps": 2, "trl": options, "curriculum": self.curriculum}
        settings = Grpo(prompts_per_step=2, group_size=GROUP, max_completion_tokens=12, **asked)
        reward = Composite((Term("even", 0.0, 1.0, self.reward),), (1.0,))
        grpo.train(self.start, *self.fixed, reward, settings, self.model, out, seed, health=health)
        return _lines(out / "log.jsonl"), _lines(out / "rollouts.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture()
def run(started: Any, domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path) -> Run:
    return Run(domain, make_tasks(2), records_folder, vision_folder)


def _differences(log: list[dict[str, Any]]) -> list[float]:
    return [line[DIFFERENCE] for line in log]


def test_sampler_and_trainer_agree_while_weights_and_vision_tower_change(
    run: Run, tmp_path: Path, started: Any
) -> None:
    log, rollouts = run(tmp_path / "grpo", steps=3, health=Health())
    assert max(_differences(log)) < AGREE
    assert all(len({tuple(line["token_ids"]) for line in _of_group(rollouts, step, 0)}) == GROUP for step in (1, 2, 3))
    told = started.told[-1]
    assert (told["dtype"], told["limit_mm_per_prompt"]) == ("float32", {"image": 4, "video": 0})
    assert told["max_model_len"] == PROMPT + 12


def test_without_the_first_guard_prompts_are_expanded_twice(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_guards, "collapsed", lambda ids, image, count: list(ids))
    with pytest.raises(RunError, match=rf"vLLM read prompt 0 as {PROMPT + 4 * 7} tokens and the .* {PROMPT}:"):
        run(tmp_path / "grpo", vllm_max_model_length=4 * PROMPT)


def test_prompts_that_are_expanded_twice_and_not_looked_at_stop_the_run_as_a_mismatch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_guards, "collapsed", lambda ids, image, count: list(ids))
    monkeypatch.setattr(vllm_guards, "require_seen", lambda prompt, seen, index: None)
    with pytest.raises(RunError, match=r"sampler and trainer differ by 0\.\d+ nats a token, above 0\.02: .* at step 1"):
        run(tmp_path / "grpo", health=Health(), vllm_max_model_length=4 * PROMPT)


def test_without_the_second_guard_images_are_seen_by_the_old_weights_and_the_run_stops(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_guards.GuardedEngine, "reset_prefix_cache", lambda self: self._engine.reset_prefix_cache())
    with pytest.raises(RunError, match=r"sampler and trainer differ by 0\.\d+ nats a token, above 0\.02: .* at step 2"):
        run(tmp_path / "grpo", health=Health())
    run.model = Model(freeze_vision=True)
    log, _ = run(tmp_path / "frozen", health=Health())
    assert max(_differences(log)) < AGREE


def _bent(run: Run, folder: Path) -> Path:
    """A policy that writes little but image placeholders, if it may."""
    policy = models.load(run.start)
    head: Any = policy.model.lm_head
    pads = policy.tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|vision_start|>"])
    with torch.no_grad():
        head.weight[pads] = 2 * head.weight[pads].sign()
    models.save(policy, folder)
    return folder


def test_without_the_third_guard_placeholders_are_sampled(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.start = _bent(run, tmp_path / "bent")
    _, rollouts = run(tmp_path / "guarded")
    assert not any("<|" in line["text"] for line in rollouts)
    monkeypatch.setattr(vllm_guards, "banned", lambda ids: {})
    with pytest.raises(RunError, match=r"vLLM sampled the banned tokens \[\d+"):
        run(tmp_path / "unguarded")


def test_the_seed_of_the_run_decides_the_rollouts(run: Run, tmp_path: Path) -> None:
    _, first = run(tmp_path / "a", seed=1)
    torch.manual_seed(5)
    _, again = run(tmp_path / "b", seed=1)
    _, other = run(tmp_path / "c", seed=2)
    assert _tokens(again) == _tokens(first)
    assert not set(_tokens(other)) & set(_tokens(first))


def test_without_the_fourth_guard_the_rollouts_of_a_group_are_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_requests.Seeds, "next", lambda self, count: [7] * count)
    _, rollouts = run(tmp_path / "grpo", steps=1)
    assert [len(set(_tokens(_of_group(rollouts, 1, group)))) for group in (0, 1)] == [1, 1]


def test_without_being_told_the_engine_takes_half_the_precision(
    run: Run, tmp_path: Path, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_settings, "told", lambda arguments: nullcontext())
    run(tmp_path / "grpo", steps=1)
    assert "dtype" not in started.told[-1]
    assert started.newest.llm_engine.model_config.dtype == torch.bfloat16


def test_a_context_too_short_for_the_longest_prompt_is_refused_before_the_engine_starts(
    run: Run, tmp_path: Path, started: Any
) -> None:
    starts = len(started.told)
    with pytest.raises(ConfigError, match=rf"has {PROMPT} and a completion up to 12: {PROMPT + 12} are needed"):
        run(tmp_path / "grpo", vllm_max_model_length=PROMPT + 11)
    assert len(started.told) == starts


def test_a_run_that_was_stopped_goes_on_with_the_rollouts_it_would_have_had(run: Run, tmp_path: Path) -> None:
    _, whole = run(tmp_path / "whole", steps=4)
    left = iter(range(2 * 2 * GROUP + 1))

    def lost(task: ProxyTask, completion: Completion) -> Outcome:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return _even(task, completion)

    run.reward = lost
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", steps=4)
    run.reward = _even
    _, resumed = run(tmp_path / "cut", steps=4)
    assert _tokens(resumed) == _tokens(whole)
    assert len(set(_tokens(whole))) == 4 * 2 * GROUP


def test_groups_sampled_anew_in_a_step_agree_too_and_draw_other_seeds(
    run: Run, tmp_path: Path, make_tasks: MakeTasks
) -> None:
    run.fixed, run.curriculum = (make_tasks(6), *run.fixed[1:]), Curriculum(refill=2)
    run.reward = lambda task, completion: Outcome(0.5)
    log, rollouts = run(tmp_path / "grpo", steps=1)
    assert (log[0]["curriculum/refilled"], len(set(_tokens(rollouts)))) == (2, 4 * GROUP)
    assert max(_differences(log)) < AGREE


def test_a_text_model_agrees_too(started: Any, domain: Domain, make_tasks: MakeTasks, text_folder: Path) -> None:
    run = Run(domain, make_tasks(2, modality="text"), text_folder, text_folder)
    run.model = Model()
    log, _ = run(text_folder.parent / "grpo-text", health=Health())
    assert max(_differences(log)) < AGREE


def _tokens(rollouts: list[dict[str, Any]]) -> list[tuple[int, ...]]:
    return [tuple(line["token_ids"]) for line in rollouts]


def _of_group(rollouts: list[dict[str, Any]], step: int, group: int) -> list[dict[str, Any]]:
    of_step = [line for line in rollouts if line["step"] == step]
    return of_step[group * GROUP : (group + 1) * GROUP]
