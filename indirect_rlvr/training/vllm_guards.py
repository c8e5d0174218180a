"""Stand between TRL and vLLM and mend what would train on wrong prompts, stale images or equal rollouts.

A guard is called where TRL 1.16 calls its colocated engine or its server (vLLM 0.22 to 0.31). The difference between
trainer and sampler that would show one missing is watched in `health`.
"""

import copy
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from indirect_rlvr.errors import RunError
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.training.vllm_requests import Seeds, banned, collapsed, require_none_of, require_seen

CONCURRENCY = 64
"""Requests to a server at once, as many as TRL makes."""
Row = dict[str, Any]


def guard(trainer: Any, seed: int, image_token_id: int | None, suppressed: Sequence[int]) -> None:
    """Put the guards between a trainer's `vllm_generation` and its engine or server, before the first step.

    `image_token_id` is None for a text-only model. Processes that hold parts of one engine draw the same seeds, others
    different ones.
    """
    held = trainer.vllm_generation
    if held.mode == "server":
        if held.accelerator.is_main_process:
            held.vllm_client = GuardedServer(held.vllm_client, Seeds(seed, trainer), suppressed)
        return
    group = held.accelerator.process_index // held.tensor_parallel_size
    own = keyed_rng(seed, "vllm", "process", group).randrange(1 << 31)
    held.llm = GuardedEngine(held.llm, Seeds(own, trainer), image_token_id, suppressed)


class GuardedEngine:
    """What TRL's `VLLMGeneration` calls of its engine, and nothing else, with every guard in place.

    `suppressed` holds the tokens never to be sampled. Raises RunError for an
    engine without prefix caching: each of G requests would compute its prompt again.
    """

    def __init__(self, engine: Any, seeds: Seeds, image_token_id: int | None, suppressed: Sequence[int]) -> None:
        if not engine.llm_engine.vllm_config.cache_config.enable_prefix_caching:
            raise RunError("vLLM's prefix caching is off, so that prompts are computed G times; switch it on")
        self._engine, self._seeds, self._image, self._suppressed = engine, seeds, image_token_id, list(suppressed)

    @property
    def llm_engine(self) -> Any:
        """The inner engine, into which TRL loads weights."""
        return self._engine.llm_engine

    def generate(self, prompts: Sequence[Row], sampling_params: Any, use_tqdm: bool) -> Any:
        """One request for each prompt, each with its own seed, images expanded once."""
        each = []
        for seed in self._seeds.next(len(prompts)):
            own = copy.deepcopy(sampling_params)
            own.seed, own.logit_bias = seed, banned(self._suppressed) | (own.logit_bias or {})
            each.append(own)
        rows = [self._row(prompt) for prompt in prompts]
        outputs = self._engine.generate(rows, sampling_params=each, use_tqdm=use_tqdm)
        for index, (prompt, output) in enumerate(zip(prompts, outputs, strict=True)):
            require_seen(prompt["prompt_token_ids"], output.prompt_token_ids, index)
        require_none_of(self._suppressed, [one.token_ids for output in outputs for one in output.outputs])
        return outputs

    def _row(self, prompt: Row) -> Row:
        if "multi_modal_data" not in prompt or self._image is None:
            return prompt
        shown = prompt["multi_modal_data"]["image"]
        count = len(shown) if isinstance(shown, list) else 1
        return prompt | {"prompt_token_ids": collapsed(prompt["prompt_token_ids"], self._image, count)}

    def reset_prefix_cache(self) -> None:
        """TRL calls this after each weight sync; image embeddings are of the old weights too, and cached by image.

        Raises RunError where the engine still holds what the old weights computed, which TRL does not look at.
        """
        if not self._engine.reset_prefix_cache():
            raise RunError("vLLM did not empty its prefix cache after a weight sync: a request still holds part of it")
        self._engine.llm_engine.reset_encoder_cache()

    def sleep(self, level: int) -> None:
        """As the engine's."""
        self._engine.sleep(level=level)

    def wake_up(self, tags: list[str]) -> None:
        """As the engine's."""
        self._engine.wake_up(tags=tags)


class GuardedServer:
    """What TRL's `VLLMGeneration` calls of its client, and nothing else, with every guard that a server needs.

    TRL sends all prompts of a generation with the same parameters; here each has a request and a seed of its own, from
    which vLLM gives every one of its rollouts another. Raises RunError for a server without prefix caching, and for one
    whose log-probabilities are of another distribution than it samples from.
    """

    def __init__(self, client: Any, seeds: Seeds, suppressed: Sequence[int]) -> None:
        told = client.get_server_info()
        if not told["cache_config"]["enable_prefix_caching"]:
            raise RunError("the vLLM server's prefix caching is off; start it with --enable-prefix-caching")
        mode = told["model_config"]["logprobs_mode"]
        if mode != "processed_logprobs":
            raise RunError(
                f"the vLLM server gives {mode}, not those it samples from; start it with "
                "--logprobs-mode processed_logprobs"
            )
        self._client, self._seeds, self._suppressed = client, seeds, list(suppressed)
        self._lengths: list[list[int]] = []

    def image_features(self, images: Sequence[Any]) -> list[Any]:
        """As the client's; remembers how many tokens the server gives each image."""
        found: list[Any] = self._client.image_features(images)
        self._lengths = [_lengths(features) for features in found]
        return found

    def generate(
        self, prompts: Sequence[Any], features: Sequence[Any] | None, generation_kwargs: Row, **sampling: Any
    ) -> Row:
        """As the client's, a request for each prompt."""
        for index, shown in enumerate(features or []):
            if _lengths(shown) != self._lengths[index]:
                raise RunError(
                    f"the vLLM server gives the images of prompt {index} {self._lengths[index]} tokens and the trainer "
                    f"{_lengths(shown)}: serve the model folder that is trained, or mend its processor's settings"
                )
        bias = banned(self._suppressed) | (generation_kwargs.get("logit_bias") or {})
        seeds = self._seeds.next(len(prompts))

        def ask(index: int) -> Row:
            own = generation_kwargs | {"seed": seeds[index], "logit_bias": bias}
            shown = None if features is None else [features[index]]
            found: Row = self._client.generate(
                prompts=[prompts[index]], features=shown, generation_kwargs=own, **sampling
            )
            return found

        with ThreadPoolExecutor(min(CONCURRENCY, len(prompts))) as pool:
            answers = list(pool.map(ask, range(len(prompts))))
        for index, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            require_seen(prompt, answer["prompt_ids"][0], index)
        together = {name: [one for answer in answers for one in answer[name]] for name in answers[0]}
        require_none_of(self._suppressed, together["completion_ids"])
        return together

    def update_named_params(self, metadata: Sequence[Any], params: Iterable[Any]) -> None:
        """As the client's."""
        self._client.update_named_params(metadata, params)

    def reset_prefix_cache(self) -> None:
        """TRL calls this after each weight sync; image embeddings are of the old weights too, and cached by image."""
        for cache in ("prefix", "encoder"):
            answer = self._client.session.post(f"{self._client.base_url}/reset_{cache}_cache")
            if answer.status_code != 200 or (answer.content and answer.json().get("success") is False):
                raise RunError(
                    f"the vLLM server did not empty its {cache} cache after a weight sync ({answer.status_code}: "
                    f"{answer.text:.200}); start it with VLLM_SERVER_DEV_MODE=1, and let nobody else ask it"
                )


def _lengths(features: Any) -> list[int]:
    """Tokens of each image of a prompt; none for one without images."""
    return [place["length"] for place in features["mm_placeholders"]["image"]] if features else []
