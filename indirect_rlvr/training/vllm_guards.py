"""Stand between TRL and a colocated vLLM engine and mend what would train on the wrong prompts or stale images.

Each guard is a function on plain data; `GuardedEngine` calls them where TRL 1.16 calls its engine (vLLM 0.22 to 0.31).
The train/rollout difference that would show a guard missing is watched in `health`.
"""

import copy
import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.run import keyed_rng

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
"""Models whose processor writes one run of one token for each image, so that it can be taken back."""
BAN = -100.0
"""The lowest bias vLLM adds to a logit."""
Row = dict[str, Any]


def require_installed() -> None:
    """Raise ConfigError where there is no vLLM to sample with."""
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "`grpo.trl.use_vllm` is set and vLLM is not installed; install `indirect-rlvr[vllm]` (it needs a GPU), or "
            "leave it out to sample with transformers"
        )


def require_guarded(options: Mapping[str, Any], family: str, is_vision: bool) -> None:
    """Refuse what these guards do not cover. Raises ConfigError."""
    mode = options.get("vllm_mode", "colocate")
    if mode != "colocate":
        raise ConfigError(f'`grpo.trl.vllm_mode` is "{mode}"; only "colocate" was tested: leave it out')
    if is_vision and family not in FAMILIES:
        raise ConfigError(
            f"image tokens of the family `{family}` cannot be sent to vLLM once (trl #6294); known: "
            f"{', '.join(FAMILIES)}; set grpo.trl.use_vllm = false"
        )
    if "seed" in options.get("generation_kwargs", {}):
        raise ConfigError(
            "`grpo.trl.generation_kwargs.seed` would give all rollouts of a group the same tokens; set `seed` of the "
            "recipe, from which every rollout has its own"
        )


def collapsed(token_ids: Sequence[int], image_token_id: int, images: int) -> list[int]:
    """A prompt with each image's run of tokens as one, which vLLM expands itself (trl #6294, #6401).

    TRL sends the processor's expanded prompt and the images, so that vLLM expands the first token of a run again.
    Raises RunError where the prompt has another number of runs than images.
    """
    kept = [
        token
        for at, token in enumerate(token_ids)
        if token != image_token_id or at == 0 or token_ids[at - 1] != image_token_id
    ]
    runs = kept.count(image_token_id)
    if runs != images:
        raise RunError(
            f"a prompt has {runs} runs of image tokens and {images} images: the chat template must put text or a "
            "marker between images"
        )
    return kept


def request_seed(seed: int, call: int, index: int) -> int:
    """The sampler's seed for one rollout: a function of the run's seed, the generation and the place in it, < 2^31."""
    return keyed_rng(seed, "vllm", call, index).randrange(1 << 31)


def banned(token_ids: Sequence[int]) -> dict[int, float]:
    """vLLM's `logit_bias` against tokens that must not be sampled; TRL bans none there."""
    return dict.fromkeys(token_ids, BAN)


def require_none_of(token_ids: Sequence[int], completions: Sequence[Sequence[int]]) -> None:
    """Raise RunError where a banned token was sampled all the same: it would crash the forward pass that scores it."""
    for index, completion in enumerate(completions):
        found = sorted(set(completion) & set(token_ids))
        if found:
            raise RunError(f"vLLM sampled the banned tokens {found} in rollout {index}; its logit_bias had no effect")


def guard(generation: Any, seed: int, image_token_id: int | None, suppressed: Sequence[int]) -> None:
    """Put the guards between a trainer's `vllm_generation` and its engine, before the first step.

    `image_token_id` is None for a text-only model. Processes that hold parts of one engine draw the same seeds, others
    different ones.
    """
    group = generation.accelerator.process_index // generation.tensor_parallel_size
    generation.llm = GuardedEngine(generation.llm, request_seed(seed, -1, group), image_token_id, suppressed)


class GuardedEngine:
    """What TRL's `VLLMGeneration` calls of its engine, and nothing else, with every guard in place.

    `suppressed` holds the tokens never to be sampled. Raises RunError for an
    engine without prefix caching: each of G requests would compute its prompt again.
    """

    def __init__(self, engine: Any, seed: int, image_token_id: int | None, suppressed: Sequence[int]) -> None:
        if not engine.llm_engine.vllm_config.cache_config.enable_prefix_caching:
            raise RunError("vLLM's prefix caching is off, so that prompts are computed G times; switch it on")
        self._engine, self._seed, self._image, self._suppressed = engine, seed, image_token_id, list(suppressed)
        self._calls = 0

    @property
    def llm_engine(self) -> Any:
        """The inner engine, into which TRL loads weights."""
        return self._engine.llm_engine

    def generate(self, prompts: Sequence[Row], sampling_params: Any, use_tqdm: bool) -> Any:
        """One request for each prompt, each with its own seed, images expanded once."""
        each = []
        for index in range(len(prompts)):
            own = copy.deepcopy(sampling_params)
            own.seed = request_seed(self._seed, self._calls, index)
            own.logit_bias = banned(self._suppressed) | (own.logit_bias or {})
            each.append(own)
        self._calls += 1
        rows = [self._row(prompt) for prompt in prompts]
        outputs = self._engine.generate(rows, sampling_params=each, use_tqdm=use_tqdm)
        require_none_of(self._suppressed, [one.token_ids for output in outputs for one in output.outputs])
        return outputs

    def _row(self, prompt: Row) -> Row:
        if "multi_modal_data" not in prompt or self._image is None:
            return prompt
        shown = prompt["multi_modal_data"]["image"]
        count = len(shown) if isinstance(shown, list) else 1
        return prompt | {"prompt_token_ids": collapsed(prompt["prompt_token_ids"], self._image, count)}

    def reset_prefix_cache(self) -> None:
        """TRL calls this after each weight sync; image embeddings are of the old weights too, and cached by image."""
        self._engine.reset_prefix_cache()
        self._engine.llm_engine.reset_encoder_cache()

    def sleep(self, level: int) -> None:
        """As the engine's."""
        self._engine.sleep(level=level)

    def wake_up(self, tags: list[str]) -> None:
        """As the engine's."""
        self._engine.wake_up(tags=tags)
