"""What a recipe needs and this machine lacks, for `rlvr doctor --recipe`: packages, GPUs, memory, data, disk."""

import importlib.util
from shutil import disk_usage
from typing import Literal

import psutil

from indirect_rlvr.config import Recipe
from indirect_rlvr.doctor import OURS, Finding, existing
from indirect_rlvr.errors import RlvrError
from indirect_rlvr.estimate import memory, prompts
from indirect_rlvr.estimate.estimate import Estimate, estimate, has_card, here, verdict
from indirect_rlvr.estimate.memory import Memory
from indirect_rlvr.pipeline import Run
from indirect_rlvr.progress import size
from indirect_rlvr.scaffolds.askers import lacks_key

REMEDIES = (
    "in this order: gradient_checkpointing, a smaller per_device_train_batch_size, vllm_enable_sleep_mode with a "
    "smaller vllm_gpu_memory_utilization, parallel.strategy = fsdp2 over more GPUs, model.lora.rank, parallel.offload"
)


def needs(run: Run) -> list[Finding]:
    """All findings about one run, in the order in which they would stop it."""
    recipe = run.recipe
    found = [*packages(recipe), *gpus(recipe)]
    try:
        model = prompts.base(run)
    except RlvrError as error:
        return [*found, Finding("estimate", "note", f"none: {error}")]
    try:
        told = estimate(run, model)
    except RlvrError as error:
        return [*found, Finding("recipe's batches", "stops", str(error), "mend the recipe")]
    found += [*teacher(recipe), data(told), *precision(recipe, told)]
    found += fitting(recipe, told) if has_card(recipe) else []
    return [*found, *host(recipe, told), disk(run, told)]


def packages(recipe: Recipe) -> list[Finding]:
    """Packages of extras that this recipe, and not every one, needs."""
    asked = {
        ("vllm", "vllm"): bool(recipe.grpo.trl.get("use_vllm")) or recipe.scaffold.writer == "vllm",
        ("peft", "lora"): recipe.model.lora.rank > 0,
        ("deepspeed", "deepspeed"): recipe.parallel.strategy == "zero3",
    }
    found = []
    for (package, extra), wanted in asked.items():
        if not wanted:
            continue
        there = importlib.util.find_spec(package) is not None
        detail = "installed, and the recipe needs it" if there else "not installed, and the recipe needs it"
        remedy = "" if there else f"pip install '{OURS}[{extra}]'"
        found.append(Finding(f"recipe's {package}", "well" if there else "stops", detail, remedy))
    return found


def gpus(recipe: Recipe) -> list[Finding]:
    """Whether there are as many GPUs as the recipe was made for; one without a kind of GPU also runs without."""
    import torch

    wanted, there = recipe.parallel.processes or 1, torch.cuda.device_count()
    made_for = f"made for {wanted} x {recipe.parallel.gpu.upper() if recipe.parallel.gpu != 'any' else 'GPU'}"
    if there >= wanted:
        return [Finding("recipe's GPUs", "well", f"{made_for}, {there} here")]
    needed = recipe.parallel.gpu != "any" or bool(recipe.grpo.trl.get("use_vllm"))
    if not needed:
        return [Finding("recipe's GPUs", "note", f"{made_for}, {there} here", "it also runs without, on the processor")]
    remedy = "run it where there is one" if wanted == 1 else f"run it where {wanted} are, be it on several machines"
    remedy += " (docs/distributed.md)"
    if wanted > 1:
        fewer = f"--set parallel.processes={max(1, there)}"
        remedy += f", or take a recipe for fewer; {fewer} says that another number is meant"
    return [Finding("recipe's GPUs", "stops", f"{made_for}, {there} here", remedy)]


def teacher(recipe: Recipe) -> list[Finding]:
    """Who has to be up for the stage `scaffold`; nothing is asked here, and nothing said where the rules write."""
    asked = recipe.scaffold
    if not asked.count or asked.writer == "rules":
        return []
    where = f" at `{asked.teacher.url}`" if asked.writer == "openai-url" else ""
    detail = f"the stage scaffold asks `{asked.teacher.model}`{where} ({asked.writer}), which was not tried"
    remedy = (
        lacks_key(asked) or "have it ready for --until scaffold, or --set scaffold.writer=rules (docs/scaffolds.md)"
    )
    return [Finding("recipe's teacher", "note", detail, remedy)]


def data(told: Estimate) -> Finding:
    """Whether prompts could be made of the recipe's data."""
    if told.prompts.missing:
        return Finding("recipe's data", "stops", told.prompts.missing, "then look again")
    return Finding("recipe's data", "well", f"{told.prompts.tokens:,.0f} tokens a prompt, from {told.prompts.basis}")


def precision(recipe: Recipe, told: Estimate) -> list[Finding]:
    """Whether steps of the usual size change weights at all; nothing where they do."""
    how = memory.spread(recipe, told.processes)
    if recipe.model.dtype != "bfloat16" or how.strategy != "ddp" or told.held.adapters:
        return []
    detail = "whole weights trained in bfloat16 alone: steps of 1e-6 are rounded away (docs/estimates.md)"
    return [Finding("recipe's precision", "note", detail, "--set model.dtype=mixed, or shard it with fsdp2 or zero3")]


def fitting(recipe: Recipe, told: Estimate) -> list[Finding]:
    """The estimated peak of each training against the card; vLLM's share against its weights and one prompt."""
    found = [_fits(name, used, told) for name, used in told.memory.items()]
    if recipe.grpo.trl.get("use_vllm"):
        room = memory.vllm_room(recipe, told.shape, told.held, told.card)
        longest = told.prompts.most_tokens + recipe.grpo.max_completion_tokens
        well = room >= longest
        detail = f"vLLM's share holds the weights and {max(0, room):,.0f} tokens; one rollout has up to {longest:,}"
        remedy = "" if well else "raise grpo.trl.vllm_gpu_memory_utilization, or vllm_tensor_parallel_size"
        found.append(Finding("recipe's sampler", "well" if well else "stops", detail, remedy))
        length = recipe.grpo.trl.get("vllm_max_model_length")
        if length and length < longest:
            detail = f"grpo.trl.vllm_max_model_length is {length:,}; a prompt and its completion have up to {longest:,}"
            found.append(Finding("recipe's context", "stops", detail, f"set it to {longest:,} or more"))
    return found


def _fits(name: str, used: Memory, told: Estimate) -> Finding:
    low, high = used.band
    at = f"{told.processes} x {told.card.name}" + ("" if here() else ", which is not here")
    detail = f"{size(used.peak)} ({size(low)} to {size(high)}) of {size(told.card.memory)} on {at}: "
    said = verdict(used, told.card)
    if said == "fits":
        return Finding(f"memory of {name}", "well", detail + said)
    state: Literal["note", "stops"] = "stops" if low > told.card.memory else "note"
    return Finding(f"memory of {name}", state, detail + said.partition(";")[0], REMEDIES)


def host(recipe: Recipe, told: Estimate) -> list[Finding]:
    """The host's memory while all processes load the model."""
    needed, there = memory.host(recipe, told.held, told.processes), float(psutil.virtual_memory().total)
    who = "a process loads" if told.processes == 1 else f"{told.processes} processes load"
    detail = f"{size(needed)} while {who} the model, {size(there)} here"
    if needed < there:
        return [Finding("recipe's host memory", "well", detail)]
    return [Finding("recipe's host memory", "note", detail, "several machines share it; else fewer processes")]


def disk(run: Run, told: Estimate) -> Finding:
    """Room for the checkpoints that are kept at a time, the models of all stages and the records' images."""
    recipe, one = run.recipe, memory.checkpoint(run.recipe, told.held, told.processes)
    keep = max(recipe.sft.keep_checkpoints, recipe.grpo.keep_checkpoints) + 1  # the next is written before one goes
    models = len(told.memory) * memory.saved(recipe, told.held, told.processes)
    needed, place = keep * one + models, existing(run.folder)
    free = disk_usage(place).free
    detail = f"{size(needed)} for {keep} checkpoints of {size(one)} and {len(told.memory)} models, {size(free)} free"
    if needed < free:
        return Finding("recipe's disk", "well", detail)
    return Finding(
        "recipe's disk", "stops", f"{detail} at `{place}`", "free space, choose --out, or keep_checkpoints=1"
    )
