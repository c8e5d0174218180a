"""Sample completions from a policy: batched `generate` of transformers, greedy unless a temperature is given."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from PIL import Image
from transformers import GenerationConfig

from indirect_rlvr.progress import Progress
from indirect_rlvr.training.dataset import Messages, as_text
from indirect_rlvr.training.models import Policy, end_token_ids, suppressed_token_ids
from indirect_rlvr.types import Completion

Frames = tuple[tuple[int, int], ...]


def generate(
    policy: Policy,
    prompts: Sequence[tuple[Messages, Sequence[Image.Image]]],
    *,
    max_new_tokens: int,
    batch: int,
    temperature: float = 0.0,
    seed: int = 0,
    label: str = "generate",
) -> list[Completion]:
    """One completion for each prompt, in order; special tokens other than the end are never sampled.

    As `stream`, with a progress bar under `label`.
    """
    completions: dict[int, Completion] = {}
    limits: dict[str, Any] = {"max_new_tokens": max_new_tokens, "batch": batch}
    with Progress(label, "prompt", len(prompts)) as progress:
        for index, completion, _ in stream(policy, prompts, **limits, temperature=temperature, seed=seed):
            completions[index] = completion
            progress.advance()
    return [completions[index] for index in range(len(prompts))]


def stream(
    policy: Policy,
    prompts: Sequence[tuple[Messages, Sequence[Image.Image]]],
    *,
    max_new_tokens: int,
    batch: int,
    temperature: float = 0.0,
    seed: int = 0,
    skip: Collection[int] = (),
    share: tuple[int, int] = (0, 1),
) -> Iterator[tuple[int, Completion, Frames]]:
    """(index of the prompt, completion, (width, height) at which the model saw each image), a batch at a time.

    Prompts are batched by length, so results can differ in the last bits from those of another batch size. Temperature
    0 is greedy; else the same (seed, prompts, batch) gives the same samples. Prompts of `skip` fill their batch as ever
    and are not given, so that the others get the same answers as without it; of `share` (n, m) every m-th batch is
    answered, from number n on. 128 or 256 a batch is best for a tiny model on a CPU; 32 costs a quarter more.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model: Any = policy.model.to(device)  # type: ignore[arg-type]
    model.eval()
    forked = [device] if device.type == "cuda" else []  # by default torch would take memory of every card there is
    config = _generation_config(policy, max_new_tokens, temperature)
    texts = [_prompt_text(policy, conversation) for conversation, _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (_pixels(prompts[i][1]), len(texts[i]), i))
    first, every = share
    for start in range(first * batch, len(order), every * batch):
        chosen = order[start : start + batch]
        if all(index in skip for index in chosen):
            continue
        images = [list(prompts[i][1]) for i in chosen]
        inputs = _inputs(policy, [texts[i] for i in chosen], images)
        with torch.random.fork_rng(forked, enabled=temperature > 0), torch.inference_mode():
            if temperature > 0:
                torch.manual_seed(seed * 1_000_003 + start)
            output = model.generate(**inputs.to(device), generation_config=config)
        sampled = output[:, inputs["input_ids"].shape[1] :].tolist()
        for index, ids, seen in zip(chosen, sampled, _frames(policy, inputs, images), strict=True):
            if index not in skip:
                yield index, _completion(policy, ids), seen


def _frames(policy: Policy, inputs: Any, images: list[list[Image.Image]]) -> list[Frames]:
    """The size of each image of each prompt after the processor: from its grid of patches (Qwen-VL families), else the
    size at which it was given."""
    if "image_grid_thw" not in inputs:
        return [tuple(image.size for image in shown) for shown in images]
    processor: Any = policy.processor
    patch = processor.image_processor.patch_size
    sizes = iter([(wide * patch, high * patch) for _, high, wide in inputs["image_grid_thw"].tolist()])
    return [tuple(next(sizes) for _ in shown) for shown in images]


def _generation_config(policy: Policy, max_new_tokens: int, temperature: float) -> GenerationConfig:
    """Every choice stated, because what is left out is filled in from the checkpoint's own generation config."""
    sampling: dict[str, Any] = {"do_sample": False}
    if temperature > 0:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    return GenerationConfig(
        max_new_tokens=max_new_tokens,
        repetition_penalty=1.0,
        suppress_tokens=suppressed_token_ids(policy),
        eos_token_id=end_token_ids(policy),
        pad_token_id=policy.tokenizer.pad_token_id,
        disable_compile=True,
        **sampling,
    )


def _pixels(images: Sequence[Image.Image]) -> int:
    return sum(image.width * image.height for image in images)


def _prompt_text(policy: Policy, conversation: Messages) -> str:
    turns = conversation if policy.is_vision else as_text(conversation)
    return str(policy.processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))


def _inputs(policy: Policy, texts: list[str], images: list[list[Image.Image]]) -> Any:
    """Left-padded model inputs; every image is preprocessed once."""
    if policy.is_vision:
        processor: Any = policy.processor
        shown = images if any(images) else None
        return processor(text=texts, images=shown, padding=True, padding_side="left", return_tensors="pt")
    return policy.tokenizer(texts, padding=True, padding_side="left", add_special_tokens=False, return_tensors="pt")


def _completion(policy: Policy, ids: list[int]) -> Completion:
    """Cut at the first end token; without one the limit cut it."""
    ends = set(end_token_ids(policy))
    length = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    text = policy.tokenizer.decode(ids[:length], skip_special_tokens=True)
    return Completion(text=str(text), token_ids=tuple(ids[:length]), finished=length < len(ids))
