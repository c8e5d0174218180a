"""Runs the stages of `pipeline.py`: skips what is finished, says what changed, marks what ends well."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import tomli_w

from indirect_rlvr import common, lock, processes
from indirect_rlvr import manifest as manifests
from indirect_rlvr.changes import OUT_OF_DATE, key, parts, reason, require_accepted
from indirect_rlvr.config import Recipe, load_recipe
from indirect_rlvr.domain import load_domain, recipe_path
from indirect_rlvr.errors import ConfigError, RlvrError, RunError
from indirect_rlvr.estimate.fits import TRAININGS, require_fits, require_processes
from indirect_rlvr.evaluation.controls import CONTROLS
from indirect_rlvr.pipeline import Run, Stage, stages
from indirect_rlvr.redaction import redacted
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.run import MANIFEST, disk_errors, plain, settle, sweep, write_text
from indirect_rlvr.stopping import deferred, terminable
from indirect_rlvr.types import Counts


def prepare(
    domain: str,
    recipe: str,
    overrides: list[str],
    out: Path,
    *,
    allow_leaks: bool = False,
    accept_changes: bool = False,
) -> tuple[Run, str]:
    """Resolve a recipe and load its domain; returns the run, nothing written yet, and the recipe's name.

    Raises ConfigError or DomainError that say what is known.
    """
    _require_folder(out)
    path = recipe_path(domain, recipe)
    resolved = load_recipe(path, overrides)
    if resolved.domain != domain:
        raise ConfigError(f"recipe `{path}` is for domain `{resolved.domain}`, not `{domain}`")
    return Run(out, resolved, load_domain(domain, resolved.records), allow_leaks, accept_changes), path.stem


def _require_folder(out: Path) -> None:
    try:
        str(out).encode()
        there = out.exists()
    except (UnicodeEncodeError, OSError) as error:  # too long, not permitted
        raise ConfigError(
            f"`{visible(str(out), 200)}` can be no run folder: {error!s:.100}; choose another with --out"
        ) from error
    if os.path.lexists(out) and not out.is_dir():
        found = "a file" if there else "a link that leads nowhere"
        raise ConfigError(f"`{out}` is {found}, not a folder; choose another with --out")


def execute(
    run: Run, recipe_name: str, first: str | None, last: str | None, say: Callable[[str], None] = print
) -> None:
    """Run the stages from `first` (made anew; the earlier ones must be finished) to `last`, skipping finished ones.

    Of several processes the first one decides and records, and does alone what is not done together; every one of them
    has to come here. Raises RunError where the folder belongs to another run, another process is at work in it, or an
    earlier stage is missing, ConfigError where the processes were not given the same; the manifest records an
    interruption and whatever was finished stays.
    """
    bounds = _bounds([stage.name for stage in stages(run.recipe)], first, last)
    _set_up_process(run.recipe.threads)
    require_possible(run)
    _require_ready(run.recipe, _to_do(run, recipe_name, bounds, first))
    command = [str(run.folder), recipe_name, first, last, run.allow_leaks, run.accept_changes]
    common.require_same(run.recipe, manifests.pack_distribution(run.domain.module), command)
    if not processes.is_first():
        with terminable():
            common.require_shared(run.folder)
            _follow(run)
        return
    manifests.open_manifest(run.folder, run.recipe, recipe_name)  # refuses what is not ours before anything is written
    with lock.held(run.folder), terminable():
        common.require_shared(run.folder)
        _execute(run, recipe_name, bounds, first, say)
        processes.agreed(None)


def _follow(run: Run) -> None:
    """Do the stages that are done together when the first process says so, until it is done."""
    wanted = {stage.name: stage for stage in stages(run.recipe)}
    while order := processes.agreed(None):
        name, identity = order
        _do(run, wanted[name], identity)


def _do(run: Run, stage: Stage, identity: dict[str, str]) -> Counts:
    run.identity.clear()
    run.identity.update(identity)
    with disk_errors(run.folder), processes.losses(), nullcontext() if stage.together else processes.alone():
        counts = stage.does(run)
    if stage.together:
        processes.wait()
    return counts


def _execute(
    run: Run, recipe_name: str, bounds: tuple[int, int], first: str | None, say: Callable[[str], None]
) -> None:
    (start, end), plan = bounds, stages(run.recipe)
    sweep(run.folder)
    manifest = manifests.open_manifest(run.folder, run.recipe, recipe_name)
    before = manifests.surroundings(manifest)
    manifests.describe(manifest, run.recipe, recipe_name, manifests.pack_distribution(run.domain.module))
    anew = [stage.name for stage in plan[start : end + 1]] if first else []
    require_accepted(run, manifest, before, plan[: end + 1], anew)
    _settle(run, manifest, plan)
    write_text(run.folder / "recipe.toml", tomli_w.dumps(_without_none(redacted(run.recipe.model_dump()))))
    manifests.save(run.folder, manifest)
    try:
        for number, stage in enumerate(plan[: end + 1]):
            label = f"[{number + 1}/{len(plan)}] {stage.name}"
            why = reason(run, manifest, stage)
            if number < start and why:
                raise RunError(f"--from {first} needs stage `{stage.name}`, which is {why}; leave --from out")
            if number < start or (why is None and not (first and number >= start)):
                say(f"{label}: finished before, skipped")
                continue
            _execute_stage(run, manifest, stage, label, why, say)
    except BaseException as error:
        manifest["state"], manifest["stopped"] = "interrupted", str(error) if isinstance(error, RlvrError) else ""
        with suppress(RunError), deferred():  # a full disk must not hide what stopped the run, nor a signal stop this
            manifests.save(run.folder, manifest)
        raise
    manifests.close(manifest, tuple(stage.name for stage in plan))
    manifests.save(run.folder, manifest)
    if plan[end].name == "report":
        say(f"the report is {run.folder / plan[end].writes[0]}")


def _settle(run: Run, manifest: Mapping[str, Any], plan: Sequence[Stage]) -> None:
    """Drop the checkpoints of trainings that are marked as finished."""
    for name in (name for stage in plan if stage.name in manifest["stages"] for name in stage.writes):
        with disk_errors(run.folder / name):
            settle(run.folder / name)


def _execute_stage(
    run: Run, manifest: dict[str, Any], stage: Stage, label: str, why: str | None, say: Callable[[str], None]
) -> None:
    manifest["stages"].pop(stage.name, None)
    manifests.save(run.folder, manifest)
    again = f" ({why})" if why and why.startswith(OUT_OF_DATE) else ""
    say(f"{label}: {stage.help}{again}")
    began = time.monotonic()
    identity = parts(run, stage) | manifests.surroundings(manifest)
    if stage.together:
        processes.agreed((stage.name, identity))
    counts = _do(run, stage, identity)
    seconds = time.monotonic() - began
    manifest["notes"].update(run.notes)
    manifest["artefacts"].update(plain(run.artefacts))
    manifests.complete_stage(manifest, stage.name, key(run, stage), parts(run, stage), seconds, counts)
    manifests.save(run.folder, manifest)
    _settle(run, manifest, (stage,))
    say(f"{label}: {summary(counts)} in {seconds:.1f} s")


def summary(counts: Counts) -> str:
    """Counts in words, for example "1,200 tasks kept, 3 dropped (3 no K neighbours)", or "60 steps" of a training."""
    note = f"; {counts.note}" if counts.note else ""
    if not counts.dropped:
        return f"{counts.kept:,} {counts.unit}{note}"
    dropped = {why: n for why, n in counts.dropped.items() if n}
    reasons = f" ({', '.join(f'{n:,} {why}' for why, n in dropped.items())})" if dropped else ""
    return f"{counts.kept:,} {counts.unit} kept, {sum(dropped.values()):,} dropped{reasons}{note}"


def require_started(run: Run, first: str | None, last: str | None, count: int) -> None:
    """Raise ConfigError where a training from `first` to `last` is for another number of processes than `count`."""
    names = [stage.name for stage in stages(run.recipe)]
    start, end = _bounds(names, first, last)
    if set(TRAININGS) & set(names[start : end + 1]):
        require_processes(run.recipe, count)


def plan(run: Run, recipe_name: str, first: str | None = None, last: str | None = None, count: int = 1) -> str:
    """What a run of `count` processes would do and cost, as text: the resolved recipe, the stages with their state, the
    budget of tokens, and the estimate of memory and hours.

    1 is the number where none was given: the recipe's own counts then. Raises ConfigError for what would stop the run
    later on any machine; what this one lacks is for `rlvr doctor`.
    """
    from indirect_rlvr.estimate.estimate import told

    require_possible(run)
    if count > 1:
        require_started(run, first, last, count)
    wanted = stages(run.recipe)
    _, end = _bounds([stage.name for stage in wanted], first, last)
    manifest = _found(run, recipe_name)
    lines = [tomli_w.dumps(_without_none(redacted(run.recipe.model_dump()))), "stages:"]
    for stage in wanted[: end + 1]:
        why = reason(run, manifest, stage)
        lines.append(f"  {stage.name:10} {'skip: finished' if why is None else 'run: ' + why:32} {stage.help}")
    lines += ["", "cost:", *(f"  {line}" for line in costs(run))]
    lines += ["", "estimate:", *(f"  {line}" for line in told(run, count))]
    return "\n".join(
        [*lines, "", "what this machine lacks for it: rlvr doctor with the same --domain, --recipe and --set"]
    )


def costs(run: Run) -> list[str]:
    """The work a recipe asks for, in the units that drive its price."""
    from indirect_rlvr.scaffolds import hired

    recipe, grpo = run.recipe, run.recipe.grpo
    per_row = recipe.evaluation.tasks + len(CONTROLS) * recipe.evaluation.control_tasks
    trainings = sum(stage.name.startswith("grpo") for stage in stages(recipe))
    of = "1 training" if trainings == 1 else f"{trainings} trainings"
    rollouts = trainings * grpo.steps * grpo.prompts_per_step * grpo.group_size
    return [
        *(hired.outlook(recipe.scaffold) if recipe.scaffold.count else ()),
        f"SFT: {recipe.sft.steps * recipe.sft.batch:,} traces" if recipe.scaffold.count else "SFT: left out",
        f"GRPO: {rollouts:,} rollouts of at most {grpo.max_completion_tokens:,} tokens "
        f"(at most {rollouts * grpo.max_completion_tokens:,} tokens) in {of} of {grpo.steps:,} steps"
        if trainings
        else "GRPO: left out",
        f"evaluation: at most {len(run.models()) * per_row:,} completions of proxy tasks, "
        f"and {2 * recipe.evaluation.targets:,} for each target task",
    ]


def _bounds(names: list[str], first: str | None, last: str | None) -> tuple[int, int]:
    start, end = _index(names, first, 0), _index(names, last, len(names) - 1)
    if start > end:
        raise ConfigError(f"--from {first} comes after --until {last}; the stages in order: {', '.join(names)}")
    return start, end


def _index(names: list[str], name: str | None, default: int) -> int:
    if name is None:
        return default
    if name not in names:
        raise ConfigError(f"unknown stage `{name}`; the stages in order: {', '.join(names)}")
    return names.index(name)


def _set_up_process(threads: int) -> None:
    """Threads that spin against each other make everything slower, and another number of them gives other bytes.

    The progress bars of transformers' own loading and saving go, those of datasets where nobody watches; ours stay. Of
    several processes only the first warns.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if not (processes.is_first() and sys.stderr.isatty()):
        os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    if not processes.is_first():
        logging.disable(logging.WARNING)
    import torch
    from transformers.utils import logging as transformers_logging

    torch.set_num_threads(threads)
    transformers_logging.disable_progress_bar()


def require_possible(run: Run) -> None:
    """Say now what would stop a later stage: a base model that is not there, a reward of unknown terms, options that
    TRL lacks, a mining that is not finished, a teacher that cannot be asked."""
    from indirect_rlvr.rewards.composite import build
    from indirect_rlvr.training.base import require_trainable

    recipe = run.recipe
    require_trainable(recipe.model.path)
    build(recipe.reward, run.domain.rewards())
    if recipe.tasks.mined and not (run.folder / "tasks.jsonl").exists():
        from indirect_rlvr.data.mining import finished

        finished(Path(recipe.tasks.mined))
    if recipe.scaffold.count and not (run.folder / "sft.jsonl").exists():
        from indirect_rlvr.scaffolds.askers import require_usable as require_teacher

        require_teacher(recipe.scaffold)
    if recipe.sft.trl or recipe.grpo.trl or processes.count() > 1:  # TRL takes seconds to import
        from indirect_rlvr.training.options import require_usable

        require_usable(recipe)
    if recipe.model.lora.rank:
        from indirect_rlvr.training import lora

        lora.require_usable(recipe)


def _to_do(run: Run, recipe_name: str, bounds: tuple[int, int], first: str | None) -> set[str]:
    """The stages within `bounds` that are not finished, or made anew because they were asked for."""
    start, end = bounds
    manifest = _found(run, recipe_name)
    return {stage.name for stage in stages(run.recipe)[start : end + 1] if first or reason(run, manifest, stage)}


def _found(run: Run, recipe_name: str) -> dict[str, Any]:
    """The manifest of the run folder, without a stage where there is none; nothing is written."""
    there = (run.folder / MANIFEST).exists()
    return manifests.open_manifest(run.folder, run.recipe, recipe_name) if there else {"stages": {}}


def _require_ready(recipe: Recipe, wanted: set[str]) -> None:
    """Say now what this machine and these processes lack for the trainings among the stages `wanted`."""
    if wanted & set(TRAININGS):
        require_fits(recipe)
        if recipe.parallel.strategy != "ddp":
            from indirect_rlvr.training import parallel

            parallel.require_here(recipe.parallel)
        if recipe.model.lora.rank:
            from indirect_rlvr.training import lora

            lora.require_installed(recipe.model)
    if recipe.grpo.trl.get("use_vllm") and wanted & {"grpo-zero", "grpo"}:
        from indirect_rlvr.training.vllm_settings import require_here

        require_here(recipe.grpo)


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in tree.items() if v is not None}
