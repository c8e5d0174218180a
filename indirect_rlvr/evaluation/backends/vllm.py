"""Answers from vLLM in this process: the fast sampler where there is a GPU; an extra, imported when it is asked for."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation.backends.answers import Answer, Ask, Limits, seed_of
from indirect_rlvr.evaluation.backends.pictures import chat_messages, shown
from indirect_rlvr.types import Prompt

BAN = -100.0
"""The bias with which a token is never sampled."""


def asker(place: str | Path, limits: Limits, *, dtype: str = "bfloat16", batch: int = 256) -> Ask:
    """Load the model in a folder, a model folder of a run included, or of a hub id into vLLM; `batch` prompts are
    handed over at a time.

    Greedy or sampled; vision placeholders and the other special tokens are never sampled. Images are shown as to the
    backend `transformers`, and so are the greedy answers in float32. `frames` is the size after the processor's own
    resize. Raises RunError where vLLM is not installed or cannot take up the model.
    """
    try:
        import vllm
    except ModuleNotFoundError as error:
        if error.name != "vllm":
            raise
        raise RunError(
            "the backend `vllm` needs vLLM, which is not installed here; on a machine with a GPU: pip install "
            "'indirect-rlvr[vllm]', or take --backend transformers or --backend openai-url"
        ) from error
    from indirect_rlvr.training.base import resolve

    model = str(resolve(Path(place)) if Path(place).is_dir() else place)
    try:
        engine, seen = vllm.LLM(model=model, dtype=dtype), _sizes(model)
    except Exception as error:  # its engine raises anything, also what its own process said last
        raise RunError(
            f"vLLM cannot take up `{model}`: {type(error).__name__}: {str(error)[:1000]}; see that the folder holds a "
            "model and that memory is free, or take --backend transformers"
        ) from error
    choices = {
        "temperature": limits.temperature,
        "repetition_penalty": 1.0,
        "max_tokens": limits.max_new_tokens,
        "logit_bias": dict.fromkeys(_banned(model), BAN),
    }

    def sampling(prompt: Prompt, seed: int) -> Any:
        own = {"seed": seed_of(seed, prompt)} if limits.temperature > 0 else {}
        return vllm.SamplingParams(**choices, **own)

    def ask(
        prompts: Sequence[Prompt], views: Path, skip: Collection[int] = (), seed: int = 0
    ) -> Iterator[tuple[int, Answer]]:
        left = [index for index in range(len(prompts)) if index not in skip]
        for start in range(0, len(left), batch):
            window = left[start : start + batch]
            pictures = [shown(prompts[index], views, limits.max_pixels) for index in window]
            chats = [chat_messages(prompts[index], images) for index, images in zip(window, pictures, strict=True)]
            found = engine.chat(chats, [sampling(prompts[index], seed) for index in window], use_tqdm=False)
            for index, images, output in zip(window, pictures, found, strict=True):
                (first,) = output.outputs
                finished = first.finish_reason == "stop"
                length, asked = len(first.token_ids) - finished, len(output.prompt_token_ids or ())
                yield index, Answer(first.text, length, finished, tuple(map(seen, images)), asked)

    return ask


def _sizes(place: str) -> Callable[[Image.Image], tuple[int, int]]:
    """The (width, height) at which a model sees an image: after the resize of Qwen's processors, else as it is."""
    from transformers import AutoConfig
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    from indirect_rlvr.training.models import VIDEO_PROCESSOR_FAMILIES
    from indirect_rlvr.training.tiny import load_processor

    if AutoConfig.from_pretrained(place, trust_remote_code=False).model_type not in VIDEO_PROCESSOR_FAMILIES:
        return lambda image: image.size
    processor: Any = load_processor(place).image_processor
    factor, bounds = processor.patch_size * processor.merge_size, processor.size

    def seen(image: Image.Image) -> tuple[int, int]:
        most, least = bounds["longest_edge"], bounds["shortest_edge"]
        high, wide = smart_resize(image.height, image.width, factor=factor, min_pixels=least, max_pixels=most)
        return wide, high

    return seen


def _banned(place: str) -> list[int]:
    """Every special token that does not end a completion."""
    from transformers import AutoTokenizer, GenerationConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    declared = GenerationConfig.from_pretrained(place).eos_token_id
    ends = {tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])}
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return sorted((special | set(tokenizer.all_special_ids)) - ends)
