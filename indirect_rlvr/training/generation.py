"""Sample the rollouts of a group with their prompt computed once: one prefill, one key-value cache, G answers.

Every answer of a group is a column of the same row: a decoding step gives the model G tokens a prompt, each of which
sees the prompt and its own past. So neither images nor prompt nor their keys and values exist G times. Logits
processors, stopping criteria and positions are those that `generate` of transformers made; only the loop is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, PreTrainedModel, Trainer
from trl.extras.profiling import profiling_context
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import pad

from indirect_rlvr.errors import RunError

VISION_FAMILIES = ("idefics3", "qwen2_5_vl", "qwen3_vl", "smolvlm")
"""Vision models whose shared generation is tested to give the tokens of ordinary generation."""
MASKED_ATTENTION = ("eager", "sdpa")
"""Attention implementations that take a mask of any shape."""
TRL_SIGNATURES = {
    "_tokenize_prompts": ["self", "prompts"],
    "_generate_single_turn": [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
}
"""What `SharedPrefill` overrides, as it stands in TRL 1.16; a test compares."""


def refusal(model: PreTrainedModel) -> str | None:
    """Why a model's groups cannot share a prefill exactly; None where they can."""
    text = model.config.get_text_config()
    kinds = set(DynamicCache(config=text).is_sliding)
    described = text.to_dict()
    if model.config.model_type != text.model_type and model.config.model_type not in VISION_FAMILIES:
        return f"vision models of the family `{model.config.model_type}` were not tested; known: {VISION_FAMILIES}"
    if text._attn_implementation not in MASKED_ATTENTION:
        return f"attention `{text._attn_implementation}` takes no mask of any shape; choose one of {MASKED_ATTENTION}"
    if True in kinds:
        return "its attention slides: columns of other answers would count into the window"
    if not described.get("rope_parameters"):
        return "it does not rotate keys by the positions it is given"
    return None


def sample_groups(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor], copies: Sequence[int], config: GenerationConfig
) -> torch.Tensor:
    """`copies[i]` continuations of each prompt i: prompt and new tokens, (sum of `copies`, P + T), padded on the right.

    `inputs` holds each prompt once, padded on the left, with its images. Greedy, and for groups of one size sampled
    tokens too, are those of `model.generate` on prompts repeated `copies` times, up to rounding: the draws are made in
    the same order from torch's global generator. It stops when every sequence has ended. Raises RunError for a model
    that `refusal` refuses.
    """
    reason = refusal(model)
    if reason is not None:
        raise RunError(f"a {type(model).__name__} cannot share its prefill: {reason}; set grpo.shared_prefix = false")
    generate: Any = model.generate
    found: torch.Tensor = generate(
        **inputs, generation_config=config, custom_generate=_sample, copies=tuple(copies), trust_remote_code=False
    )
    return found


@torch.no_grad()
def _sample(
    model: Any,
    input_ids: torch.Tensor,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    copies: tuple[int, ...],
    **model_kwargs: Any,
) -> torch.Tensor:
    """The loop of transformers' `_sample`, with rows × columns in place of rows; see `sample_groups`."""
    width = max(copies)
    columns = torch.arange(width, device=input_ids.device)
    kept = (columns < torch.tensor(copies, device=input_ids.device)[:, None]).flatten()
    synced = torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1
    logits = model._prefill(input_ids, generation_config, model_kwargs).logits[:, -1].repeat_interleave(width, dim=0)
    answers = _Columns.after(model_kwargs, width)
    sequences = input_ids.repeat_interleave(width, dim=0)
    unfinished, running, tokens = kept.clone(), True, None
    while model._has_unfinished_sequences(not running, synced, device=input_ids.device):
        if tokens is not None:
            logits = answers.step(model, tokens)
        if not running:
            continue  # another process is still sampling and needs this one's forward passes
        scores = logits_processor(sequences, logits.to(dtype=torch.float32, copy=True))
        tokens = torch.where(unfinished, _chosen(scores, generation_config), generation_config._pad_token_tensor)
        sequences = torch.cat([sequences, tokens[:, None]], dim=1)
        unfinished = unfinished & ~stopping_criteria(sequences, None)
        running = bool(unfinished.any())
    return sequences[kept]


def _chosen(scores: torch.Tensor, config: GenerationConfig) -> torch.Tensor:
    if config.do_sample:
        return torch.multinomial(scores.softmax(dim=-1), num_samples=1).squeeze(1)
    return scores.argmax(dim=-1)


@dataclass
class _Columns:
    """The state of B prompts with W answers each after some steps; `step` adds one token to each answer."""

    cache: DynamicCache
    prompt: torch.Tensor  # (B, P), true where a token is no padding
    last: torch.Tensor  # (…, B, 1), the positions of the newest tokens
    width: int
    steps: int = 0

    @classmethod
    def after(cls, model_kwargs: dict[str, Any], width: int) -> "_Columns":
        """The state after the prefill that filled the cache among the arguments of the model."""
        prompt, last = model_kwargs["attention_mask"].bool(), model_kwargs["position_ids"][..., -1:]
        return cls(model_kwargs["past_key_values"], prompt, last, width)

    def step(self, model: Any, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B·W, V) after the tokens (B·W)."""
        self.steps += 1
        self.last = self.last + 1
        output = model(
            input_ids=tokens.view(-1, self.width),
            attention_mask=self._mask(model.dtype),
            position_ids=self.last.expand(*self.last.shape[:-1], self.width),
            past_key_values=self.cache,
            use_cache=True,
            return_dict=True,
        )
        return torch.as_tensor(output.logits).flatten(0, 1)

    def _mask(self, dtype: torch.dtype) -> torch.Tensor:
        """Added to attention scores, (B, 1, W, P + steps·W): an answer sees its prompt and its own column."""
        own = torch.eye(self.width, dtype=torch.bool, device=self.prompt.device).repeat(1, self.steps)
        seen = torch.cat(
            [
                self.prompt[:, None, :].expand(-1, self.width, -1),
                own[None].expand(len(self.prompt), -1, -1),
            ],
            dim=2,
        )
        mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
        return mask.masked_fill(~seen, torch.finfo(dtype).min)[:, None]


def runs(values: Sequence[Any]) -> list[int]:
    """How often each value stands in a row: [a, a, b] gives [2, 1]."""
    lengths: list[int] = []
    for index, value in enumerate(values):
        if index and value == values[index - 1]:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


class SharedPrefill:
    """For a subclass of GRPOTrainer, before it: prompts are tokenized, their images seen and prefilled once a group.

    Without effect where tools or environments make the prompts of a group differ. With vLLM, prompts and images are
    still tokenized once; the engine's prefix cache shares the rest.
    """

    share_prefill = True

    def _tokenize_prompts(self: Any, prompts: list[Any]) -> tuple[list[list[int]], Any, dict[str, Any]]:
        if not self.share_prefill or self.tools or self.environment_factories is not None:
            self._copies = [1] * len(prompts)
            return super()._tokenize_prompts(prompts)  # type: ignore[misc,no-any-return]
        self._copies = runs(prompts)
        starts = [0, *accumulate(self._copies)][:-1]
        ids, images, fields = super()._tokenize_prompts([prompts[start] for start in starts])  # type: ignore[misc]
        ids = _repeated(ids, self._copies)
        return ids, images if images is None else _repeated(images, self._copies), fields

    def _generate_single_turn(
        self: Any,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        num_generations: int,
        has_tool_images: bool = False,
    ) -> tuple[list[list[int]], Any]:
        """As TRL's, on the transformers path: completions up to and with their end token, and no log-probabilities."""
        ours = self.share_prefill and not (self.use_vllm or self.use_transformers_continuous_batching)
        if not ours or self.tools or self.environment_factories is not None:
            return super()._generate_single_turn(  # type: ignore[misc,no-any-return]
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
        starts = [0, *accumulate(self._copies)][:-1]
        multiple = self.pad_to_multiple_of
        inputs = model_inputs(
            [prompt_ids[s] for s in starts], multimodal_fields, self._tokenizer.pad_token_id, multiple
        )
        inputs = Trainer._prepare_inputs(self, inputs)
        with (
            profiling_context(self, "transformers.generate"),
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            self._dist.summon_full_params(self.model_wrapped, recurse=False),
        ):
            found = sample_groups(model, inputs, self._copies, self.generation_config)
        sampled = found[:, inputs["input_ids"].shape[1] :].tolist()
        return [up_to_end(ids, self.eos_token_ids) for ids in sampled], None


def _repeated(values: Sequence[Any], copies: Sequence[int]) -> list[Any]:
    return [value for value, count in zip(values, copies, strict=True) for _ in range(count)]


def model_inputs(
    prompt_ids: Sequence[Sequence[int]], fields: dict[str, Any], pad_token_id: int, multiple: int | None = None
) -> dict[str, torch.Tensor]:
    """Left-padded inputs from token ids and the processor's other outputs: lists of lists are padded along."""

    def padded(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
        tensors = [torch.tensor(row) for row in rows]
        found: torch.Tensor = pad(tensors, padding_value=value, padding_side="left", pad_to_multiple_of=multiple)
        return found

    inputs = {
        "input_ids": padded(prompt_ids, pad_token_id),
        "attention_mask": padded([[1] * len(i) for i in prompt_ids], 0),
    }
    for name, value in fields.items():
        per_token = isinstance(value, list) and value and isinstance(value[0], list)
        inputs[name] = padded(value, 0) if per_token else torch.as_tensor(value)
    return inputs


def up_to_end(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The ids up to and with the first end token; all of them where there is none."""
    stop = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return list(ids[: stop + 1])
