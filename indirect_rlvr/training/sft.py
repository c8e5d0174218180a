"""Supervised fine-tuning on scaffolds with trl.SFTTrainer: the loss counts completions only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch.utils.data import RandomSampler, Sampler
from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from indirect_rlvr.config import Health, Model, Parallel, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.stopping import deferred
from indirect_rlvr.training import lora, models, options, parallel
from indirect_rlvr.training.checkpoints import ALONE, FromCheckpoint, Keeper, Resume, attempt
from indirect_rlvr.training.dataset import sft_dataset
from indirect_rlvr.training.health import HEALTHY, Watch
from indirect_rlvr.types import ProxyTask


class ResumableTrainer(FromCheckpoint, SFTTrainer):
    """TRL's trainer, whose model is already that of the checkpoint, and whose count of tokens goes on from there.

    Every step has a whole batch: a pass ends with traces drawn anew where they do not fill its last one, or processes
    that have nothing left would be given other traces than one process alone.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int] | None:
        theirs: Any = super()._get_train_sampler(train_dataset)
        if type(theirs) is not RandomSampler:
            return theirs  # type: ignore[no-any-return]
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return RandomSampler(theirs.data_source, num_samples=-(-len(theirs) // batch) * batch)

    def progress(self) -> dict[str, int]:
        """What a checkpoint must remember beside Trainer's own state."""
        return {"tokens": int(self._total_train_tokens)}

    def go_on_from(self, progress: Mapping[str, int]) -> None:
        """Take up what `progress` gave; nothing at the beginning of a training."""
        self._total_train_tokens = progress.get("tokens", 0)


def train(
    base: str | Path,
    traces: Sequence[Mapping[str, Any]],
    tasks: Sequence[ProxyTask],
    domain: Domain,
    records_folder: Path,
    settings: Sft,
    model_settings: Model,
    out: Path,
    seed: int,
    resume: Resume = ALONE,
    health: Health = HEALTHY,
    spread: Parallel = parallel.ALONE,
) -> dict[str, Any]:
    """Fine-tune the model in `base` on `traces` into `out`: a model folder with `log.jsonl`.

    An interrupted training goes on from its newest checkpoint and ends in the same bytes (`checkpoints.attempt`).
    Several processes share the training as `spread` says; each must call this. Returns `steps`, `traces`, `loss_first`,
    `loss_last` and `weights_sha256`. The same seed on one thread gives the same weights. Raises ConfigError for
    `[sft.trl]`, DataError for unusable traces, RunError where training diverges.
    """
    cut = options.micro_batches("sft", settings.trl, settings.batch)
    with attempt(out, resume) as going, deferred() as stop:
        folder = going.folder
        own = options.common(folder, settings.steps, settings.save_steps, seed, model_settings) | cut
        own |= parallel.arguments(spread, model_settings)
        config = options.build(SFTConfig, "sft", settings.trl, own | {"max_length": None, "completion_only_loss": True})
        dataset = sft_dataset(traces, tasks, domain, records_folder)
        policy = going.policy(base, model_settings, parallel.weights_dtype(spread, model_settings))
        parallel.shard_on_cpu(config)
        watch = Watch("sft", settings.steps, folder / "log.jsonl", health)
        trainer = ResumableTrainer(
            model=policy.model,
            args=config,
            train_dataset=dataset,
            processing_class=policy.processor,
            callbacks=[watch, parallel.HeadTogether()],
            peft_config=lora.config(policy.model, model_settings),
        )
        trained: Any = trainer.model
        going.take_up(trained)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Keeper(folder, settings.keep_checkpoints, 1, stop, trainer.progress, watch.sound))
        trainer.go_on_from(going.extra)
        with watch:
            trainer.train(resume_from_checkpoint=going.resume)
        stop.raise_if_asked()
        lora.merge(trained, folder, base)
        models.save(policy, folder, model_settings.dtype)
        weights = models.weights_digest(policy.model, model_settings.dtype)
        stop.raise_if_asked()  # while a checkpoint is there
    parallel.done()
    return {
        "steps": settings.steps,
        "traces": len(traces),
        "loss_first": watch.first["loss"],
        "loss_last": watch.last["loss"],
        "weights_sha256": weights,
    }
