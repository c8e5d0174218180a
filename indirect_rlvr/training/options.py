"""Settings of TRL from ours and the recipe's pass-through table.

A key that a setting of ours already decides, one that TRL lacks and one that its known defects forbid are refused.
"""

import dataclasses
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers.integrations import get_available_reporting_integrations
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK
from trl import GRPOConfig, SFTConfig

from indirect_rlvr import processes
from indirect_rlvr.config import Grpo, Model, Recipe
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.training import vllm_settings

C = TypeVar("C", SFTConfig, GRPOConfig)

OURS = {
    "output_dir": "it is the stage's own folder",
    "seed": "set `seed` of the recipe",
    "data_seed": "set `seed` of the recipe",
    "full_determinism": "runs on one processor thread are deterministic already",
    "max_steps": "set `steps` of the section",
    "num_train_epochs": "set `steps` of the section",
    "gradient_accumulation_steps": "it follows from the batch and `per_device_train_batch_size`",
    "bf16": "set `model.dtype`",
    "fp16": "set `model.dtype`",
    "model_init_kwargs": "the model is loaded from the stage before",
    "trust_remote_code": "code that comes with a checkpoint is never run",
    "use_cpu": "the accelerator is used where there is one",
    "remove_unused_columns": "rewards need every column",
    "logging_steps": "every step is logged and watched",
    "logging_strategy": "every step is logged and watched",
    "logging_nan_inf_filter": "it would hide a diverged loss",
    "disable_tqdm": "the bar is ours",
    "save_strategy": "set `save_steps` of the section",
    "save_steps": "set `save_steps` of the section",
    "save_total_limit": "set `keep_checkpoints` of the section",
    "save_only_model": "a checkpoint must hold all that a resumed training needs",
    "resume_from_checkpoint": "the newest checkpoint is found without being told",
    "load_best_model_at_end": "transformers reloads Qwen2.5-VL checkpoints with fresh weights (transformers #43701)",
    "max_length": "cutting a prompt would cut image tokens",
    "completion_only_loss": "traces are learned, prompts are not",
    "num_generations": "set `grpo.group_size`",
    "max_completion_length": "set `grpo.max_completion_tokens`",
    "generation_batch_size": "it is `grpo.prompts_per_step` times `grpo.group_size`",
    "steps_per_generation": "each generation serves one optimizer step; use `num_iterations` for more",
    "reward_weights": "set `[reward.weights]`",
    "fsdp": "set `parallel.strategy`",
    "fsdp_config": "set `parallel.strategy`",
    "deepspeed": "set `parallel.strategy`",
    "average_tokens_across_devices": "a step means the same on any number of processes",
    "peft_config": "set `[model.lora]`",
    "use_peft": "set `[model.lora]`",
    "lora_r": "set `[model.lora]`",
    "lora_alpha": "set `[model.lora]`",
    "lora_dropout": "set `[model.lora]`",
    "lora_target_modules": "set `[model.lora]`; adapters are on every linear layer",
}
"""Keys that must not stand in a pass-through table, and where to turn instead."""

DEFAULTS: dict[str, Any] = {
    "report_to": "none",
    "gradient_checkpointing": False,
    "ddp_find_unused_parameters": True,
}
"""Where we differ from TRL unless the recipe says otherwise. A DDP that does not look for unused parameters deals
gradients out anew after its first step: of three processes or more a resumed step is then summed in another order."""


MICRO_BATCH = 64
"""Samples of one forward pass: of 16, 32, 64 and 128 the fastest for a 1.5 M model on one thread (8.5 s a GRPO step of
128 rollouts, all at once 11.4 s), in two thirds of the memory."""


def build(kind: type[C], section: str, table: Mapping[str, Any], ours: Mapping[str, Any]) -> C:
    """`kind` from `table` (the recipe's `[section.trl]`) and our own values; a process trains on one GPU, however many
    there are.

    Raises ConfigError for a key in `OURS`, an unknown key (with near matches), a tracker that is not installed and a
    value TRL refuses.
    """
    _require_known(kind, section, table)
    try:
        config = kind(**{**DEFAULTS, **table, **ours})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"trl.{kind.__name__} refuses `[{section}.trl]`: {error}") from error
    config._n_gpu = min(1, config.n_gpu)  # else Trainer gives a process alone all of them, and a batch to each
    return config


def require_usable(recipe: Recipe) -> None:
    """Look at `[sft.trl]` and `[grpo.trl]` before any stage runs.

    Raises ConfigError as `build` does for a key, as `micro_batches` and `rollout_batches` do, and for keys about vLLM
    that cannot work.
    """
    _require_known(SFTConfig, "sft", recipe.sft.trl)
    _require_known(GRPOConfig, "grpo", recipe.grpo.trl)
    micro_batches("sft", recipe.sft.trl, recipe.sft.batch)
    rollout_batches(recipe.grpo)
    vllm_settings.require_usable(recipe.grpo, recipe.health)


def _require_known(kind: type[SFTConfig | GRPOConfig], section: str, table: Mapping[str, Any]) -> None:
    known = sorted(field.name for field in dataclasses.fields(kind) if field.init)
    for key in table:
        if key in OURS:
            raise ConfigError(f"`{section}.trl.{key}` must not be set: {OURS[key]}")
        if key not in known:
            near = ", ".join(get_close_matches(key, known, n=5, cutoff=0.5)) or "none; see the documentation of TRL"
            raise ConfigError(f"`{section}.trl.{key}` is no option of trl.{kind.__name__}; near matches: {near}")
    _require_reporters(section, table.get("report_to", "none"))


def _require_reporters(section: str, wanted: object) -> None:
    """Raise ConfigError for a tracker in `report_to` that is unknown or not installed."""
    for name in [wanted] if isinstance(wanted, str) else wanted if isinstance(wanted, list) else [repr(wanted)]:
        if name in ("none", "all"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            known = ", ".join(sorted(INTEGRATION_TO_CALLBACK))
            raise ConfigError(f"`{section}.trl.report_to` names {name!r}; known trackers: {known}")
        if name not in get_available_reporting_integrations():
            raise ConfigError(
                f"`{section}.trl.report_to` is `{name}`, which is not installed; pip install {name}, or leave the key "
                "out: log.jsonl has every metric anyway"
            )


def common(folder: Path, steps: int, save_steps: int, seed: int, model: Model) -> dict[str, Any]:
    """What both trainers get from us."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "seed": seed,
        "data_seed": seed,
        "max_steps": steps,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "bf16": model.dtype != "float32",
        "fp16": False,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
    }


def micro_batches(section: str, table: Mapping[str, Any], batch: int, count: int = 0) -> dict[str, int]:
    """How a batch of `batch` samples over `count` processes (0: those of this launch) is cut:
    `per_device_train_batch_size` from the table, by default the largest part up to `MICRO_BATCH`.

    Raises ConfigError where it does not divide what each process gets, or the batch cannot be dealt out evenly.
    """
    count = count or processes.count()
    share, left = divmod(batch, count)
    if left:
        raise ConfigError(
            f"the {batch} samples of a step of `{section}` cannot be dealt out evenly to {count} processes; choose a "
            f"batch of {max(1, share) * count} or {(share + 1) * count}, or start a number of processes that divides it"
        )
    allowed = [size for size in range(1, share + 1) if share % size == 0]
    micro = table.get("per_device_train_batch_size", max(size for size in allowed if size <= MICRO_BATCH))
    if micro not in allowed:
        of_each = f" in each of {count} processes" if count > 1 else ""
        raise ConfigError(
            f"`{section}.trl.per_device_train_batch_size` is {micro!r}; it must divide the {share} samples of a step"
            f"{of_each}: {', '.join(map(str, allowed)):.200}"
        )
    return {"per_device_train_batch_size": micro, "gradient_accumulation_steps": share // micro}


def rollout_batches(settings: Grpo, count: int = 0) -> dict[str, int]:
    """As `micro_batches`, for the rollouts of a step, each group in one process: there its prompt is shared and its
    rewards are compared."""
    prompts, count = settings.prompts_per_step, count or processes.count()
    if prompts % count:
        near = max(1, prompts // count) * count
        raise ConfigError(
            f"`grpo.prompts_per_step` is {prompts} on {count} processes; it must be a multiple of them, for example "
            f"{near}, because a group is sampled, rewarded and shares its prompt in one process"
        )
    return micro_batches("grpo", settings.trl, prompts * settings.group_size, count)
