"""Compare packed with ordinary log-probabilities on the first real batch, and stop the run where they differ."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer
from trl.models.utils import disable_gradient_checkpointing

from indirect_rlvr.errors import RunError

TOLERANCE = {
    torch.float64: (1e-5, 1e-4),
    torch.float32: (1e-4, 1e-3),
    torch.float16: (0.01, 0.25),
    torch.bfloat16: (0.02, 0.5),
}
"""By the precision of the arithmetic, how far log-probabilities may lie apart, on average and at most, in nats.

Rounding stays below (float32: 1e-6); a token that sees what it must not, or stands one place off, lies well above."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two ways to the same log-probabilities, in nats."""

    mean: float
    largest: float


def compare(packed_N: Tensor, ordinary_N: Tensor, precision: torch.dtype) -> Difference:
    """How far the two lie apart; raises RunError above `TOLERANCE` and for anything that is no number."""
    apart = (packed_N.double() - ordinary_N.double()).abs()
    found = Difference(apart.mean().item(), apart.max().item()) if len(apart) else Difference(0.0, 0.0)
    mean, largest = TOLERANCE[precision]
    if not (found.mean <= mean and found.largest <= largest):
        raise RunError(
            f"packed and ordinary log-probabilities of the first batch differ by {found.mean:.2g} on average and "
            f"{found.largest:.2g} at most, {precision} allows {mean:g} and {largest:g}: this model cannot share "
            "prompts exactly; set grpo.shared_prefix = false"
        )
    return found


def precision(trainer: GRPOTrainer) -> torch.dtype:
    """Of the arithmetic: that of autocast where it is on, else that of the weights."""
    cast: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
    model: Any = trainer.model
    found: torch.dtype = cast.get(trainer.accelerator.mixed_precision, model.dtype)
    return found


@contextmanager
def inference(trainer: GRPOTrainer) -> Iterator[None]:
    """No gradients, and nothing kept to compute them."""
    model: Any = trainer.model
    settings: Any = trainer.args.gradient_checkpointing_kwargs
    with torch.no_grad(), disable_gradient_checkpointing(model, settings):
        yield
