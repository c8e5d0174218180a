"""GRPO learns from rewards, records every rollout, refuses what would make a run wrong or unrepeatable."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from indirect_rlvr.config import Grpo, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.rewards import composite
from indirect_rlvr.training import grpo, models
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

MakeTasks = Callable[..., list[ProxyTask]]
FAST = {"learning_rate": 1e-2, "lr_scheduler_type": "constant"}


def _ends_early(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(1.0 - len(completion.token_ids) / 12)


def _share_of_even_tokens(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)


EVEN = composite.Composite(
    (Term("even", 0.0, 1.0, _share_of_even_tokens), Term("brief", 0.0, 1.0, _ends_early)), (1.0, 0.25)
)


class Run:
    """One call of `grpo.train` on the toy world: 2 prompts × 4 rollouts a step, 12 tokens at most."""

    def __init__(self, domain: Domain, tasks: list[ProxyTask], records: Path, start: Path) -> None:
        self.fixed = (tasks, domain, records)
        self.start = start
        self.reward = EVEN
        self.shared = True

    def __call__(
        self, out: Path, steps: int = 2, seed: int = 0, group: int = 4, trl: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        settings = Grpo(
            steps=steps,
            prompts_per_step=2,
            group_size=group,
            max_completion_tokens=12,
            shared_prefix=self.shared,
            trl=FAST | (trl or {}),
        )
        return grpo.train(self.start, *self.fixed, self.reward, settings, Model(), out, seed)


@pytest.fixture()
def run(domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path) -> Run:
    return Run(domain, make_tasks(6), records_folder, vision_folder)


def _rollouts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rollouts.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"num_generations": 2}, "`grpo.trl.num_generations` must not be set: set `grpo.group_size`"),
        ({"use_vllm": True}, "`grpo.trl.use_vllm` is set and vLLM is not installed"),
        ({"trust_remote_code": True}, "code that comes with a checkpoint is never run"),
        ({"temprature": 1.0}, "`grpo.trl.temprature` is no option of trl.GRPOConfig; near matches: temperature"),
        ({"lr_scheduler_type": "zigzag"}, "trl.GRPOConfig refuses `.grpo.trl.`"),
        ({"per_device_train_batch_size": 5}, "is 5; it must divide the 8 samples of a step"),
        ({"save_steps": 3}, "`grpo.trl.save_steps` must not be set: set `save_steps` of the section"),
    ],
)
def test_a_wrong_trl_option_is_refused_before_anything_starts(
    run: Run, tmp_path: Path, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "grpo", trl=option)
    assert list(tmp_path.iterdir()) == []


def test_too_few_tasks_for_a_step_are_refused(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="1 train tasks cannot fill a step of 2 prompts"):
        Run(domain, make_tasks(1), records_folder, vision_folder)(tmp_path / "grpo")


def test_a_reward_that_raises_stops_the_run_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    run.reward = composite.Composite((Term("broken", 0.0, 1.0, lambda task, completion: Outcome(7.0)),), (1.0,))
    with pytest.raises(RunError, match="reward term `broken` at task `t"):
        run(tmp_path / "grpo")
    assert list(tmp_path.iterdir()) == []


def test_a_policy_bent_on_image_placeholders_still_trains(run: Run, tmp_path: Path) -> None:
    policy = models.load(run.start)
    tokenizer, head = policy.tokenizer, policy.model.lm_head
    pads = tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|vision_start|>"])
    with torch.no_grad():
        head.weight[pads] = 20 * head.weight[pads].sign()
    models.save(policy, tmp_path / "bent")
    run.start = tmp_path / "bent"
    result = run(tmp_path / "grpo")
    assert result["rollouts"] == 16
    assert not any("<|" in line["text"] for line in _rollouts(tmp_path / "grpo"))


def test_the_same_seed_gives_the_same_weights_and_rollouts_and_another_does_not(run: Run, tmp_path: Path) -> None:
    first = run(tmp_path / "a", steps=3, seed=1)
    torch.manual_seed(5)
    assert run(tmp_path / "b", steps=3, seed=1) == first
    assert _rollouts(tmp_path / "a") == _rollouts(tmp_path / "b")
    assert run(tmp_path / "c", steps=3, seed=2)["weights_sha256"] != first["weights_sha256"]
    assert _rollouts(tmp_path / "a") != _rollouts(tmp_path / "c")


def test_every_rollout_is_on_record_with_what_it_earned(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path / "grpo", steps=3, trl={"scale_rewards": "none"})
    lines = _rollouts(tmp_path / "grpo")
    assert result["rollouts"] == len(lines) == 3 * 2 * 4
    assert Counter(line["step"] for line in lines) == {1: 8, 2: 8, 3: 8}
    for start in range(0, len(lines), 4):
        group = lines[start : start + 4]
        assert len({(line["step"], line["task_id"]) for line in group}) == 1
        mean = sum(line["reward"] for line in group) / 4
        for line in group:
            assert line["reward"] == pytest.approx(line["terms"]["even"] + 0.25 * line["terms"]["brief"], abs=1e-5)
            assert line["advantage"] == pytest.approx(line["reward"] - mean, abs=1e-5)
            assert len(line["token_ids"]) == line["tokens"]
            assert line["finished"] is (line["tokens"] < 12) or line["tokens"] == 12


def test_images_are_preprocessed_once_and_without_sharing_training_is_the_same(run: Run, tmp_path: Path) -> None:
    shared = run(tmp_path / "shared", steps=4)
    assert shared["shared_prefix"]["used"]
    assert shared["shared_prefix"]["images_preprocessed"] == 4  # the colours of the toy world
    assert shared["shared_prefix"]["images_found"] > 100
    assert [path.name for path in tmp_path.iterdir()] == ["shared"]
    run.shared = False
    plain = run(tmp_path / "plain", steps=4)
    assert not plain["shared_prefix"]["used"]
    assert plain["shared_prefix"]["images_preprocessed"] == 0
    texts = [[line["text"] for line in _rollouts(tmp_path / name)] for name in ("shared", "plain")]
    assert texts[0] == texts[1]


def test_the_log_agrees_with_the_rollouts(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path / "grpo", steps=2)
    log = [json.loads(line) for line in (tmp_path / "grpo" / "log.jsonl").read_text().splitlines()]
    rollouts = _rollouts(tmp_path / "grpo")
    for line in log:
        rewards = [r["reward"] for r in rollouts if r["step"] == line["step"]]
        assert line["reward"] == pytest.approx(sum(rewards) / len(rewards), abs=1e-5)
        assert {
            "loss",
            "grad_norm",
            "entropy",
            "frac_reward_zero_std",
            "rewards/even/mean",
            "rewards/brief/std",
            "completions/mean_length",
            "completions/clipped_ratio",
        } <= line.keys()
    assert [result["reward_first"], result["reward_last"]] == [line["reward"] for line in log]


@pytest.mark.parametrize("trl", [{}, {"per_device_train_batch_size": 4}, {"num_iterations": 2}, {"beta": 0.04}])
def test_rewards_move_the_policy_and_spare_the_frozen_vision_tower(
    run: Run, tmp_path: Path, trl: dict[str, Any]
) -> None:
    run(tmp_path / "grpo", steps=4, trl=trl)
    before, after = models.load(run.start).model, models.load(tmp_path / "grpo").model
    moved = {
        name
        for (name, old), (_, new) in zip(before.named_parameters(), after.named_parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert not [name for name in moved if ".visual." in name]
    assert [name for name in moved if "language_model" in name]


def test_grpo_raises_the_reward(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path / "grpo", steps=15, group=8)
    assert result["reward_last"] > result["reward_first"] + 0.2


def test_a_text_only_model_trains_too(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_folder: Path, tmp_path: Path
) -> None:
    result = Run(domain, make_tasks(6, "text"), records_folder, text_folder)(tmp_path / "grpo", steps=15)
    assert result["reward_last"] > result["reward_first"]
    assert not models.load(tmp_path / "grpo").is_vision
