"""Answers from a checkpoint in this process, with transformers: batched, one model in memory."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr import processes
from indirect_rlvr.evaluation.backends.answers import Answer, Ask, Limits, seed_of
from indirect_rlvr.types import Prompt

WINDOW = 4
"""Batches whose images are decoded together, so that prompts of one length can share a batch."""


def asker(place: str | Path, limits: Limits, *, dtype: str = "float32", batch: int = 16) -> Ask:
    """Load the checkpoint in a folder, a model folder of a run included, or of a hub id.

    `dtype` is "float32" or "bfloat16"; `batch` prompts are generated together. `frames` is the size after the
    processor's own resize. Of several processes each answers every so many batches, the same batches as one process
    would make, so that the answers are the same. Raises RunError as `models.load` does.
    """
    from transformers.utils import logging as transformers_logging

    from indirect_rlvr.evaluation.backends.pictures import shown
    from indirect_rlvr.training import models, rollouts
    from indirect_rlvr.training.base import resolve
    from indirect_rlvr.training.dataset import messages

    transformers_logging.disable_progress_bar()
    policy = models.load(resolve(Path(place)) if Path(place).is_dir() else place, dtype)

    def ask(
        prompts: Sequence[Prompt], views: Path, skip: Collection[int] = (), seed: int = 0
    ) -> Iterator[tuple[int, Answer]]:
        sampling: dict[str, Any] = {"max_new_tokens": limits.max_new_tokens, "temperature": limits.temperature}
        for start in range(0, len(prompts), WINDOW * batch):
            window = prompts[start : start + WINDOW * batch]
            own = seed_of(seed, window[0])
            known = {index - start for index in skip if start <= index < start + len(window)}
            turn = (processes.rank() - start // batch) % processes.count()
            if len(known) == len(window) or turn * batch >= len(window):
                continue
            turns = [(messages(prompt), shown(prompt, views, limits.max_pixels)) for prompt in window]
            share = (turn, processes.count())
            answers = rollouts.stream(policy, turns, **sampling, batch=batch, skip=known, share=share, seed=own)
            for index, found, frames in answers:
                yield start + index, Answer(found.text, len(found.token_ids), found.finished, frames)

    return ask
