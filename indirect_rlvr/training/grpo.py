"""Group relative policy optimisation on proxy tasks with trl.GRPOTrainer, every rollout on record.

One generation of `prompts_per_step` × `group_size` rollouts serves one optimizer step (`num_iterations` steps, if set),
so old log-probabilities need no pass of their own. The loss is TRL's; prompts and images are computed once a group
(`shared_prefix`, `generation`, `patches`).
"""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig

from indirect_rlvr import processes
from indirect_rlvr.config import Grpo, Health, Model, Parallel
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.rewards.trl import TermReward, trl_rewards
from indirect_rlvr.run import file_digest, write_jsonl
from indirect_rlvr.stopping import deferred
from indirect_rlvr.training import (
    images,
    lora,
    lora_sync,
    models,
    options,
    parallel,
    patches,
    vllm_guards,
    vllm_settings,
)
from indirect_rlvr.training.checkpoints import ALONE, Keeper, Resume, attempt
from indirect_rlvr.training.curriculum import Plan, plan
from indirect_rlvr.training.dataset import grpo_dataset
from indirect_rlvr.training.health import HEALTHY, Watch
from indirect_rlvr.training.recording import RecordingTrainer
from indirect_rlvr.types import ProxyTask

SAMPLING = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0}
"""Stated, because a checkpoint's generation config (Qwen2.5-VL: penalty 1.05) would bias the samples."""

logger = logging.getLogger(__name__)


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
    resume: Resume = ALONE,
    health: Health = HEALTHY,
    spread: Parallel = parallel.ALONE,
) -> dict[str, Any]:
    """Train the model in `start` on train tasks into `out`: a model folder with `log.jsonl` and `rollouts.jsonl`.

    An interrupted training goes on from its newest checkpoint and ends in the same bytes (`checkpoints.attempt`). A
    band or an order adds `curriculum.jsonl`: the tasks chosen, in its order, with their difficulty. The same seed on
    one thread gives the same weights and rollouts. Several processes share the training as `spread` says; each must
    call this. Returns `steps`, `rollouts`, `reward_first`, `reward_last`,
    `weights_sha256`, of the curriculum `tasks`, `left_out` and `refilled` (groups), and how prompts were
    `shared_prefix`. Raises ConfigError for `[grpo.trl]` and a model that cannot share prompts, DataError for unusable
    or too few tasks, RunError where training diverges.
    """
    vllm_settings.require_usable(settings, health)
    vllm_settings.require_here(settings)
    with (
        attempt(out, resume) as going,
        deferred() as stop,
        TemporaryDirectory(prefix="patches-", dir=going.folder) as spilled,
    ):
        processes.wait()  # until each has its own folder for patches: who fails first takes the stage's away
        folder, chosen = going.folder, _plan(tasks, settings, seed)
        if chosen.left_out:
            rows = [{"task_id": task.id, "difficulty": task.difficulty} for task in chosen.tasks]
            processes.by_first(partial(write_jsonl, folder / "curriculum.jsonl", rows))
        config = _config(folder, settings, model_settings, seed, composite, spread)
        policy = going.policy(start, model_settings, parallel.weights_dtype(spread, model_settings))
        parallel.shard_on_cpu(config)
        store = patches.PatchStore(Path(spilled))
        dataset = grpo_dataset(chosen.tasks, domain, records_folder)
        engine = vllm_settings.fit(config, dataset, policy) if config.use_vllm else {}
        dataset, processor = _images_once(dataset, policy, settings, store)
        walked = dataset if chosen.shuffled else dataset.select(chosen.walk)
        by_id, end_ids = {task.id: task for task in tasks}, models.end_token_ids(policy)
        rewards, _ = trl_rewards(composite, by_id, end_ids, settings.group_size, settings.reward_errors_allowed)
        watch = Watch(out.name, settings.steps, folder / "log.jsonl", health)
        adapters = lora.config(policy.model, model_settings)
        with vllm_settings.told(engine):
            trainer = _trainer(policy, processor, rewards, config, settings, walked, watch, adapters)
        trained: Any = trainer.model
        going.take_up(trained)
        keep = settings.keep_checkpoints
        trainer.add_callback(Keeper(folder, keep, settings.cycle, stop, trainer.progress, watch.sound))
        with watch, _rollouts(folder) as stream:
            trainer.record_to(stream, settings.rollouts_every, settings.cycle)
            trainer.refill_from(dataset, walked, settings)
            trainer.go_on_from(going.extra)
            trainer.train(resume_from_checkpoint=going.resume)
        stop.raise_if_asked()
        lora.merge(trained, folder, start)
        models.save(policy, folder, model_settings.dtype)
        made = _made(trainer, watch, chosen, settings, store)
        made["weights_sha256"] = models.weights_digest(policy.model, model_settings.dtype)
        stop.raise_if_asked()  # while a checkpoint is there
    parallel.done()
    return made


def _rollouts(folder: Path) -> AbstractContextManager[TextIO | None]:
    """Where this process writes rollouts, for the first one alone."""
    return (folder / "rollouts.jsonl").open("a", encoding="utf-8") if processes.is_first() else nullcontext()


def _trainer(
    policy: models.Policy,
    processor: Any,
    rewards: Sequence[TermReward],
    config: GRPOConfig,
    settings: Grpo,
    walked: Dataset,
    watch: Watch,
    adapters: Any,
) -> RecordingTrainer:
    """The trainer, no special token ever sampled, whoever samples."""
    suppressed = models.suppressed_token_ids(policy)
    if not config.use_vllm:
        config.generation_kwargs = {**settings.trl.get("generation_kwargs", {}), "suppress_tokens": suppressed}
    trainer = RecordingTrainer(
        model=policy.model,
        reward_funcs=list(rewards),
        args=config,
        train_dataset=walked,
        processing_class=processor,
        callbacks=[watch, parallel.HeadTogether()],
        peft_config=adapters,
        shared_prefix=settings.shared_prefix,
        fallback=settings.shared_prefix_fallback,
    )
    trainer.share_prefill = trainer.prefix_report()["used"]
    trainer.remove_callback(PrinterCallback)
    if config.use_vllm:
        image = policy.model.config.image_token_id if policy.is_vision else None
        vllm_guards.guard(trainer, int(config.seed), image, suppressed)
        lora_sync.guard(trainer.vllm_generation)
    return trainer


def _images_once(
    dataset: Dataset, policy: models.Policy, settings: Grpo, store: patches.PatchStore
) -> tuple[Dataset, Any]:
    """The data set and the processor, by which each image is decoded and preprocessed once a run where it can be."""
    processor: Any = policy.processor
    if not settings.shared_prefix or "images" not in dataset.column_names:
        return dataset, processor
    reason = patches.refusal(processor)
    if reason:
        logger.warning("images are preprocessed at every use: %s", reason)
        return dataset, processor
    return images.shared(dataset), patches.caching(processor, store)


def _made(
    trainer: RecordingTrainer,
    watch: Watch,
    chosen: Plan,
    settings: Grpo,
    store: patches.PatchStore,
) -> dict[str, Any]:
    ends = {"reward_first": watch.first["reward"], "reward_last": watch.last["reward"]}
    used: dict[str, Any] = {"tasks": len(chosen.tasks), "left_out": chosen.left_out, "refilled": trainer.refilled}
    if settings.curriculum.answers:
        used["answers_sha256"] = file_digest(Path(settings.curriculum.answers))
    images_seen = [sum(counts) for counts in zip(*processes.gathered((store.computed, store.found)), strict=True)]
    shared = processes.agreed(trainer.prefix_report()) | dict(
        zip(("images_preprocessed", "images_found"), images_seen, strict=True)
    )
    return {"steps": settings.steps, "rollouts": trainer.recorded, **used, **ends, "shared_prefix": shared}


def _plan(tasks: Sequence[ProxyTask], settings: Grpo, seed: int) -> Plan:
    if len(tasks) < settings.prompts_per_step:
        raise DataError(
            f"{len(tasks)} train tasks cannot fill a step of {settings.prompts_per_step} prompts; "
            "lower grpo.prompts_per_step or raise tasks.train"
        )
    generations = -(-settings.steps // settings.cycle)
    return plan(tasks, settings.curriculum, generations * settings.prompts_per_step, settings.prompts_per_step, seed)


def _config(
    folder: Path, settings: Grpo, model_settings: Model, seed: int, composite: Composite, spread: Parallel
) -> GRPOConfig:
    cut = options.rollout_batches(settings)
    ours = {
        "num_generations": settings.group_size,
        "max_completion_length": settings.max_completion_tokens,
        "steps_per_generation": cut["gradient_accumulation_steps"],
        "reward_weights": [*composite.weights, *composite.group_weights],
    }
    if settings.curriculum.order != "none":
        ours["shuffle_dataset"] = False
    common = options.common(folder, settings.steps, settings.save_steps, seed, model_settings)
    common |= parallel.arguments(spread, model_settings)
    config = options.build(GRPOConfig, "grpo", {**SAMPLING, **settings.trl}, common | cut | ours)
    if settings.curriculum.refill and config.world_size > 1:
        raise ConfigError(
            f"`grpo.curriculum.refill` is {settings.curriculum.refill} on {config.world_size} processes; groups are "
            "sampled anew on one process only: set it to 0, or start one process"
        )
    return config
