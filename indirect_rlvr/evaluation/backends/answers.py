"""What every backend is: a function from prompts to answers that come one by one."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Prompt

Frames = tuple[tuple[int, int], ...]
LARGEST_SIDE = 2**31 - 1
"""Pixels that a side of a frame has at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote to one prompt.

    `tokens` is its length and `prompt_tokens` that of the prompt, each 0 where nobody says; `finished` is False where
    the token limit cut it. `frames` is the (width, height) in pixels at which the model saw each image, in order, for
    `Response.frames`.
    """

    text: str
    tokens: int
    finished: bool
    frames: Frames = ()
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tokens a model may write, how many pixels of an image it sees (a larger one is made smaller), and the
    temperature it is sampled at; 0 is greedy."""

    max_new_tokens: int
    max_pixels: int | None = None
    temperature: float = 0.0


class Ask(Protocol):
    """What answers prompts."""

    def __call__(
        self, prompts: Sequence[Prompt], views: Path, skip: Collection[int] = (), seed: int = 0
    ) -> Iterator[tuple[int, Answer]]:
        """(index of the prompt, answer), each index once, as they come; `views` is the folder of the image views.

        Prompts of `skip` are known already and get no answer. They are there for a backend whose answers depend on
        which prompts share a batch: asked for the rest, it gives what it would have given for all. `seed` is where
        sampling starts, if the limits have a temperature. Of several processes each may answer a part; together they
        answer all. Images are opened when their prompt's turn comes. A RunError
        or DataError comes after every answer that was already given has been yielded, so that whoever writes each
        answer at once loses none.
        """


def frames_of(given: object) -> Frames | None:
    """The frames in a row of answers: () where none are given, None for what is no list of [width, height]."""
    if given is None:
        return ()
    found = []
    for pair in given if isinstance(given, list) else [given]:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_side, pair))):
            return None
        found.append((pair[0], pair[1]))
    return tuple(found)


def _is_side(given: object) -> bool:
    return type(given) is int and 0 < given <= LARGEST_SIDE


def seed_of(seed: int, prompt: Prompt) -> int:
    """A prompt's own seed of 31 bits, for engines that take one with each request: it depends on `seed` and on what the
    prompt says, so that no two prompts share their noise and the order of asking changes nothing."""
    return keyed_rng(seed, "sampling", *prompt.parts).getrandbits(31)
