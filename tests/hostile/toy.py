"""A small finished run of the template domain, made by the package itself, with answers from no model."""

from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

from indirect_rlvr import engine, pipeline
from indirect_rlvr import manifest as manifests
from indirect_rlvr.data import proxy
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.evaluation.benchmark import conditions, evaluate
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.run import keyed_rng, write_json, write_jsonl
from indirect_rlvr.types import Counts, ProxyTask

SETTINGS = [
    "records.patients=24", "tasks.train=24", "tasks.test=16", "tasks.k=3", "evaluation.tasks=12",
    "evaluation.control_tasks=8", "evaluation.targets=8", "reward.weights={accuracy=1.0,format=0.5,repetition=0.1}",
]  # fmt: skip
MODELS = ("base", "template-r1-zero", "template-r1")


@lru_cache(maxsize=1)
def run_folder() -> Path:
    """The folder, made once in a process and shared: copy what is to be broken."""
    folder = Path(mkdtemp()) / "run"
    run, name = engine.prepare("template", "default", SETTINGS, folder, allow_leaks=True)
    manifest = manifests.open_manifest(folder, run.recipe, name)
    manifests.describe(manifest, run.recipe, name, "indirect-rlvr-template")
    engine.write_text(folder / "recipe.toml", engine.tomli_w.dumps(engine._without_none(run.recipe.model_dump())))
    for stage in (pipeline.records, pipeline.tasks):
        manifests.complete_stage(manifest, stage.__name__, "key", {}, 1.0, stage(run))
    tasks = proxy.read(folder / "tasks.jsonl")
    held_out = [task for task in tasks if task.split == "test"]
    asked = conditions(held_out[:12], held_out[:8], seed=0)
    targets = run.domain.benchmarks(pipeline_records(folder), 8, 0)
    policies = [Policy(model, model, lambda model=model: _answers(model)) for model in MODELS]
    results = evaluate(policies, asked, targets, run.domain.render, folder / "evaluation", run.views, "records")
    write_json(folder / "results.json", results)
    write_jsonl(folder / "grpo" / "rollouts.jsonl", [r for task in tasks[:4] for r in _rollouts(task)])
    write_jsonl(folder / "grpo" / "log.jsonl", [{"step": n, "reward": n / 9, "entropy": 1.0} for n in range(1, 20)])
    reward = build(run.recipe.reward, run.domain.rewards())
    manifest["artefacts"]["grpo"] = {"reward_version": reward.version(), "reward": reward.describe()}
    manifest["stages"]["grpo"] = {"seconds": 3.0, **_counts(Counts(1, "steps"))}
    manifest["notes"] = {"base": {"about": "a toy", "sizes": [1, 2.5]}, "scaffold": "none"}
    manifests.save(folder, manifest)
    return folder


def pipeline_records(folder: Path):
    from indirect_rlvr.data import records

    return [record for record in records.read(folder / "records" / "records.jsonl") if record.split == "test"]


def _counts(counts: Counts) -> dict[str, object]:
    return {"key": "k", "finished": "", "kept": counts.kept, "unit": counts.unit, "dropped": {}, "depends_on": {}}


def _answers(model: str):
    def say(prompts, views, skip=()):
        for number, _ in enumerate(prompts):
            chosen = keyed_rng(0, model, number).choice("ABC")
            yield number, Answer(f"<think>\n{chosen}: 98 120\n</think>\n<answer>{chosen}</answer>", 9, True)

    return say


def _rollouts(task: ProxyTask) -> list[dict[str, object]]:
    rows = []
    for number, label in enumerate((*task.labels, "?")):
        right = float(label == task.answer)
        text = f"<think>x</think><answer>{label}</answer>"
        terms = {"accuracy": right, "format": 1.0, "repetition": 0.0}
        rows.append({"step": 1, "task_id": task.id, "text": text, "token_ids": [1, 2, 3, number], "tokens": 4,
                     "finished": True, "terms": terms, "reward": right + 0.5, "advantage": 0.0})  # fmt: skip
    return rows
