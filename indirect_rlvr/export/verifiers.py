"""verifiers v1: an installable package that exports one Taskset, whose tasks are scored by the same composite."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from indirect_rlvr.data.records import FORMATS, image_path
from indirect_rlvr.export import bundle
from indirect_rlvr.export.scorer import TOTAL, scorer
from indirect_rlvr.pipeline import Run
from indirect_rlvr.run import read_jsonl, write_jsonl, write_text
from indirect_rlvr.types import Counts, Split

PROMPTS = "prompts.jsonl"
PROJECT = Template("""[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "$distribution"
version = "0.1.0"
description = "Proxy tasks of domain $domain, scored by indirect-rlvr."
requires-python = ">=3.11"
dependencies = [$dependencies, "verifiers>=0.4,<0.5"]

[tool.hatch.build.targets.wheel]
packages = ["$package"]
""")
TASKSET = Template('''\
"""Proxy tasks of domain `$domain` for verifiers v1; they need indirect-rlvr and the pack of the domain."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import verifiers.v1 as vf

from indirect_rlvr.export import verifiers

__all__ = ["ProxyTaskset"]

FOLDER = Path(__file__).resolve().parent / "bundle"


class ProxyTasksetConfig(vf.TasksetConfig):
    split: Literal["train", "test"] = "train"
    """Which tasks: those to train on, or the held-out ones."""


class ProxyData(vf.TaskData):
    split: str


class ProxyTask(vf.Task[ProxyData]):
    @property
    def key(self) -> str:
        return self.data.id

    @vf.reward(weight=1.0)
    async def composite(self, trace) -> float:
        """The weighted total."""
        return verifiers.score(FOLDER, self.data.id, *completion(trace))["score"]

    @vf.metric
    async def terms(self, trace) -> dict[str, float]:
        """The value of each term that applies."""
        found = verifiers.score(FOLDER, self.data.id, *completion(trace))
        return {name: value for name, value in found.items() if value is not None and name != "score"}

    async def validate(self, runtime) -> bool:
        """The true answer earns more than a wrong one and than nothing."""
        return verifiers.pays_the_truth(FOLDER, self.data.id)


class ProxyTaskset(vf.Taskset[ProxyTask, ProxyTasksetConfig]):
    def load(self) -> Iterator[ProxyTask]:
        for shown in verifiers.prompts(FOLDER, self.config.split):
            content = [part(kind, value) for kind, value in shown.parts]
            data = ProxyData(id=shown.task_id, split=shown.split, prompt=[vf.UserMessage(content=content)])
            yield ProxyTask(data, self.config.task)


def part(kind: str, value: str) -> vf.TextContentPart | vf.ImageUrlContentPart:
    if kind == "text":
        return vf.TextContentPart(text=value)
    return vf.ImageUrlContentPart(image_url=vf.ImageUrlSource(url=value))


def completion(trace: vf.Trace) -> tuple[str, list[int] | None, bool]:
    """Text, sampled tokens where the client records them, and whether the model ended by itself."""
    sampled = [node for node in trace.nodes if node.sampled]
    if not sampled:
        return "", None, False
    node, thought = sampled[-1], sampled[-1].message.reasoning_content
    text = (f"<think>{thought}</think>" if thought else "") + (node.message.content or "")
    ids = [token for token, is_sampled in zip(node.token_ids, node.mask, strict=True) if is_sampled]
    return text, ids or None, not trace.is_truncated
''')


@dataclass(frozen=True, slots=True)
class Shown:
    """A task as a chat model reads it: ("text", words) and ("image", data URL) parts in reading order."""

    task_id: str
    split: Split
    parts: tuple[tuple[str, str], ...]


def export(run: Run, out: Path, tokenizer: str | None = None) -> Counts:
    """Write a package `rlvr_DOMAIN` with its pyproject.toml into `out`, all or nothing; its taskset id is
    "rlvr-DOMAIN".

    Raises as `bundle.exported` and `bundle.fill` do.
    """
    package = f"rlvr_{bundle.identifier(run.domain.name)}"
    with bundle.exported(out) as folder:
        inside = folder / package / "bundle"
        rows = bundle.fill(run, inside, "verifiers", tokenizer)
        copied = bundle.copy_images(rows, run, inside)
        lines = [
            {
                "task_id": row.task.id,
                "split": row.task.split,
                "text": row.text,
                "images": [copied[path] for path in row.images],
            }
            for row in rows
        ]
        write_jsonl(inside / PROMPTS, lines)
        write_text(folder / package / "__init__.py", TASKSET.substitute(domain=run.domain.name))
        write_text(folder / "pyproject.toml", _project(run, package))
    return Counts(len(rows), "tasks")


def _project(run: Run, package: str) -> str:
    return PROJECT.substitute(
        distribution=package.replace("_", "-"),
        domain=run.domain.name,
        package=package,
        dependencies=", ".join(f'"{name}=={number}"' for name, number in bundle.packages(run).items()),
    )


def prompts(folder: Path, split: Split) -> list[Shown]:
    """The tasks of one split, in the order of the export."""
    return [_shown(folder, row) for row in read_jsonl(folder / PROMPTS) if row["split"] == split]


def _shown(folder: Path, row: dict[str, Any]) -> Shown:
    first, *texts = row["text"].split(bundle.PLACEHOLDERS[0])
    parts = [("text", first)]
    for name, text in zip(row["images"], texts, strict=True):
        parts += [("image", _data_url(folder, name)), ("text", text)]
    return Shown(row["task_id"], row["split"], tuple(part for part in parts if part != ("text", "")))


def _data_url(folder: Path, name: str) -> str:
    path = image_path(folder, name)
    with Image.open(path, formats=FORMATS) as image:
        kind = image.get_format_mimetype()
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def score(
    folder: Path, task_id: str, text: str, token_ids: Sequence[int] | None = None, finished: bool | None = None
) -> dict[str, float | None]:
    """`score`, the weighted total, and the value of each term, as `Scorer` gives them."""
    return scorer(folder)(task_id, text, token_ids, finished)


def pays_the_truth(folder: Path, task_id: str) -> bool:
    """Whether the true answer earns more than every other label and than an empty text."""
    ask = scorer(folder)
    task = ask.task(task_id)

    def paid(text: str) -> float:
        return ask(task_id, text)[TOTAL] or 0.0

    written = {label: paid(f"<think>because</think><answer>{label}</answer>") for label in task.labels}
    true = written.pop(task.answer)
    return all(true > other for other in (*written.values(), paid("")))
