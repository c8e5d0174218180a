"""One of two processes that compute with shared prompts, then without; the first writes how far the two lie apart.

Started by `test_shared_prefix_processes.py`: "ddp" or "fsdp2", folder of a tiny vision model, file for the result.
"""

import json
import math
import os
import sys
from pathlib import Path

import torch
from datasets import Dataset
from PIL import Image
from prefix_cases import CONFIGS, Shape, build_model, build_trainer, random_batch, shake, step, use
from torch.distributed.fsdp import fully_shard
from trl import GRPOConfig

from indirect_rlvr import processes
from indirect_rlvr.training import models
from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer


def even(completion_ids: list[list[int]], **kwargs: object) -> list[float]:
    return [sum(token % 2 == 0 for token in ids) / 8 for ids in completion_ids]


def rows() -> Dataset:
    """Prompts of different lengths with one, two or three images."""
    made = []
    for index in range(8):
        colours = [(60 * index % 256, 90 * image, 20) for image in range(1 + index % 3)]
        text = {"type": "text", "text": "Which chip matches?" * (1 + index % 2)}
        content = [*({"type": "image"} for _ in colours), text]
        images = [Image.new("RGB", (56, 28), colour) for colour in colours]
        made.append({"prompt": [{"role": "user", "content": content}], "images": images})
    return Dataset.from_list(made)


def weights(folder: str, shared: bool) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    policy = models.load(Path(folder))
    args = GRPOConfig(
        output_dir=folder + "-out", use_cpu=True, bf16=False, report_to="none", save_strategy="no", max_steps=2,
        per_device_train_batch_size=4, gradient_accumulation_steps=2, num_generations=4, max_completion_length=8,
        optim="sgd", learning_rate=0.1, max_grad_norm=1.0, disable_tqdm=True, gradient_checkpointing=False, beta=0.05,
        generation_kwargs={"suppress_tokens": models.suppressed_token_ids(policy)}, temperature=1.0, top_k=0,
    )  # fmt: skip
    trainer = SharedPrefixTrainer(
        model=policy.model, reward_funcs=[even], args=args, train_dataset=rows(), processing_class=policy.processor,
        shared_prefix=shared,
    )  # fmt: skip
    trainer.train()
    kind = type(trainer.model_wrapped).__name__
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return {name: value.double() for name, value in state.items()}, {"kind": kind, **trainer.prefix_report()}


def ddp(folder: str) -> dict[str, object]:
    """Two steps of the real trainer on each path; how far the weights lie apart, and how far they went."""
    start = {name: value.double() for name, value in models.load(Path(folder)).model.state_dict().items()}
    ours, report = weights(folder, True)
    theirs, _ = weights(folder, False)
    apart = math.sqrt(sum((ours[n] - theirs[n]).square().sum().item() for n in theirs))
    moved = math.sqrt(sum((start[n] - theirs[n]).square().sum().item() for n in theirs))
    return {"apart": apart, "moved": moved, **report}


def fsdp2(folder: str) -> dict[str, object]:
    """Forward and backward of a sharded model on each path, other rows on each process; accelerate leaves FSDP out on
    the CPU, so the model is sharded here as accelerate shards it on a GPU: each layer, then the whole."""
    rank = int(os.environ["RANK"])  # the trainer starts the process group
    trainer = build_trainer(build_model(CONFIGS["qwen2_5_vl"](), torch.float32), Path(f"{folder}-{rank}"))
    shake(trainer.model)
    inner = trainer.model.model
    for layer in [*inner.visual.blocks, *inner.language_model.layers]:
        fully_shard(layer)
    fully_shard(trainer.model)
    use(trainer, {"loss_type": "grpo"}, 1)
    batch = random_batch(trainer.model.config, Shape(images=(1 + rank, 2)), torch.float32, seed=rank)
    theirs, ours = (step(trainer, batch, packed=packed) for packed in (False, True))
    for found in (ours, theirs):
        found.gradients = {name: value.full_tensor() for name, value in found.gradients.items()}
    moved = math.sqrt(sum(value.square().sum().item() for value in theirs.gradients.values()))
    apart = math.sqrt(sum((ours.gradients[n] - v).square().sum().item() for n, v in theirs.gradients.items()))
    return {"apart": apart, "moved": moved, "kind": type(trainer.model).__name__, **trainer.prefix_report()}


def main(mode: str, folder: str, result: str) -> None:
    torch.set_num_threads(1)
    found = {"ddp": ddp, "fsdp2": fsdp2}[mode](folder)
    if torch.distributed.get_rank() == 0:
        Path(result).write_text(json.dumps(found), encoding="utf-8")
    torch.distributed.destroy_process_group()
    processes.end(SystemExit(0))  # as `rlvr` does, and for its reason


if __name__ == "__main__":
    main(*sys.argv[1:])
