"""inspect: a file of tasks whose scorer and metrics call back into this package.

inspect does not say at which size its model saw an image, so that boxes are taken to be in the file's own pixels.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from indirect_rlvr.export import bundle, callbacks, harness
from indirect_rlvr.run import write_text
from indirect_rlvr.training import dataset
from indirect_rlvr.types import Counts, Example

TASKS = Template('''"""Benchmarks of domain `$domain` for inspect; it needs indirect-rlvr and the pack of the domain.

inspect eval $file@$example --model ...
"""

from pathlib import Path

from indirect_rlvr.export import inspect as rlvr
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig
from inspect_ai.scorer import SampleScore, Score, Value, metric, scorer
from inspect_ai.solver import generate

FOLDER = Path(__file__).resolve().parent / "bundle"


@metric
def measured(name):
    def compute(scores: list[SampleScore]) -> Value:
        return rlvr.measured(FOLDER, name, {one.sample_id: one.score.metadata["response"] for one in scores})

    return compute


@scorer(metrics=[])
def judged(name):
    async def score(state, target):
        response = state.output.completion
        return Score(**rlvr.judged(FOLDER, name, state.sample_id, response), metadata={"response": response})

    return score


def _content(part):
    return ContentText(text=part["text"]) if part["type"] == "text" else ContentImage(image=part["image"])


def _task(name):
    samples = [
        Sample(
            id=one.id,
            input=[ChatMessageUser(content=[_content(part) for part in one.content])],
            target=one.target,
            metadata=one.metadata,
        )
        for one in rlvr.samples(FOLDER, name)
    ]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=generate(),
        scorer=judged(name),
        metrics=[measured(name)],
        config=GenerateConfig(temperature=0.0, max_tokens=$max_tokens),
    )
''')

TASK = Template("""

@task
def $function():
    return _task($benchmark)
""")
MAX_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Sample:
    """One example as inspect shows it: text and image parts in reading order, images as paths of files."""

    id: str
    content: list[dict[str, str]]
    target: str
    metadata: dict[str, Any]


def export(
    domain: str,
    wanted: str,
    out: Path,
    *,
    recipe: str = "default",
    data_root: Path | None = None,
    limit: int | None = None,
) -> tuple[Counts, list[dict[str, str]]]:
    """Write rlvr_DOMAIN.py, a task for each benchmark, and what they score with into `out`, all or nothing.

    Returns how many tasks there are, and the benchmarks that were not exported with the reason. Raises as
    `harness.fill` does.
    """
    file = f"rlvr_{bundle.identifier(domain)}.py"
    with bundle.exported(out) as folder:
        about = harness.fill("inspect", domain, wanted, folder, recipe_name=recipe, data_root=data_root, limit=limit)
        names = {harness.task_name(domain, row["name"]): row["name"] for row in about["benchmarks"]}
        code = [
            TASKS.substitute(domain=domain, file=file, example=next(iter(names)), max_tokens=MAX_TOKENS),
            *(TASK.substitute(function=function, benchmark=repr(name)) for function, name in names.items()),
        ]
        write_text(folder / file, "".join(code))
    return Counts(len(names), "tasks"), about["not_exported"]


def samples(folder: Path, name: str) -> list[Sample]:
    """The examples of a benchmark whose media are all there, in order."""
    task = callbacks.tasks(folder)[name]
    return [_sample(example, task.folder) for example in callbacks.asked(task)]


def _sample(example: Example, images: Path) -> Sample:
    (turn,) = dataset.messages(example.prompt)
    paths = iter([str(images / view.content) for view in callbacks.image_views(example)])
    content = [{"type": "image", "image": next(paths)} if part["type"] == "image" else part for part in turn["content"]]
    metadata = {"task": example.task, "cluster": example.cluster, "flags": list(example.flags)}
    return Sample(example.id, content, json.dumps(dict(example.truth), ensure_ascii=False), metadata)


def judged(folder: Path, name: str, item: str, text: str) -> dict[str, Any]:
    """`value` and `answer` of inspect's Score: the per-example values with "parsed" (0 or 1), and what was read."""
    found = callbacks.judged(folder, name, item, text)
    answer = None if found.parsed is None else json.dumps(dict(found.parsed), ensure_ascii=False, default=str)
    return {"value": {**found.values, "parsed": float(found.parsed is not None)}, "answer": answer}


def measured(folder: Path, name: str, texts: Mapping[str, str]) -> dict[str, float]:
    """Every metric that has a value, by key."""
    found = callbacks.measured(folder, name, texts)
    return {key: value for key, value in found.items() if math.isfinite(value)}
