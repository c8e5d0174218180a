"""All that is estimated of a run: parameters, prompts, memory of a GPU in each training, hours; and the text of it."""

from dataclasses import dataclass

from indirect_rlvr import processes as launched
from indirect_rlvr.config import Recipe
from indirect_rlvr.errors import ConfigError, RlvrError
from indirect_rlvr.estimate import hours, memory, parameters, prompts
from indirect_rlvr.estimate.activations import Pass
from indirect_rlvr.estimate.cards import CARDS, Card, known
from indirect_rlvr.estimate.hours import Band
from indirect_rlvr.estimate.memory import Memory
from indirect_rlvr.estimate.parameters import Parameters
from indirect_rlvr.estimate.prompts import Base, Prompts
from indirect_rlvr.estimate.shape import Shape
from indirect_rlvr.evaluation.controls import CONTROLS
from indirect_rlvr.pipeline import Run, stages
from indirect_rlvr.progress import size
from indirect_rlvr.training import options


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will need on `processes` GPUs of a kind; memory and hours by stage."""

    card: Card
    processes: int
    shape: Shape
    held: Parameters
    prompts: Prompts
    memory: dict[str, Memory]
    hours: dict[str, Band]


def processes_of(recipe: Recipe, started: int) -> int:
    """The processes that a recipe was made for; where it does not say, those to be started or those of this launch."""
    return recipe.parallel.processes or max(started, launched.count())


def has_card(recipe: Recipe) -> bool:
    """Whether there is a GPU here, or one that the recipe was made for."""
    return recipe.parallel.gpu != "any" or here() is not None


def card_of(recipe: Recipe) -> Card:
    """The card that is here, or the one that a recipe was made for; an H100 where neither says."""
    return here() or CARDS.get(recipe.parallel.gpu, CARDS["h100"])


def here() -> Card | None:
    """The smallest card that torch sees; None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    seen = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    least = min(seen, key=lambda card: card.total_memory)
    return known(least.name, float(least.total_memory))


def estimate(run: Run, model: Base, started: int = 1) -> Estimate:
    """What a run of the recipe's processes, else of `started` ones, will need; raises ConfigError for batches that the
    processes cannot share."""
    recipe = run.recipe
    try:
        seen = prompts.measured(run, model)
    except (RlvrError, OSError) as error:  # the data may not be there yet: a dry run says so and goes on
        why = error if isinstance(error, RlvrError) else ConfigError(str(error))
        seen = prompts.assumed(run, model, why)
    count, card = processes_of(recipe, started), card_of(recipe)
    held = parameters.count(model.config, recipe.model)
    setting = hours.Setting(recipe, model.shape, seen, count, card)
    names = [stage.name for stage in stages(recipe)]
    used, took = {}, {}
    if "sft" in names:
        used["sft"] = memory.sft(recipe, model.shape, held, sft_pass(recipe, seen, count), count)
        took["sft"] = hours.sft(setting)
    for name in ("grpo-zero", "grpo"):
        if name in names:
            used[name] = memory.grpo(recipe, model.shape, held, grpo_pass(recipe, seen, count), count, card)
            took[name] = hours.grpo(setting)
    took["evaluate"] = hours.evaluation(setting, completions(run), recipe.evaluation.batch)
    return Estimate(card, count, model.shape, held, seen, used, took)


def completions(run: Run) -> int:
    """Answers to proxy tasks that the evaluation asks for at most."""
    wanted = run.recipe.evaluation
    return len(run.models()) * (wanted.tasks + len(CONTROLS) * wanted.control_tasks)


def sft_pass(recipe: Recipe, seen: Prompts, count: int) -> Pass:
    """The largest micro-batch of SFT."""
    rows = options.micro_batches("sft", recipe.sft.trl, recipe.sft.batch, count)["per_device_train_batch_size"]
    return Pass(rows, seen.most_tokens, rows, hours.trace_tokens(recipe), seen.most_patches, shared=False)


def grpo_pass(recipe: Recipe, seen: Prompts, count: int) -> Pass:
    """The largest micro-batch of GRPO, all of whose completions reach their limit."""
    settings = recipe.grpo
    rows = options.rollout_batches(settings, count)["per_device_train_batch_size"]
    groups = max(1, rows // settings.group_size)
    tokens, patches = seen.most_tokens, seen.most_patches
    return Pass(groups, tokens, rows, settings.max_completion_tokens, patches, settings.shared_prefix)


def told(run: Run, started: int = 1) -> list[str]:
    """The estimate of a run as text, or why there is none; `started` and what is raised are those of `estimate`."""
    try:
        model = prompts.base(run)
    except ConfigError as error:  # the run may still fetch it
        return [f"none: {error}"]
    return lines(estimate(run, model, started), run.recipe)


def lines(found: Estimate, recipe: Recipe) -> list[str]:
    """The estimate as text."""
    held, seen, card = found.held, found.prompts, found.card
    model = f"{held.total:,} parameters (vision {held.vision:,}, language {held.language:,}, embeddings "
    model += f"{held.embeddings:,}, head {held.head:,})" if held.head else f"{held.embeddings:,})"
    trained = f"{held.trained:,} trained" + (" (adapters)" if held.adapters else "")
    text = [
        f"model: {recipe.model.path}, {model}; {trained}",
        f"prompts: {seen.tokens:,.0f} tokens on average, {seen.most_tokens:,} at most, {seen.images} images with "
        f"{seen.patches:,.0f} patches ({seen.basis})",
        *([f"  {seen.missing}"] if seen.missing else []),
        f"memory of each of {found.processes} x {card.name} ({size(card.memory)}), {recipe.parallel.strategy}"
        + (":" if has_card(recipe) else "; none is here, and of a processor nothing is estimated:"),
    ]
    for name, used in found.memory.items():
        text += [f"  {line}" for line in memory_lines(name, used, card)]
    text.append(
        f"time on {found.processes} x {card.name} (what arithmetic and memory traffic take at the share of the card's "
        "peak that is usual; data, scaffolds, loading and saving left out):"
    )
    text += [f"  {name}: {_time(band)}" for name, band in found.hours.items()]
    low, high = (sum(ends) for ends in zip(*found.hours.values(), strict=True))
    spent = f", or {low * found.processes:,.0f} to {high * found.processes:,.0f} GPU hours"
    return [*text, f"  together: {_time((low, high))}{spent if high * found.processes >= 1 else ''}"]


def memory_lines(name: str, used: Memory, card: Card) -> list[str]:
    """One training: its parts, and its peak against the card."""
    groups = [("kept", used.kept), ("updating", used.update), ("sampling", used.sample)]
    parts = [f"{name}, {label}: {_parts(held)}" for label, held in groups if held]
    low, high = used.band
    return [*parts, f"{name}, peak: {size(used.peak)} ({size(low)} to {size(high)}): {verdict(used, card)}"]


def verdict(used: Memory, card: Card) -> str:
    """Whether a training fits on the card."""
    low, high = used.band
    if high <= card.memory:
        return "fits"
    if low <= card.memory:
        return "may not fit; `rlvr doctor --recipe` says what to try"
    return "does NOT fit"


def _parts(parts: dict[str, float]) -> str:
    return ", ".join(f"{name} {size(count)}" for name, count in parts.items() if count)


def _time(band: Band) -> str:
    """A band of hours in words, to two digits, for example "47 min to 4.2 h"."""
    if band[1] < 1 / 60:
        return "less than a minute"
    return " to ".join(_two_digits(60 * value, "min") if value < 1 else _two_digits(value, "h") for value in band)


def _two_digits(value: float, unit: str) -> str:
    return f"{value:.2g} {unit}" if value < 99.5 else f"{value:,.0f} {unit}"
