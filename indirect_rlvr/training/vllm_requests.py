"""What is asked of vLLM and what comes back, mended and checked: functions on plain data, called by `vllm_guards`."""

from collections.abc import Sequence
from typing import Any

from indirect_rlvr.errors import RunError
from indirect_rlvr.run import keyed_rng

BAN = -100.0
"""The lowest bias vLLM adds to a logit."""


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


def request_seed(seed: int, step: int, call: int, index: int) -> int:
    """The sampler's seed for one rollout, < 2^31: a function of the run's seed, the optimizer steps made, which
    generation it is after them, and the place in it. So a run that goes on samples what it would have sampled."""
    return keyed_rng(seed, "vllm", step, call, index).randrange(1 << 31)


def banned(token_ids: Sequence[int]) -> dict[int, float]:
    """vLLM's `logit_bias` against tokens that must not be sampled; TRL bans none there."""
    return dict.fromkeys(token_ids, BAN)


def require_none_of(token_ids: Sequence[int], completions: Sequence[Sequence[int]]) -> None:
    """Raise RunError where a banned token was sampled all the same: it would crash the forward pass that scores it."""
    for index, completion in enumerate(completions):
        found = sorted(set(completion) & set(token_ids))
        if found:
            raise RunError(f"vLLM sampled the banned tokens {found} in rollout {index}; its logit_bias had no effect")


def require_seen(prompt: Sequence[int], seen: Sequence[int], index: int) -> None:
    """Raise RunError where the engine did not read the prompt as the trainer will, image by image."""
    if list(prompt) != list(seen):
        raise RunError(
            f"vLLM read prompt {index} as {len(seen)} tokens and the trainer reads {len(prompt)}: their processors "
            "resize images differently. Compare the model folder's processor settings, or set grpo.trl.use_vllm = false"
        )


class Seeds:
    """Gives each request of each generation its own seed, by the optimizer steps its trainer has made."""

    def __init__(self, seed: int, trainer: Any) -> None:
        self._seed, self._trainer = seed, trainer
        self._step, self._calls = -1, 0

    def next(self, count: int) -> list[int]:
        """Those of the next generation."""
        step = int(self._trainer.state.global_step)
        self._calls = self._calls + 1 if step == self._step else 0
        self._step = step
        return [request_seed(self._seed, step, self._calls, index) for index in range(count)]
