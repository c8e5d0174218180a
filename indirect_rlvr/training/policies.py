"""Turn the model folders of a run into policies the evaluation can ask, loaded only when there is something to ask."""

from collections.abc import Callable
from pathlib import Path

from indirect_rlvr.config import Recipe
from indirect_rlvr.evaluation.benchmark import Policy
from indirect_rlvr.run import digest, file_digest
from indirect_rlvr.training.base import PRIMING, resolve
from indirect_rlvr.types import Completion, Prompt

ANSWERING = frozenset((".safetensors", ".json", ".jinja", ".txt", ".model"))
"""Suffixes of a model folder's files that decide what the model answers."""


def policy(model: str, folder: Path, views: Path, recipe: Recipe) -> Policy:
    """The policy of one row: greedy, its completions cut where training cut them.

    `views` is the folder that image views are relative to.
    """
    limits = [recipe.grpo.max_completion_tokens, recipe.evaluation.batch, recipe.model.dtype, recipe.threads]
    fingerprint = digest([model_digest(folder), file_digest(views / "records.jsonl"), recipe.seed, limits])

    def load() -> Callable[[list[Prompt]], list[Completion]]:
        from indirect_rlvr.training import models, rollouts
        from indirect_rlvr.training.dataset import images, messages

        loaded = models.load(resolve(folder), recipe.model.dtype)

        def generate(prompts: list[Prompt]) -> list[Completion]:
            shown = [(messages(prompt), images(prompt, views)) for prompt in prompts]
            return rollouts.generate(
                loaded,
                shown,
                max_new_tokens=recipe.grpo.max_completion_tokens,
                batch=recipe.evaluation.batch,
                label=f"ask {model}",
            )

        return generate

    return Policy(model, fingerprint, load)


def model_digest(folder: Path) -> str:
    """A digest of what decides a model's answers: its weights, configuration, tokenizer and processor, or the reference
    to them; and not of logs, in which the same training leaves other times."""
    files = sorted(path for path in folder.iterdir() if path.suffix in ANSWERING and path.name != PRIMING)
    return digest([[path.name, file_digest(path)] for path in files])
