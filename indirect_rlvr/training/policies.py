"""Turn the model folders of a run into policies the evaluation can ask, loaded only when there is something to ask."""

from pathlib import Path

from indirect_rlvr.config import Recipe
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends import local
from indirect_rlvr.evaluation.backends.answers import Ask, Limits
from indirect_rlvr.run import digest, file_digest


def policy(model: str, folder: Path, recipe: Recipe) -> Policy:
    """The policy of one row: greedy, its completions cut where training cut them."""
    limits = [recipe.grpo.max_completion_tokens, recipe.evaluation.batch, recipe.model.dtype, recipe.threads]

    def load() -> Ask:
        cut = Limits(recipe.grpo.max_completion_tokens)
        return local.asker(folder, cut, dtype=recipe.model.dtype, batch=recipe.evaluation.batch)

    return Policy(model, digest([file_digest(folder), recipe.seed, limits]), load)
