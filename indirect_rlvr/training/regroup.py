"""Put the rollouts of a prompt into one micro-batch again, which TRL's shuffle has spread over all of them."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from trl import GRPOTrainer
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from indirect_rlvr.training.packing import find_groups


def is_free(trainer: GRPOTrainer) -> bool:
    """Whether gradients add up to the same for any cut into micro-batches: all rollouts serve one optimizer step, and
    no term is normalised within a micro-batch."""
    args: Any = trainer.args
    return (
        args.gradient_accumulation_steps % args.steps_per_generation == 0
        and trainer.loss_type != "bnpo"
        and trainer.top_entropy_quantile == 1.0
        and not trainer._entropy_bonus_enabled
    )


def by_prompt(batches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same rows in as many batches of the same size, rows of equal prompts side by side."""
    if len(batches) == 1:
        return list(batches)
    split = [by_row(batch) for batch in batches]
    whole = {name: _join([batch[name] for batch in split]) for name in split[0]}
    pictures = {name: whole[name] for name in ("pixel_values",) if whole.get(name) is not None}
    order = list(chain.from_iterable(find_groups(whole["prompt_ids"], whole["prompt_mask"], pictures)))
    moved: dict[str, Any] = {name: _reorder(value, order) for name, value in whole.items()}
    cut: list[dict[str, Any]] = split_tensor_dict(moved, len(batches))
    return [unsplit_pixel_values_by_grid(batch) for batch in cut]


def by_row(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch whose pixels can be told apart by row: Qwen's patches of all images stand in one tensor, others' do so
    already (where TRL guesses the kind from sizes, which are sometimes alike)."""
    return split_pixel_values_by_grid(batch) if batch.get("image_grid_thw") is not None else batch


def _join(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Tensor) and values[0].ndim:
        return torch.cat(list(values))
    return list(chain.from_iterable(values)) if isinstance(values[0], list) else values[0]


def _reorder(value: Any, order: list[int]) -> Any:
    if isinstance(value, Tensor) and value.ndim:
        return value[order]
    return [value[row] for row in order] if isinstance(value, list) else value
