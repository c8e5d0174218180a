"""Answers from vLLM in this process: the fast sampler where there is a GPU; an extra, imported when it is asked for."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation.backends.answers import Answer, Ask, Limits, seed_of
from indirect_rlvr.evaluation.backends.pictures import chat_messages, frames, shown
from indirect_rlvr.types import Prompt

BAN = -100.0
"""The bias with which a token is never sampled."""


def asker(place: str | Path, limits: Limits, *, dtype: str = "bfloat16", batch: int = 256, multiple: int = 28) -> Ask:
    """Load the model in a folder or of a hub id into vLLM; `batch` prompts are handed over at a time.

    Greedy or sampled; vision placeholders and the other special tokens are never sampled. Images are shown in sides
    that are multiples of `multiple` pixels (28 for Qwen2-VL and Qwen2.5-VL, 32 for Qwen3-VL), which its processor then
    leaves alone, so that `frames` is what the model saw. Raises RunError where vLLM is not installed.
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
    engine = vllm.LLM(model=str(place), dtype=dtype)
    choices = {
        "temperature": limits.temperature,
        "repetition_penalty": 1.0,
        "max_tokens": limits.max_new_tokens,
        "logit_bias": dict.fromkeys(_banned(str(place)), BAN),
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
            pictures = [shown(prompts[index], views, limits.max_pixels, multiple) for index in window]
            chats = [chat_messages(prompts[index], images) for index, images in zip(window, pictures, strict=True)]
            found = engine.chat(chats, [sampling(prompts[index], seed) for index in window], use_tqdm=False)
            for index, images, output in zip(window, pictures, found, strict=True):
                (first,) = output.outputs
                finished = first.finish_reason == "stop"
                length, asked = len(first.token_ids) - finished, len(output.prompt_token_ids or ())
                yield index, Answer(first.text, length, finished, frames(images), asked)

    return ask


def _banned(place: str) -> list[int]:
    """Every special token that does not end a completion."""
    from transformers import AutoTokenizer, GenerationConfig

    tokenizer: Any = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    declared = GenerationConfig.from_pretrained(place).eos_token_id
    ends = {tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])}
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    return sorted((special | set(tokenizer.all_special_ids)) - ends)
