"""SFT learns traces, leaves a frozen tower alone, refuses what TRL or our own settings forbid."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from indirect_rlvr.config import Model, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.scaffolds import traces as scaffold
from indirect_rlvr.training import models, sft
from indirect_rlvr.types import ProxyTask

MakeTasks = Callable[..., list[ProxyTask]]
FAST = {"learning_rate": 3e-3, "lr_scheduler_type": "constant"}


class Run:
    """One call of `sft.train` on the toy world."""

    def __init__(self, domain: Domain, tasks: list[ProxyTask], records: Path, base: Path) -> None:
        self.traces, _ = scaffold.build(domain, tasks, count=len(tasks), seed=0)
        self.fixed = (tasks, domain, records)
        self.base = base

    def __call__(
        self, out: Path, steps: int = 2, seed: int = 0, freeze: bool = True, trl: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        settings = Sft(steps=steps, batch=4, trl=FAST | (trl or {}))
        return sft.train(self.base, self.traces, *self.fixed, settings, Model(freeze_vision=freeze), out, seed)


@pytest.fixture()
def run(domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path) -> Run:
    return Run(domain, make_tasks(12), records_folder, vision_folder)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"max_steps": 5}, "`sft.trl.max_steps` must not be set: set `steps` of the section"),
        ({"seed": 5}, "`sft.trl.seed` must not be set: set `seed` of the recipe"),
        ({"load_best_model_at_end": True}, "transformers #43701"),
        ({"learning_rat": 1.0}, "`sft.trl.learning_rat` is no option of trl.SFTConfig; near matches: .*learning_rate"),
        ({"num_generations": 4}, "must not be set"),
        ({"lr_scheduler_type": "zigzag"}, "trl.SFTConfig refuses `.sft.trl.`: .*zigzag"),
        ({"per_device_train_batch_size": 3}, "is 3; it must divide the 4 samples of a step"),
    ],
)
def test_a_wrong_trl_option_is_refused_before_anything_starts(
    run: Run, tmp_path: Path, option: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(tmp_path / "sft", trl=option)
    assert list(tmp_path.iterdir()) == []


def test_a_diverged_run_stops_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"sft: `(loss|grad_norm)` is not finite at step [2345]; no checkpoint"):
        run(tmp_path / "sft", steps=5, trl={"learning_rate": 1e30, "max_grad_norm": 0.0})
    assert list(tmp_path.iterdir()) == []


def test_steps_without_a_gradient_are_warned_of(run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    policy = models.load(run.base)
    with torch.no_grad():
        for value in policy.model.parameters():
            value.zero_()
    models.save(policy, tmp_path / "dead")
    run.base = tmp_path / "dead"
    with caplog.at_level(logging.WARNING, logger="indirect_rlvr"):
        run(tmp_path / "sft", steps=11)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("indirect_rlvr")] == [
        "sft: steps 1 to 10: no gradient: every group's rewards were equal, or every weight is frozen; choose tasks "
        "or a reward on which the rollouts of a group differ (`grpo.curriculum`, docs/curriculum.md)"
    ]


def test_sft_lowers_the_loss_and_freezes_the_vision_tower(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path / "sft", steps=25)
    before, after = models.load(run.base).model, models.load(tmp_path / "sft").model
    moved = {
        name
        for (name, old), (_, new) in zip(before.named_parameters(), after.named_parameters(), strict=True)
        if not torch.equal(old, new)
    }
    assert result["loss_last"] < 0.5 * result["loss_first"]
    assert not [name for name in moved if ".visual." in name]
    assert [name for name in moved if "language_model" in name]
    assert models.weights_digest(after) == result["weights_sha256"]


def test_an_unfrozen_vision_tower_moves(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "sft", freeze=False)
    before, after = models.load(run.base).model, models.load(tmp_path / "sft").model
    name = next(name for name, _ in before.named_parameters() if ".visual." in name)
    assert not torch.equal(before.get_parameter(name), after.get_parameter(name))


def test_every_step_is_in_the_log(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "sft", steps=3)
    lines = [json.loads(line) for line in (tmp_path / "sft" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all({"loss", "grad_norm", "learning_rate"} <= line.keys() for line in lines)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(run: Run, tmp_path: Path) -> None:
    first = run(tmp_path / "a", seed=1)
    assert run(tmp_path / "b", seed=1) == first
    assert run(tmp_path / "c", seed=2)["weights_sha256"] != first["weights_sha256"]
    assert not [path for path in (tmp_path / "a").rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]


def test_micro_batches_change_the_cost_and_not_the_step(run: Run, tmp_path: Path) -> None:
    whole = run(tmp_path / "a", steps=1)
    cut = run(tmp_path / "b", steps=1, trl={"per_device_train_batch_size": 2})
    assert cut["loss_first"] == pytest.approx(whole["loss_first"], rel=1e-4)


def test_a_text_only_model_trains_too(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_folder: Path, tmp_path: Path
) -> None:
    result = Run(domain, make_tasks(12, "text"), records_folder, text_folder)(tmp_path / "sft", steps=15)
    assert result["loss_last"] < 0.7 * result["loss_first"]
    assert not models.load(tmp_path / "sft").is_vision
