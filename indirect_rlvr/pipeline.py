"""The method on one page: nine stages, called in order; each reads files of the run folder and writes files into it.

`STAGES` says for each stage which settings and which earlier stages its output depends on. A stage whose output is
there for the same settings is skipped; `engine.py` does the skipping, the marking and the printing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indirect_rlvr.config import Recipe
from indirect_rlvr.domain import Domain
from indirect_rlvr.processes import is_first
from indirect_rlvr.progress import each
from indirect_rlvr.types import CandidateSet, Counts, Neighbourhood, ProxyTask, Record, Split

if TYPE_CHECKING:
    from indirect_rlvr.data.looks import Looks
    from indirect_rlvr.training.checkpoints import Resume


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its folder, its recipe and its domain; whether tasks that leak are let through and changes since an
    interruption accepted; `identity`, what the stage at work depends on, as digests; and what stages leave for the
    manifest: `notes` are for the report's readers, `artefacts` are digests and figures of what was made."""

    folder: Path
    recipe: Recipe
    domain: Domain
    allow_leaks: bool = False
    accept_changes: bool = False
    identity: dict[str, str] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    artefacts: dict[str, Any] = field(default_factory=dict)

    @property
    def views(self) -> Path:
        """The folder that image views are relative to."""
        return self.folder / "records"

    def models(self) -> dict[str, Path]:
        """The model folder of each row of the report, in order."""
        name = self.domain.name
        labels = {"base": "base", "sft": f"{name}-sft", "grpo-zero": f"{name}-r1-zero", "grpo": f"{name}-r1"}
        wanted = {stage.name for stage in stages(self.recipe)}
        return {label: self.folder / stage for stage, label in labels.items() if stage in wanted}


def records(run: Run) -> Counts:
    """The world → records/: validated, de-duplicated, split by cluster with a buffer and no picture on both sides."""
    from indirect_rlvr.data import records as store
    from indirect_rlvr.data import splits
    from indirect_rlvr.data.looks import Looks
    from indirect_rlvr.run import digest, file_digest, fresh_folder

    with fresh_folder(run.views) as folder:
        world = each(run.domain.load_records(folder, run.recipe.seed), "records", "record")
        found, duplicates = store.load(world, folder)
        neighbourhood = run.domain.neighbourhood()
        kept, near = splits.assign(found, neighbourhood, run.recipe.seed, looks=Looks(folder))
        store.save(folder / "records.jsonl", kept)
    run.artefacts["records"] = {
        "sha256": file_digest(run.views / "records.jsonl"),
        "splits": {side: digest([r.id for r in kept if r.split == side]) for side in ("train", "test")},
        "split": splits.describe(kept, neighbourhood),
    }
    return Counts(len(kept), "records", {**duplicates, **near})


def tasks(run: Run) -> Counts:
    """Records → tasks.jsonl and audit.json: symmetric candidate sets, balanced answers, refused if a shortcut pays."""
    from indirect_rlvr.data import audit, difficulty, proxy
    from indirect_rlvr.data import records as store
    from indirect_rlvr.data.looks import Looks
    from indirect_rlvr.run import file_digest, write_json

    settings, seed = run.recipe.tasks, run.recipe.seed
    known = store.read(run.views / "records.jsonl")
    near, looks = run.domain.neighbourhood(), Looks(run.views)
    sets, dropped, origin = _candidate_sets(run, known, near, looks)
    limit: dict[Split, int] = {"train": settings.train, "test": settings.test}
    made = proxy.make_tasks(run.domain, sets, known, queries_per_set=settings.queries_per_set, limit=limit, seed=seed)
    made = difficulty.measured(made, known, near, run.views)
    proxy.save(run.folder / "tasks.jsonl", made)
    own, accepted = run.domain.probes(), settings.accepted_probes
    report = audit.audit(made, known, near, looks, settings.audit_alpha, own_probes=own, accepted=accepted)
    report["overridden"] = audit.findings(report) if run.allow_leaks else []
    write_json(run.folder / "audit.json", report)
    if not run.allow_leaks:
        audit.gate(report)
    run.notes["neighbourhood"] = near.about
    run.artefacts["tasks"] = {
        "sha256": file_digest(run.folder / "tasks.jsonl"),
        "neighbourhood": {name: getattr(near, name) for name in ("keys", "cells", "r_min", "buffer", "unit", "metric")},
        "sampler": settings.sampler,
        **origin,
        "leaks_allowed": report["overridden"],
    }
    return Counts(len(made), "tasks", dropped, proxy.shortage(made, limit))


def scaffold(run: Run) -> Counts:
    """Training tasks → sft.jsonl: traces in the one template, by rules or a teacher, every stated fact checked."""
    from indirect_rlvr.run import file_digest, write_jsonl
    from indirect_rlvr.scaffolds import hired, traces

    settings, seed, tasks = run.recipe.scaffold, run.recipe.seed, _tasks(run, "train")
    writer = hired.writer(run.domain, settings, tasks, run.folder, seed)
    rows, counts = traces.build(
        run.domain, tasks, count=settings.count, seed=seed, writer=writer, similarity=settings.similarity
    )
    write_jsonl(run.folder / "sft.jsonl", rows)
    share, made = traces.right_share(rows), hired.facts(writer, settings)
    run.notes["scaffold"] = (
        f"{len(rows):,} traces; {share:.1%} end in the true answer, and chance is {1 / run.recipe.tasks.k:.1%}; "
        f"{traces.repaired_share(rows):.1%} had a false sentence cut out. {hired.credit(settings)}"
    )
    run.artefacts["scaffold"] = {"sha256": file_digest(run.folder / "sft.jsonl"), "right_share": share, **made}
    return replace(counts, note=hired.bill(writer, len(rows), settings))


def base(run: Run) -> Counts:
    """A checkpoint, or the domain's primed tiny model → base/."""
    from indirect_rlvr.training.base import prepare

    run.notes["base"], run.artefacts["base"] = prepare(
        run.domain, run.recipe, run.folder / "base", _tasks(run, "train")
    )
    return Counts(1, "model")


def sft(run: Run) -> Counts:
    """base/ and sft.jsonl → sft/: the template is learned; the answers are not in it."""
    from indirect_rlvr.run import read_jsonl
    from indirect_rlvr.training import sft as trainer
    from indirect_rlvr.training.base import resolve

    recipe, start = run.recipe, resolve(run.folder / "base")
    resume = _resume(run, run.folder / "tasks.jsonl", run.folder / "sft.jsonl")
    traces = read_jsonl(run.folder / "sft.jsonl")
    tasks, out = _tasks(run, "train"), run.folder / "sft"
    fixed = (recipe.sft, recipe.model, out, recipe.seed, resume, recipe.health, recipe.parallel)
    made = trainer.train(start, traces, tasks, run.domain, run.views, *fixed)
    run.artefacts["sft"] = {"parent": "base", **made}
    return Counts(recipe.sft.steps, "steps")


def grpo_zero(run: Run) -> Counts:
    """base/ → grpo-zero/: reinforcement learning on the proxy task without the scaffold."""
    return _grpo(run, "base", "grpo-zero")


def grpo(run: Run) -> Counts:
    """sft/ → grpo/: reinforcement learning on the proxy task from the scaffolded model."""
    return _grpo(run, "sft", "grpo")


def evaluate(run: Run) -> Counts:
    """All rows on held-out tasks with their controls, and the target tasks → evaluation/ and results.json."""
    from indirect_rlvr.data import records as store
    from indirect_rlvr.evaluation import benchmark, claims
    from indirect_rlvr.run import file_digest, write_json
    from indirect_rlvr.training.policies import policy

    wanted, seed = run.recipe.evaluation, run.recipe.seed
    tasks = _tasks(run, "test")
    asked = benchmark.conditions(tasks[: wanted.tasks], tasks[: wanted.control_tasks], seed)
    held_out = [record for record in store.read(run.views / "records.jsonl") if record.split == "test"]
    targets = run.domain.benchmarks(held_out, wanted.targets, seed) if wanted.targets else []
    policies = [policy(model, folder, run.recipe) for model, folder in run.models().items()]
    data, folder = file_digest(run.views / "records.jsonl"), run.folder / "evaluation"
    results = benchmark.evaluate(policies, asked, targets, run.domain.render, folder, run.views, data)
    if is_first():
        for row in results["rows"]:
            answers = folder / row["model"] / f"{benchmark.PROXY}.jsonl"
            row["claims"] = claims.write(run.domain.check_facts, tasks, answers)
        write_json(run.folder / "results.json", results)
    return Counts(len(policies) * len(asked[benchmark.PROXY]), "answers to held-out tasks")


def report(run: Run) -> Counts:
    """The files of the run → report.html and report.md."""
    from indirect_rlvr.reporting.write import write

    write(run.folder)
    return Counts(1, "report")


def _candidate_sets(
    run: Run, known: list[Record], near: Neighbourhood, looks: "Looks"
) -> tuple[list[CandidateSet], dict[str, int], dict[str, str]]:
    """Sets mined before or formed here; what was dropped; and the digest of the mining where there is one."""
    from indirect_rlvr.data import mined, negatives

    settings, seed = run.recipe.tasks, run.recipe.seed
    if settings.mined:
        return mined.adopt(Path(settings.mined), known, near, settings, seed, looks)
    sets, dropped = negatives.form_sets(
        known, near, settings.k, seed, sampler=settings.sampler, short=settings.short, looks=looks
    )
    return sets, dropped, {}


def _tasks(run: Run, split: Split) -> list[ProxyTask]:
    from indirect_rlvr.data import proxy

    return [task for task in proxy.read(run.folder / "tasks.jsonl") if task.split == split]


def _grpo(run: Run, start: str, name: str) -> Counts:
    from indirect_rlvr.rewards.composite import build
    from indirect_rlvr.run import file_digest
    from indirect_rlvr.training import grpo as trainer
    from indirect_rlvr.training.base import resolve

    recipe, tasks, out = run.recipe, _tasks(run, "train"), run.folder / name
    reward = build(recipe.reward, run.domain.rewards())
    first, answers = resolve(run.folder / start), recipe.grpo.curriculum.answers
    resume = _resume(run, run.folder / "tasks.jsonl", *([Path(answers)] if answers else []))
    fixed = (recipe.grpo, recipe.model, out, recipe.seed, resume, recipe.health, recipe.parallel)
    made = trainer.train(first, tasks, run.domain, run.views, reward, *fixed)
    made |= {"reward_version": reward.version(), "reward": reward.describe()}
    run.artefacts[name] = {"parent": start, "rollouts_sha256": file_digest(out / "rollouts.jsonl"), **made}
    return Counts(recipe.grpo.steps, "steps")


def _resume(run: Run, *data: Path) -> "Resume":
    """What a training on the files `data` depends on; one that was broken off goes on with the same ones alone.

    Of a file that is missing whoever reads it says so.
    """
    from indirect_rlvr.run import digest, file_digest
    from indirect_rlvr.training.checkpoints import Resume

    held = [file_digest(path) for path in data if path.exists()]
    return Resume({**run.identity, "data": digest(held)}, run.accept_changes)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name on the command line, what it does, the recipe's keys and the stages its output depends on,
    what it writes, and whether all processes of a run do it `together` or the first one alone."""

    name: str
    does: Callable[[Run], Counts]
    settings: tuple[str, ...]
    after: tuple[str, ...]
    writes: tuple[str, ...]
    together: bool = False

    @property
    def help(self) -> str:
        """One line for people."""
        return (self.does.__doc__ or "").partition("\n")[0]


STAGES = (
    Stage("records", records, ("domain", "seed", "records"), (), ("records",)),
    Stage("tasks", tasks, ("tasks",), ("records",), ("tasks.jsonl", "audit.json")),
    Stage("scaffold", scaffold, ("scaffold",), ("tasks",), ("sft.jsonl",)),
    Stage("base", base, ("domain", "records", "model"), (), ("base",)),
    Stage("sft", sft, ("sft", "parallel", "threads"), ("scaffold", "base"), ("sft",), together=True),
    Stage(
        "grpo-zero",
        grpo_zero,
        ("grpo", "reward", "parallel", "threads"),
        ("tasks", "base"),
        ("grpo-zero",),
        together=True,
    ),
    Stage("grpo", grpo, ("grpo", "reward", "parallel", "threads"), ("tasks", "sft"), ("grpo",), together=True),
    Stage(
        "evaluate",
        evaluate,
        ("evaluation",),
        ("base", "sft", "grpo-zero", "grpo"),
        ("evaluation", "results.json"),
        together=True,
    ),
    Stage("report", report, (), ("evaluate",), ("report.html", "report.md")),
)


def stages(recipe: Recipe) -> tuple[Stage, ...]:
    """The stages a recipe asks for: without scaffolds no SFT and no GRPO from it; the Zero row only where wanted; no
    GRPO of no steps."""
    wanted = {"sft": recipe.scaffold.count > 0, "grpo": recipe.scaffold.count > 0 and recipe.grpo.steps > 0}
    wanted |= {"scaffold": wanted["sft"]}
    wanted["grpo-zero"] = recipe.grpo.steps > 0 and (recipe.grpo.from_base or not wanted["sft"])
    return tuple(stage for stage in STAGES if wanted.get(stage.name, True))
