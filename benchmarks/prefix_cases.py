"""Tiny models and random batches on which TRL's own path and the packed one are compared; run by `grpo_step.py`.

Each model has its family's real class and a random configuration; a batch is what TRL hands to its loss, with the rows
of all groups shuffled as TRL shuffles them. Nothing here is generated or scored.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedModel,
)
from trl import GRPOConfig
from trl.trainer.utils import split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from indirect_rlvr.training import canary, regroup
from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer
from indirect_rlvr.training.tiny import build_tokenizer

VOCABULARY, IMAGE_ID, PAD_ID = 330, 320, 0
TEXT = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096, "initializer_range": 0.1,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": PAD_ID,
}  # fmt: skip
QWEN_IDS = {
    "image_token_id": IMAGE_ID, "video_token_id": 321, "vision_start_token_id": 322, "vision_end_token_id": 323,
}  # fmt: skip
QWEN_VISION = {
    "depth": 2, "hidden_size": 48, "intermediate_size": 96, "num_heads": 2, "out_hidden_size": 64,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "initializer_range": 0.1,
}  # fmt: skip
ROPE_3D = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
SIGLIP = {
    "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 7, "initializer_range": 0.1,
}  # fmt: skip
"""One image of 28 × 28 pixels: 16 patches, 4 tokens."""

CONFIGS: dict[str, Callable[[], Any]] = {
    "qwen2": lambda: AutoConfig.for_model("qwen2", **TEXT),
    "qwen3": lambda: AutoConfig.for_model("qwen3", **TEXT, head_dim=16),
    "llama": lambda: AutoConfig.for_model("llama", **TEXT),
    "qwen2_5_vl": lambda: AutoConfig.for_model(
        "qwen2_5_vl",
        text_config=TEXT | {"rope_parameters": ROPE_3D},
        vision_config=QWEN_VISION | {"patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1]},
        **QWEN_IDS,
    ),
    "qwen3_vl": lambda: AutoConfig.for_model(
        "qwen3_vl",
        text_config=TEXT | {"rope_parameters": ROPE_3D | {"mrope_interleaved": True}, "head_dim": 16},
        vision_config=QWEN_VISION
        | {"patch_size": 16, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64},
        **QWEN_IDS,
    ),
    "idefics3": lambda: AutoConfig.for_model(
        "idefics3", text_config=TEXT | {"model_type": "llama"}, vision_config=SIGLIP, image_token_id=IMAGE_ID,
        scale_factor=2, pad_token_id=PAD_ID,
    ),
    "smolvlm": lambda: AutoConfig.for_model(
        "smolvlm", text_config=TEXT | {"model_type": "llama"}, vision_config=SIGLIP, image_token_id=IMAGE_ID,
        scale_factor=2, pad_token_id=PAD_ID,
    ),
}  # fmt: skip
"""One of each family that `packable` lists."""
VISION = ("qwen2_5_vl", "qwen3_vl", "idefics3", "smolvlm")

LOSSES: dict[str, dict[str, Any]] = {
    name: {"loss_type": name} for name in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo")
} | {
    "luspo": {"loss_type": "luspo", "importance_sampling_level": "sequence"},
    "gspo": {"loss_type": "grpo", "importance_sampling_level": "sequence"},
    "top entropy": {"loss_type": "dapo", "top_entropy_quantile": 0.5},
    "entropy bonus": {"loss_type": "dapo", "entropy_coef": 0.01},
    "off-policy mask": {"loss_type": "grpo", "off_policy_mask_threshold": 0.05},
    "two-sided clip": {"loss_type": "grpo", "delta": 1.5},
}
"""Every loss of TRL, and the options that read log-probabilities or entropies."""
OF_LOG_PI = ("cispo", "vespo")
"""Losses whose terms are advantages times log π (`GRPOTrainer._compute_loss`)."""
KL: dict[str, dict[str, Any]] = {
    "none": {"beta": 0.0},
    "k3": {"beta": 0.1},
    "k3, bias corrected": {"beta": 0.1, "use_bias_correction_kl": True},
}


@dataclass(frozen=True)
class Shape:
    """What a random batch looks like: images of each prompt, lengths of prompts and completions, micro-batches."""

    images: tuple[int, ...] = (2, 1, 3)
    group: int = 4
    text: int = 9
    completion: int = 7
    patches: int = 4
    """To the side of an image, for the Qwen families."""
    ragged: bool = True
    accumulation: int = 1
    masked: int = 0
    """Completions left out of attention and loss, as `mask_truncated_completions` does."""


@dataclass
class Found:
    """One optimizer step without the optimizer: what the loss saw and what it gave."""

    logps: list[Tensor] = field(default_factory=list)
    entropies: list[Tensor] = field(default_factory=list)
    loss: float = 0.0
    size: float = 1.0
    """Of the terms that the loss adds up with either sign: the mean absolute advantage, for the losses that multiply it
    by log π (not by a ratio, which is about 1) times the mean absolute log π."""
    gradients: dict[str, Tensor] = field(default_factory=dict)


def build_model(config: Any, dtype: torch.dtype, **options: Any) -> PreTrainedModel:
    """A random model of this configuration, in training mode, always the same."""
    torch.manual_seed(0)
    auto: Any = AutoModelForImageTextToText if config.model_type in VISION else AutoModelForCausalLM
    model: PreTrainedModel = auto.from_config(config, **options).to(dtype)
    model.train()
    return model


def shake(model: PreTrainedModel) -> None:
    """Move the policy away from the reference, so that ratios and divergences are not those of equal models."""
    torch.manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.003 * torch.randn_like(value))


def build_trainer(
    model: PreTrainedModel,
    folder: Path,
    options: Mapping[str, Any] | None = None,
    peft_config: Any = None,
    fallback: bool = False,
) -> SharedPrefixTrainer:
    """A trainer around the model, saved in `folder` so that TRL can load it again as the reference."""
    model.save_pretrained(folder)
    model.config._name_or_path = str(folder)
    args = GRPOConfig(
        output_dir=str(folder), use_cpu=True, report_to="none", per_device_train_batch_size=4, num_generations=4,
        beta=0.1, disable_tqdm=True, **{"bf16": False, "gradient_checkpointing": False, **(options or {})},
    )  # fmt: skip
    return SharedPrefixTrainer(
        model=model, reward_funcs=[_no_reward], args=args, train_dataset=Dataset.from_list([{"prompt": "a"}] * 4),
        processing_class=build_tokenizer(["a"]), peft_config=peft_config, fallback=fallback,
    )  # fmt: skip


def _no_reward(**kwargs: Any) -> list[float]:
    return [0.0 for _ in kwargs["prompts"]]


def random_batch(config: Any, shape: Shape, dtype: torch.dtype, seed: int = 0) -> dict[str, Any]:
    """What TRL's loss is given for one optimizer step: G rows for each prompt, shuffled; no log-probabilities yet."""
    draw = torch.Generator().manual_seed(seed)
    prompts = [_prompt(config, count, shape, index, dtype, draw) for index, count in enumerate(shape.images)]
    rows = [index for index in range(len(prompts)) for _ in range(shape.group)]
    rows = [rows[i] for i in torch.randperm(len(rows), generator=draw)]
    width = max(len(prompt["ids"]) for prompt in prompts)
    lengths = torch.full((len(rows),), shape.completion)
    if shape.ragged:
        lengths = torch.randint(1, shape.completion + 1, (len(rows),), generator=draw)
        lengths[0] = shape.completion
    lengths[1 : 1 + shape.masked] = 0
    batch: dict[str, Any] = {
        "prompt_ids": torch.stack([_left(prompts[r]["ids"], width) for r in rows]),
        "prompt_mask": torch.stack([_left(torch.ones_like(prompts[r]["ids"]), width) for r in rows]),
        "completion_ids": torch.randint(5, 300, (len(rows), shape.completion), generator=draw),
        "completion_mask": (torch.arange(shape.completion) < lengths[:, None]).long(),
        "advantages": torch.randn(len(rows), generator=draw),
        "num_items_in_batch": lengths.sum(),
    }
    return batch | _images(config, [prompts[r] for r in rows], width, shape.completion)


def _prompt(
    config: Any, count: int, shape: Shape, index: int, dtype: torch.dtype, draw: torch.Generator
) -> dict[str, Any]:
    """Tokens and pixels of one prompt: its images, of different sizes where the family has them, between words."""
    grids, pixels, pieces = [], [], []
    length = shape.text + (index if shape.ragged else 0)
    for image in range(count):
        pieces.append(torch.randint(5, 300, (2,), generator=draw))
        if config.model_type in ("idefics3", "smolvlm"):
            pixels.append(torch.randn((1, 3, 28, 28), generator=draw).to(dtype))
            pieces.append(torch.full((4,), IMAGE_ID))
            continue
        grid = (1, shape.patches, shape.patches + (2 * (image % 2) if shape.ragged else 0))
        vision = config.vision_config
        grids.append(grid)
        pixels.append(torch.randn((math.prod(grid), 6 * vision.patch_size**2), generator=draw).to(dtype))
        pieces.append(torch.full((math.prod(grid) // 4,), IMAGE_ID))
    pieces.append(torch.randint(5, 300, (length,), generator=draw))
    return {"ids": torch.cat(pieces), "pixels": pixels, "grids": grids}


def _images(config: Any, prompts: list[dict[str, Any]], width: int, columns: int) -> dict[str, Any]:
    counts = [len(prompt["pixels"]) for prompt in prompts]
    if not any(counts):
        return {}
    if config.model_type in ("idefics3", "smolvlm"):
        padded = torch.zeros((len(prompts), max(counts), 3, 28, 28), dtype=prompts[0]["pixels"][0].dtype)
        for row, prompt in enumerate(prompts):
            padded[row, : counts[row]] = torch.cat([*prompt["pixels"], padded[:0, 0]])
        return {"pixel_values": padded, "pixel_attention_mask": (padded != 0).any(2).long(), "num_images": counts}
    types = torch.stack([_left((prompt["ids"] == IMAGE_ID).int(), width) for prompt in prompts])
    return {
        "pixel_values": torch.cat([pixels for prompt in prompts for pixels in prompt["pixels"]]),
        "image_grid_thw": torch.tensor([grid for prompt in prompts for grid in prompt["grids"]]),
        "num_images": counts,
        "mm_token_type_ids": torch.cat([types, types.new_zeros(len(prompts), columns)], dim=1),
    }


def _left(values: Tensor, width: int) -> Tensor:
    return torch.cat([values.new_zeros(width - len(values)), values])


def use(trainer: SharedPrefixTrainer, options: Mapping[str, Any], accumulation: int) -> None:
    """Give a trainer that stands another loss; it is read anew at every step."""
    neutral = {
        "importance_sampling_level": "token", "top_entropy_quantile": 1.0, "entropy_coef": 0.0, "delta": None,
        "off_policy_mask_threshold": None, "use_bias_correction_kl": False,
    }  # fmt: skip
    args: Any = trainer.args
    for name, value in {**neutral, **options}.items():
        setattr(trainer, name, value)
        setattr(args, name, value)
    trainer._entropy_bonus_enabled = trainer.entropy_coef != 0.0
    args.gradient_accumulation_steps = args.steps_per_generation = accumulation
    trainer.current_gradient_accumulation_steps = accumulation


def step(trainer: SharedPrefixTrainer, batch: Mapping[str, Any], *, packed: bool) -> Found:
    """Old and reference log-probabilities, then forward and backward of each micro-batch, on one of the two paths."""
    model: Any = trainer.model
    trainer._packs = packed
    model.zero_grad()
    found, accumulation = Found(), trainer.args.gradient_accumulation_steps
    whole: dict[str, Any] = {**batch, "old_per_token_logps": None, "ref_per_token_logps": None}
    with canary.inference(trainer):
        size = len(batch["prompt_ids"]) // accumulation
        logps, entropies, _ = path(trainer, model, batch, size)
        reference, _, _ = path(trainer, trainer.ref_model, batch, size)
    whole["old_per_token_logps"] = whole["ref_per_token_logps"] = reference
    found.logps, found.entropies, found.size = [logps, reference], [entropies], _term_size(trainer, batch, logps)
    by_row: Any = split_pixel_values_by_grid(whole)
    cut: Any = split_tensor_dict(by_row, accumulation)
    micro_batches = [unsplit_pixel_values_by_grid(part) for part in cut]
    if packed and regroup.is_free(trainer):
        micro_batches = regroup.by_prompt(micro_batches)
    for micro_batch in micro_batches:
        loss = trainer._compute_loss(model, micro_batch)  # type: ignore[no-untyped-call]
        loss.backward()
        found.loss += loss.item()
    gradients = ((name, value.grad) for name, value in model.named_parameters())
    found.gradients = {name: value.clone() for name, value in gradients if value is not None}
    return found


def _term_size(trainer: SharedPrefixTrainer, batch: Mapping[str, Any], logps: Tensor) -> float:
    size: float = batch["advantages"].abs().mean().item()
    if trainer.loss_type not in OF_LOG_PI:
        return size
    return size * logps[batch["completion_mask"].bool()].abs().mean().item()


def path(trainer: SharedPrefixTrainer, model: Any, batch: Mapping[str, Any], size: int) -> Any:
    """Log-probabilities and entropies as TRL asks for them, `size` rows a pass."""
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    names = ("pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "mm_token_type_ids")
    images = {name: batch[name] for name in names if name in batch}
    columns, entropy = batch["completion_ids"].size(1), model is trainer.model
    return trainer._get_per_token_logps_and_entropies(model, ids, mask, columns, size, entropy, **images)


def apart(ours: Found, theirs: Found) -> dict[str, float]:
    """The largest difference of each kind: of log-probabilities and entropies relative to their largest value, of the
    loss to the size of its terms, of each parameter's gradient to that gradient (as norms; one below a thousandth of
    the largest counts as that)."""
    if ours.gradients.keys() != theirs.gradients.keys():
        raise AssertionError(f"gradients of {sorted(ours.gradients.keys() ^ theirs.gradients.keys())} on one path only")
    whole = max(value.norm().item() for value in theirs.gradients.values())
    pairs = [(value, theirs.gradients[name]) for name, value in ours.gradients.items()]
    return {
        "log-probabilities": max(map(_relative, ours.logps, theirs.logps)),
        "entropies": max(map(_relative, ours.entropies, theirs.entropies)),
        "loss": off(ours, theirs),
        "gradients": max((a - b).norm().item() / max(b.norm().item(), 1e-3 * whole) for a, b in pairs),
    }


def off(found: Found, true: Found) -> float:
    """How far one loss is from the other, relative to that or to the size of its terms, whichever is larger."""
    return abs(found.loss - true.loss) / max(abs(true.loss), true.size)


def _relative(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()
