"""Weights in float32 with arithmetic in bfloat16, and why a whole model must not be trained on bfloat16 weights."""

from pathlib import Path

import pytest
import torch

from indirect_rlvr.config import Model
from indirect_rlvr.training import models, options


def moved(dtype: torch.dtype) -> float:
    """Share of weights that a step of AdamW at GRPO's published rate changes."""
    weight = torch.nn.Parameter(torch.randn(10_000, generator=torch.Generator().manual_seed(0)).mul(0.02).to(dtype))
    before = weight.detach().clone()
    weight.grad = torch.ones_like(weight)
    torch.optim.AdamW([weight], lr=1e-6, weight_decay=0.0).step()
    return (weight != before).double().mean().item()


def test_at_the_published_rate_bfloat16_weights_stand_still_and_float32_weights_move() -> None:
    assert moved(torch.bfloat16) < 0.05
    assert moved(torch.float32) > 0.95


@pytest.mark.parametrize(
    ("dtype", "stored", "computed", "answers"),
    [
        ("float32", torch.float32, False, "float32"),
        ("bfloat16", torch.bfloat16, True, "bfloat16"),
        ("mixed", torch.float32, True, "bfloat16"),
    ],
)
def test_a_precision_decides_weights_arithmetic_and_answers(
    dtype: str, stored: torch.dtype, computed: bool, answers: str, tmp_path: Path
) -> None:
    settings = Model(dtype=dtype)
    assert models.DTYPES[dtype] == stored and settings.arithmetic == answers
    assert options.common(tmp_path, 1, 1, 0, settings)["bf16"] is computed
