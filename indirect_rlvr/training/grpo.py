"""Group relative policy optimisation on proxy tasks with trl.GRPOTrainer, every rollout on record.

One generation of `prompts_per_step` × `group_size` rollouts serves one optimizer step (`num_iterations` steps, if set),
so old log-probabilities need no pass of their own. The loss is TRL's.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig

from indirect_rlvr.config import Grpo, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.rewards.trl import trl_rewards
from indirect_rlvr.run import fresh_folder
from indirect_rlvr.training import models, options
from indirect_rlvr.training.dataset import grpo_dataset
from indirect_rlvr.training.health import Watch
from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer
from indirect_rlvr.types import ProxyTask

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
"""Stated, because a checkpoint's generation config (Qwen2.5-VL: penalty 1.05) would bias the samples."""


def train(
    start: str | Path,
    tasks: Sequence[ProxyTask],
    domain: Domain,
    records_folder: Path,
    composite: Composite,
    settings: Grpo,
    model_settings: Model,
    out: Path,
    seed: int,
) -> dict[str, Any]:
    """Train the model in `start` on train tasks into `out`: a model folder with `log.jsonl` and `rollouts.jsonl`.

    All or nothing; the same seed on one thread gives the same weights and rollouts. Returns `steps`, `rollouts`,
    `reward_first`, `reward_last`, `weights_sha256` and how prompts were `shared_prefix`. Raises ConfigError for
    `[grpo.trl]` and a model that cannot share prompts, DataError for unusable or too few tasks, RunError where training
    diverges.
    """
    with fresh_folder(out) as folder:
        config = _config(folder, settings, model_settings, seed, composite)
        dataset = _dataset(tasks, domain, records_folder, settings)
        policy = models.load_for_training(start, model_settings)
        suppressed = {"suppress_tokens": models.suppressed_token_ids(policy)}
        config.generation_kwargs = {**settings.trl.get("generation_kwargs", {}), **suppressed}
        by_id, end_ids = {task.id: task for task in tasks}, models.end_token_ids(policy)
        rewards, _ = trl_rewards(composite, by_id, end_ids, settings.group_size, settings.reward_errors_allowed)
        watch = Watch(out.name, settings.steps, folder / "log.jsonl")
        trainer = RecordingTrainer(
            model=policy.model,
            reward_funcs=list(rewards),
            args=config,
            train_dataset=dataset,
            processing_class=policy.processor,
            callbacks=[watch],
            shared_prefix=settings.shared_prefix,
            fallback=settings.shared_prefix_fallback,
        )
        trainer.remove_callback(PrinterCallback)
        with watch, (folder / "rollouts.jsonl").open("w", encoding="utf-8") as stream:
            trainer.record_to(stream)
            trainer.train()
        models.save(policy, folder)
    earned = [line["reward"] for line in watch.lines if "reward" in line]
    ends = {"reward_first": earned[0], "reward_last": earned[-1], "weights_sha256": models.weights_digest(policy.model)}
    return {"steps": settings.steps, "rollouts": trainer.recorded, **ends, "shared_prefix": trainer.prefix_report()}


def _dataset(tasks: Sequence[ProxyTask], domain: Domain, folder: Path, settings: Grpo) -> Dataset:
    if len(tasks) < settings.prompts_per_step:
        raise DataError(
            f"{len(tasks)} train tasks cannot fill a step of {settings.prompts_per_step} prompts; "
            "lower grpo.prompts_per_step or raise tasks.train"
        )
    return grpo_dataset(tasks, domain, folder)


def _require_whole_cycles(settings: Grpo) -> None:
    """TRL keeps no rollouts in a checkpoint: one taken between the iterations over a generation resumes differently."""
    cycle = int(settings.trl.get("num_iterations", 1))
    save_steps = settings.trl.get("save_steps", cycle)
    if save_steps != int(save_steps) or int(save_steps) % cycle:
        raise ConfigError(
            f"`grpo.trl.save_steps` is {save_steps}; it must be a multiple of `num_iterations` ({cycle}), "
            "or a resumed run differs from an uninterrupted one"
        )


def _config(folder: Path, settings: Grpo, model_settings: Model, seed: int, composite: Composite) -> GRPOConfig:
    _require_whole_cycles(settings)
    cut = options.micro_batches("grpo", settings.trl, settings.prompts_per_step * settings.group_size)
    ours = {
        "num_generations": settings.group_size,
        "max_completion_length": settings.max_completion_tokens,
        "steps_per_generation": cut["gradient_accumulation_steps"],
        "reward_weights": [*composite.weights, *composite.group_weights],
    }
    common = options.common(folder, settings.steps, seed, model_settings)
    return options.build(GRPOConfig, "grpo", {**SAMPLING, **settings.trl}, common | cut | ours)


class RecordingTrainer(SharedPrefixTrainer):
    """The trainer, which also writes every rollout down with what it earned; nothing about the training differs."""

    recorded = 0

    def record_to(self, stream: TextIO) -> None:
        """Where rollouts go, one JSON object a line."""
        self._rollout_stream = stream

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        """The rewards, (rollouts, terms); kept beside ids and texts until the advantages are known."""
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        self._scored = (completions, completion_ids_list, rewards)
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        completions, ids, rewards = self._scored
        total = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        for i, row in enumerate(inputs):
            line = {
                "step": self.state.global_step + 1,
                "task_id": row["task_id"],
                "text": completions[i][0]["content"],
                "token_ids": ids[i],
                "tokens": len(ids[i]),
                "finished": ids[i][-1] in self.eos_token_ids,
                "terms": dict(zip(self.reward_func_names, map(_number, rewards[i].tolist()), strict=True)),
                "reward": _number(total[i].item()),
                "advantage": _number(output["advantages"][i].item()),
            }
            self._rollout_stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self._rollout_stream.flush()
        self.recorded += len(inputs)
        return output


def _number(value: float) -> float | None:
    """float32 for JSON; None where a term did not apply."""
    return round(value, 7) if math.isfinite(value) else None
