"""Refuse, before a training starts, what cannot end well: another number of processes, weights larger than the GPU."""

from indirect_rlvr import processes
from indirect_rlvr.config import Recipe
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.estimate.cards import Card

TRAININGS = ("sft", "grpo-zero", "grpo")
"""The stages that need every process and the memory of a training."""


def require_fits(recipe: Recipe) -> None:
    """Raises ConfigError where the processes are not those that the recipe was made for, and, beside a GPU, where what
    is kept throughout is more than its memory."""
    require_processes(recipe, processes.count())
    import torch

    if torch.cuda.is_available() and recipe.model.path != "primed":
        from indirect_rlvr.estimate.estimate import here

        card = here()
        assert card is not None  # there is one
        require_memory(recipe, processes.count(), card)


def require_processes(recipe: Recipe, started: int) -> None:
    """Raises ConfigError where `started` processes are not what the recipe was made for."""
    wanted = recipe.parallel.processes
    if wanted not in (0, started):
        raise ConfigError(
            f"the recipe was made for {wanted} processes (`parallel.processes`) and this run has {started}, with which "
            f"its batches and its memory would be others; start it with --nproc {wanted}, or so many over all "
            f"machines, or say with --set "
            f"parallel.processes={started} that this is meant: --dry-run then says what it needs"
        )


def require_memory(recipe: Recipe, count: int, card: Card) -> None:
    """Raises ConfigError where weights, gradients and moments alone are more than the card has."""
    from indirect_rlvr.estimate import memory, parameters
    from indirect_rlvr.estimate.published import configuration
    from indirect_rlvr.progress import size

    held = parameters.count(configuration(recipe.model.path), recipe.model)
    kept = memory.kept(held, memory.spread(recipe, count))
    if sum(kept.values()) > card.memory:
        parts = ", ".join(f"{name} {size(value)}" for name, value in kept.items())
        raise ConfigError(
            f"training `{recipe.model.path}` keeps {size(sum(kept.values()))} on each of {count} GPUs ({parts}), and "
            f"`{card.name}` has {size(card.memory)}; shard it (parallel.strategy = fsdp2 and more processes), train "
            "adapters (model.lora.rank), or take a smaller model; rlvr doctor --recipe looks at the rest"
        )
