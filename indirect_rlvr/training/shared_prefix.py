"""Compute each prompt and its images once per group: the log-probabilities of GRPO from packed rows, exactly.

TRL computes the prompt and the vision tower once per rollout. Here one row holds a prompt and all its completions, so
that they are computed once per group, forward and backward. Loss, fused LM head, temperature and reference model stay
TRL's: only `_get_per_token_logps_and_entropies` is overridden, for policy, old policy and reference alike. Which models
can be packed is said in `packable`.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel
from trl import GRPOTrainer

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.training import canary, packed_attention, regroup
from indirect_rlvr.training.packable import MROPE, refusal
from indirect_rlvr.training.packing import RowWise, find_groups, pack

logger = logging.getLogger(__name__)


class SharedPrefixTrainer(GRPOTrainer):
    """TRL's trainer with a packed forward pass.

    `shared_prefix = False` is TRL as it is. A model that cannot be packed exactly raises ConfigError, or, with
    `fallback`, takes TRL's own path, which the log says and `prefix_report` returns. The first batch is computed both
    ways; RunError where the two differ (`canary`).
    """

    def __init__(self, *args: Any, shared_prefix: bool = True, fallback: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        reason = refusal(self) if shared_prefix else None
        if reason and not fallback:
            raise ConfigError(
                f"prompts cannot be shared exactly: {reason}; set grpo.shared_prefix = false, or "
                "grpo.shared_prefix_fallback = true to take TRL's own path where this is so"
            )
        if reason:
            logger.warning("prompts are not shared, TRL's own path is taken: %s", reason)
        packed_attention.install()
        self._packs = shared_prefix and reason is None
        self._refusal = reason
        self._canary: canary.Difference | None = None

    def prefix_report(self) -> dict[str, Any]:
        """For the manifest: whether prompts were shared, if refused why, and the canary's differences."""
        found = None if self._canary is None else {"mean": self._canary.mean, "max": self._canary.largest}
        return {"used": self._packs, "refused": self._refusal, "canary": found}

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """As TRL's, but the rollouts it shuffled before cutting micro-batches go back to their groups where it does not
        change the loss."""
        buffered = self._buffered_inputs
        inputs = super()._prepare_inputs(generation_batch)
        if self._packs and self._buffered_inputs is not buffered and regroup.is_free(self):
            self._buffered_inputs = regroup.by_prompt(self._buffered_inputs)
            inputs = self._buffered_inputs[self._step % self.args.steps_per_generation]
        return inputs

    def _get_per_token_logps_and_entropies(
        self,
        model: nn.Module,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **images: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Log-probabilities and entropies of completion tokens, (B, C), zero where masked; `batch_size` rows a pass."""
        batch = (model, input_ids, attention_mask, logits_to_keep)
        ordinary = super()._get_per_token_logps_and_entropies
        if not self._packs:
            return ordinary(*batch, batch_size, compute_entropy, compute_aux_loss, **images)  # type: ignore[no-any-return]
        if self._canary is None:
            with canary.inference(self):
                theirs, _, _ = ordinary(*batch, self.num_generations, **images)
                ours, _ = self._packed(*batch, batch_size, **images)
            mask = attention_mask[:, -logits_to_keep:].bool()
            self._canary = canary.compare(ours[mask], theirs[mask], canary.precision(self))
        logps, entropies = self._packed(*batch, batch_size, **images)
        return logps, entropies if compute_entropy else None, None

    def _packed(
        self, model: nn.Module, input_ids: Tensor, mask: Tensor, columns: int, batch_size: int | None, **images: Any
    ) -> tuple[Tensor, Tensor | None]:
        rows = _by_row(images)
        parts = []
        for start in range(0, len(input_ids), batch_size or len(input_ids)):
            some = slice(start, start + (batch_size or len(input_ids)))
            cut = {name: value[some] for name, value in rows.items()}
            parts.append(self._forward(model, input_ids[some], mask[some], columns, cut))
        logps, entropies = zip(*parts, strict=True)
        return torch.cat(logps), None if entropies[0] is None else torch.cat(entropies)

    def _forward(
        self, model: nn.Module, input_ids: Tensor, mask: Tensor, columns: int, images: RowWise
    ) -> tuple[Tensor, Tensor | None]:
        """One pass: rows into groups, groups into packed rows, and the values of completion tokens back into (B, C)."""
        width = input_ids.size(1) - columns
        packing = pack(input_ids, mask, columns, find_groups(input_ids[:, :width], mask[:, :width], images))
        bare: Any = self._bare(model)
        shared = {name: _take(value, packing.firsts) for name, value in images.items()}
        types = shared.pop("mm_token_type_ids", None)
        positions = packing.columns
        if types is not None and "image_grid_thw" in shared and bare.config.model_type in MROPE:
            first = packing.firsts
            prompt = {"attention_mask": mask[first, :width], "mm_token_type_ids": types[:, :width]}
            grid = shared["image_grid_thw"]
            origin, _ = bare.base_model.get_rope_index(input_ids[first, :width], image_grid_thw=grid, **prompt)
            positions = packing.positions(origin)
        sees = packed_attention.packed_mask(packing.layouts, input_ids.device)
        with self.accelerator.autocast(), _only(bare.base_model, packing.sources):
            found = model(
                input_ids=packing.input_ids, attention_mask=sees, position_ids=positions, **shared,
                shift_labels=packing.labels[None], fused_lm_head=True,
            )  # fmt: skip
        unpacked = (
            packing.unpack(v, len(input_ids), columns) for v in (found.log_probs, found.entropy) if v is not None
        )
        return next(unpacked), next(unpacked, None)

    def _bare(self, model: nn.Module) -> PreTrainedModel:
        """The model inside what spreads it over processes and inside its adapters."""
        bare: Any = self.accelerator.unwrap_model(model)
        base: PreTrainedModel = bare.get_base_model() if is_peft_model(bare) else bare
        return base


def _by_row(inputs: dict[str, Any]) -> RowWise:
    """What TRL hands over beside tokens, each indexed by ordinary row; image counts are then no longer needed."""
    given = {name: value for name, value in inputs.items() if value is not None}
    return {name: value for name, value in regroup.by_row(given).items() if name != "num_images"}


def _take(value: Any, rows: list[int]) -> Tensor:
    """The tensors of these rows: a batch of them, or, where rows differ in size, all in one."""
    return value[rows] if isinstance(value, Tensor) else torch.cat([value[row] for row in rows])


@contextmanager
def _only(backbone: nn.Module, source_N: Tensor) -> Iterator[None]:
    """Hand the head the hidden states that predict a completion token, as one row, and no others: logits of the prompt
    are never computed."""

    def keep(module: nn.Module, given: Any, output: Any) -> Any:
        hidden = output.last_hidden_state
        output.last_hidden_state = hidden.reshape(1, -1, hidden.size(-1)).index_select(1, source_N)
        return output

    handle = backbone.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()
