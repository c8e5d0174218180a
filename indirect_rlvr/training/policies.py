"""Turn the model folders of a run into policies the evaluation can ask, loaded only when there is something to ask."""

from pathlib import Path

from indirect_rlvr import processes
from indirect_rlvr.config import Recipe
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends import local
from indirect_rlvr.evaluation.backends.answers import Ask, Limits
from indirect_rlvr.run import digest, file_digest
from indirect_rlvr.training.base import PRIMING

ANSWERING = frozenset((".safetensors", ".json", ".jinja", ".txt", ".model"))
"""Suffixes of a model folder's files that decide what the model answers."""


def policy(model: str, folder: Path, recipe: Recipe) -> Policy:
    """The policy of one row: greedy, its completions cut where training cut them."""
    limits = [recipe.grpo.max_completion_tokens, recipe.evaluation.batch, recipe.model.arithmetic, recipe.threads]

    def load() -> Ask:
        cut = Limits(recipe.grpo.max_completion_tokens)
        return local.asker(folder, cut, dtype=recipe.model.arithmetic, batch=recipe.evaluation.batch)

    weights = processes.by_first(lambda: model_digest(folder))
    return Policy(model, digest([weights, recipe.seed, limits]), load)


def model_digest(folder: Path) -> str:
    """A digest of what decides a model's answers: its weights, configuration, tokenizer and processor, or the reference
    to them; and not of logs, in which the same training leaves other times."""
    return digest([[path.name, file_digest(path)] for path in answering(folder)])


def answering(folder: Path) -> list[Path]:
    """The files of a model folder that decide what the model answers, in order of name."""
    return sorted(path for path in folder.iterdir() if path.suffix in ANSWERING and path.name != PRIMING)
