"""Supervised fine-tuning on scaffolds with trl.SFTTrainer: the loss counts completions only."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback
from trl import SFTConfig, SFTTrainer

from indirect_rlvr.config import Model, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.run import fresh_folder
from indirect_rlvr.training import models, options
from indirect_rlvr.training.dataset import sft_dataset
from indirect_rlvr.training.health import Watch
from indirect_rlvr.types import ProxyTask


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
) -> dict[str, Any]:
    """Fine-tune the model in `base` on `traces` into `out`: a model folder with `log.jsonl`, all or nothing.

    Returns `steps`, `traces`, `loss_first`, `loss_last` and `weights_sha256`. The same seed on one thread gives the
    same weights. Raises ConfigError for `[sft.trl]`, DataError for unusable traces, RunError where training diverges.
    """
    cut = options.micro_batches("sft", settings.trl, settings.batch)
    with fresh_folder(out) as folder:
        own = options.common(folder, settings.steps, seed, model_settings) | cut
        config = options.build(SFTConfig, "sft", settings.trl, own | {"max_length": None, "completion_only_loss": True})
        dataset = sft_dataset(traces, tasks, domain, records_folder)
        policy = models.load_for_training(base, model_settings)
        watch = Watch("sft", settings.steps, folder / "log.jsonl")
        trainer = SFTTrainer(
            model=policy.model, args=config, train_dataset=dataset, processing_class=policy.processor, callbacks=[watch]
        )
        trainer.remove_callback(PrinterCallback)
        with watch:
            trainer.train()
        models.save(policy, folder)
    return {
        "steps": settings.steps,
        "traces": len(traces),
        "loss_first": watch.lines[0]["loss"],
        "loss_last": watch.lines[-1]["loss"],
        "weights_sha256": models.weights_digest(policy.model),
    }
