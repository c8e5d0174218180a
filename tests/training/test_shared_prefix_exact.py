"""Packed rows give TRL's log-probabilities, entropies, loss and gradients; `benchmarks/grpo_step.py` has all of it."""

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import torch
from prefix_cases import (
    CONFIGS,
    KL,
    LOSSES,
    VISION,
    Found,
    Shape,
    apart,
    build_model,
    build_trainer,
    random_batch,
    shake,
    step,
    use,
)

from indirect_rlvr.config import Lora, Model
from indirect_rlvr.training import lora
from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer

ALLOWED = {torch.float64: 1e-6, torch.float32: 1e-5}
SHAPES = [
    Shape(images=(2, 1), group=3),
    Shape(images=(1, 2), group=4, accumulation=4),
    Shape(images=(1, 1), group=2, ragged=False),
    Shape(images=(2, 1), group=2, accumulation=2, masked=1),
]
Build = Callable[..., SharedPrefixTrainer]


@pytest.fixture()
def build(tmp_path: Path) -> Build:
    def make(family: str, dtype: torch.dtype = torch.float32, **options: Any) -> SharedPrefixTrainer:
        trainer = build_trainer(build_model(CONFIGS[family](), dtype), tmp_path, **options)
        shake(trainer.model)
        return trainer

    return make


def _both(trainer: SharedPrefixTrainer, batch: dict[str, Any]) -> tuple[Found, Found]:
    return step(trainer, batch, packed=True), step(trainer, batch, packed=False)


def _shape(family: str, shape: Shape) -> Shape:
    return shape if family in VISION else Shape(**{**vars(shape), "images": (0,) * len(shape.images)})


@pytest.mark.parametrize("dtype", ALLOWED)
@pytest.mark.parametrize("family", CONFIGS)
def test_packed_rows_give_what_ordinary_rows_give(family: str, dtype: torch.dtype, build: Build) -> None:
    """Losses, divergences and shapes in turn: every model meets all of them, half in each precision."""
    trainer = build(family, dtype)
    cases = list(zip(LOSSES.items(), cycle(KL), cycle(SHAPES), strict=False))
    for (loss, options), kl, shape in cases[dtype == torch.float32 :: 2]:
        batch = random_batch(trainer.model.config, _shape(family, shape), dtype, seed=len(loss))
        use(trainer, options | KL[kl], shape.accumulation)
        ours, theirs = _both(trainer, batch)
        worst = apart(ours, theirs)
        assert max(worst.values()) <= ALLOWED[dtype], (loss, kl, shape, worst)
        assert any(value.abs().max() > 0 for value in theirs.gradients.values()), (loss, kl, shape)


def test_prompts_with_and_without_images_share_a_batch(build: Build) -> None:
    for family in ("qwen2_5_vl", "qwen3_vl"):
        trainer = build(family)
        use(trainer, LOSSES["dapo"], 1)
        batch = random_batch(trainer.model.config, Shape(images=(2, 0), group=2), torch.float32)
        assert max(apart(*_both(trainer, batch)).values()) <= 1e-5


def test_a_batch_whose_completions_are_all_masked_gives_gradients_of_zero(build: Build) -> None:
    trainer = build("qwen2_5_vl")
    use(trainer, LOSSES["grpo"], 1)
    batch = random_batch(trainer.model.config, Shape(images=(1,), group=2, masked=2), torch.float32)
    batch["completion_mask"].zero_()
    ours, _ = _both(trainer, batch)
    assert ours.loss == 0.0
    assert ours.gradients and not any(value.abs().max() for value in ours.gradients.values())


@pytest.mark.parametrize(
    ("family", "reentrant"), [("qwen2_5_vl", False), ("idefics3", False), ("llama", False), ("llama", True)]
)
def test_gradient_checkpointing_changes_nothing(family: str, reentrant: bool, build: Build) -> None:
    trainer = build(family)
    use(trainer, LOSSES["grpo"], 1)
    batch = random_batch(trainer.model.config, _shape(family, Shape()), torch.float32)
    _, theirs = _both(trainer, batch)
    trainer.args.gradient_checkpointing_kwargs = {"use_reentrant": reentrant}
    trainer.model.gradient_checkpointing_enable(trainer.args.gradient_checkpointing_kwargs)
    trainer.model.enable_input_require_grads()
    ours = step(trainer, batch, packed=True)
    assert max(apart(ours, theirs).values()) <= 1e-5


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "qwen2"])
def test_adapters_get_the_same_gradients(family: str, build: Build) -> None:
    settings = Model(freeze_vision=False, lora=Lora(rank=2, alpha=4))
    adapters = lora.config(build_model(CONFIGS[family](), torch.float32), settings)
    adapters.init_lora_weights = False  # else those of the second half are zero, and say nothing
    trainer = build(family, peft_config=adapters)
    trainer.ref_model = trainer.model
    use(trainer, LOSSES["grpo"] | KL["k3"], 1)
    batch = random_batch(trainer.model.config, _shape(family, Shape()), torch.float32)
    ours, theirs = _both(trainer, batch)
    assert max(apart(ours, theirs).values()) <= 1e-5
    assert ours.gradients and all("lora_" in name for name in ours.gradients)


def test_a_frozen_vision_tower_stays_frozen(build: Build) -> None:
    trainer = build("qwen2_5_vl")
    trainer.model.model.visual.requires_grad_(False)
    use(trainer, LOSSES["grpo"], 1)
    ours, theirs = _both(trainer, random_batch(trainer.model.config, Shape(), torch.float32))
    assert max(apart(ours, theirs).values()) <= 1e-5
    assert not any("visual" in name for name in ours.gradients)


def test_bfloat16_stays_within_its_rounding(build: Build) -> None:
    """Neither path is the truth in bfloat16: each may be as far from float32 as the other, not further."""
    trainer = build("qwen2_5_vl", torch.bfloat16)
    use(trainer, LOSSES["grpo"], 1)
    batch = random_batch(trainer.model.config, Shape(), torch.bfloat16)
    ours, theirs = _both(trainer, batch)
    assert trainer.prefix_report()["canary"]["mean"] < 0.02
    trainer.model.float()
    trainer.ref_model.float()
    exact = step(trainer, {**batch, "pixel_values": batch["pixel_values"].float()}, packed=False)
    errors = [(found.logps[0] - exact.logps[0]).abs().mean().item() for found in (ours, theirs)]
    assert errors[0] < 1.5 * errors[1]
