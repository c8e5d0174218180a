"""What a teacher costs: tokens and money, guessed before, measured after, and a budget that is kept to.

Prices are the recipe's, in whatever currency it means. Where a server does not count tokens they are guessed: four
characters of text, or 28 × 28 pixels of an image, are a token.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from indirect_rlvr.config import Teacher

MILLION = 1_000_000
CHARACTERS = 4
"""Characters of a token, as English text has them with the usual tokenizers."""
PIXELS = 28 * 28
"""Pixels of a token, as in Qwen2-VL and Qwen2.5-VL; other models take more or fewer."""


@dataclass(frozen=True, slots=True)
class Usage:
    """So many `answers`, and their tokens; `guessed` of the answers have tokens that nobody counted."""

    answers: int = 0
    prompt: float = 0
    completion: float = 0
    guessed: int = 0

    def cost(self, teacher: Teacher) -> float:
        """In the currency of the recipe's prices."""
        return (self.prompt * teacher.price_in + self.completion * teacher.price_out) / MILLION

    def says(self, teacher: Teacher) -> str:
        """In words: tokens, how they are known, and what they cost where there are prices."""
        told = f"{self.answers:,} answers, {self.prompt:,.0f} prompt and {self.completion:,.0f} completion tokens"
        told += f" ({self.guessed:,} answers without the server's count are guessed)" if self.guessed else ""
        return told + (f", cost {self.cost(teacher):,.2f}" if teacher.price_in or teacher.price_out else "")


def measured(rows: Iterable[Mapping[str, Any]], prompt_guess: float) -> Usage:
    """What rows of answers took; one without a count took `prompt_guess` tokens and those of its text."""
    answers, prompt, completion, guessed = 0, 0.0, 0.0, 0
    for row in rows:
        if "text" not in row:
            continue
        known = _count(row, "prompt_tokens"), _count(row, "tokens")
        answers += 1
        prompt += known[0] or prompt_guess
        completion += known[1] or len(row["text"]) / CHARACTERS
        guessed += not all(known)
    return Usage(answers, prompt, completion, guessed)


def estimate(so_far: Usage, left: int, prompt_guess: float, max_tokens: int) -> Usage:
    """What `left` more answers would take: the mean of those so far, or, before the first, the guess and as many tokens
    as a completion may have."""
    if not so_far.answers:
        return Usage(left, left * prompt_guess, left * max_tokens)
    share = left / so_far.answers
    return Usage(left, so_far.prompt * share, so_far.completion * share)


def affordable(teacher: Teacher, so_far: Usage, wanted: int, prompt_guess: float) -> int:
    """How many of so many more prompts the budget allows, each at its most: all tokens that a completion may have."""
    if not teacher.budget:
        return wanted
    prompt = max(prompt_guess, so_far.prompt / so_far.answers) if so_far.answers else prompt_guess
    dearest = Usage(1, prompt, teacher.max_tokens).cost(teacher)
    left = teacher.budget - so_far.cost(teacher)
    return wanted if dearest * wanted <= left else max(0, int(left / dearest))


def prompt_tokens(characters: int, pixels: int) -> float:
    """The guess for one prompt."""
    return characters / CHARACTERS + pixels / PIXELS


def _count(row: Mapping[str, Any], name: str) -> int:
    value = row.get(name)
    return value if isinstance(value, int) and value > 0 else 0
