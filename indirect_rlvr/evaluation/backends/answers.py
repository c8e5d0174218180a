"""What every backend is: a function from prompts to answers that come one by one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.types import Prompt

Frames = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote to one prompt.

    `tokens` is its length, 0 where a server does not say; `finished` is False where the token limit cut it. `frames` is
    the (width, height) in pixels at which the model saw each image, in order, for `Response.frames`.
    """

    text: str
    tokens: int
    finished: bool
    frames: Frames = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tokens a model may write, and how many pixels of an image it sees: a larger one is made smaller."""

    max_new_tokens: int
    max_pixels: int | None = None


Ask = Callable[[Sequence[Prompt], Path], Iterator[tuple[int, Answer]]]
"""(prompts, the folder their image views are relative to) to (index of the prompt, answer), each index once, as they
come. Images are opened when their prompt's turn comes. A RunError or DataError comes after every answer that was
already given has been yielded, so that whoever writes each answer at once loses none."""
