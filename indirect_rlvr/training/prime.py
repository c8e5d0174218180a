"""Priming: teach the tiny model a domain's generic skills, in place of the pretraining that a large model brings along.

Plain PyTorch, one thread's worth of work, loss on completion tokens only. What the skills are is left to the domain.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch.nn.functional import cross_entropy
from transformers import Qwen2_5_VLForConditionalGeneration

from indirect_rlvr import manifest
from indirect_rlvr.config import Prime, Tiny
from indirect_rlvr.progress import Progress
from indirect_rlvr.run import file_digest
from indirect_rlvr.training.tiny import END, ImageOnlyProcessor, build_tiny, save_tiny
from indirect_rlvr.types import Primer, PrimerExample

MICRO_BATCH = 16  # examples to a forward pass, taken in order of length so that little is padding
WARM_UP = 100  # steps of linear warm-up
DECAY = 0.3  # share of all steps in which the learning rate falls to nothing
FIRST = 20  # losses reported, for a test to replay
IGNORE = -100  # label of tokens without loss


def prime(tiny: Tiny, settings: Prime, primer: Primer, folder: Path, stop: int | None = None) -> dict[str, Any]:
    """Build a tiny model, train it on `settings.steps` batches of primer examples and save it into `folder`.

    `stop` ends after so many steps of the same schedule, for a test to replay them.

    Returns JSON facts: parameters, examples, minutes, the losses of the first steps and the mean of the last. The
    weights are a function of settings and primer, on one thread and one kind of processor.
    """
    began = time.monotonic()
    model, processor = build_tiny(tiny, primer.lexicon, seed=settings.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.steps))
    losses: list[float] = []
    model.train()
    with Progress("prime", "step", stop or settings.steps) as progress:
        for step in range(stop or settings.steps):
            start = step * settings.batch
            examples = [primer.example(settings.seed, index) for index in range(start, start + settings.batch)]
            losses.append(train_step(model, processor, examples))
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            progress.advance(facts={"loss": losses[-1]})
    save_tiny(model, processor, folder)
    return {
        "parameters": model.num_parameters(),
        "examples": len(losses) * settings.batch,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "first_losses": losses[:FIRST],
        "last_loss": sum(losses[-FIRST:]) / len(losses[-FIRST:]),
        "weights_sha256": file_digest(folder / "model.safetensors"),
        "processor": manifest.processor(),
        "torch": torch.__version__,
    }


def train_step(
    model: Qwen2_5_VLForConditionalGeneration, processor: ImageOnlyProcessor, examples: Sequence[PrimerExample]
) -> float:
    """Add the gradients of one batch, in micro-batches of similar length; returns the mean loss of a token."""
    by_length = sorted(examples, key=lambda example: (len(example.images), len(example.completion)))
    micro = [by_length[at : at + MICRO_BATCH] for at in range(0, len(by_length), MICRO_BATCH)]
    encoded = [encode(processor, part) for part in micro]
    tokens = sum(int((labels[:, 1:] != IGNORE).sum()) for _, labels in encoded)
    total = 0.0
    for inputs, labels in encoded:
        keep = labels[:, 1:] != IGNORE
        hidden = model.model(**inputs).last_hidden_state[:, :-1][keep]  # (completion tokens, hidden)
        loss = cross_entropy(model.lm_head(hidden), labels[:, 1:][keep], reduction="sum") / tokens
        loss.backward()
        total += loss.item()
    return total


def encode(
    processor: ImageOnlyProcessor, examples: Sequence[PrimerExample]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Model inputs of a micro-batch (right-padded) and labels that keep only the completions and their end token."""
    prompts = [
        processor.apply_chat_template(cast(Any, example.messages), tokenize=False, add_generation_prompt=True)
        for example in examples
    ]
    texts = [prompt + example.completion + END for prompt, example in zip(prompts, examples, strict=True)]
    images = [image for example in examples for image in example.images]
    batch = processor(text=texts, images=images or None, padding=True, padding_side="right", return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORE)
    completions = processor.tokenizer([example.completion + END for example in examples])["input_ids"]
    for row, completion in zip(labels, completions, strict=True):
        end = int((row != IGNORE).sum())
        row[: end - len(completion)] = IGNORE
    return dict(batch), labels


def _rate(step: int, steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, constant, linear to nothing over the last part."""
    return min((step + 1) / WARM_UP, 1.0, (steps - step) / (DECAY * steps))
