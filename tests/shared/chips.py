"""A toy world of coloured chips: its domain, its tasks and its pictures; no model."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

from PIL import Image
from pydantic import BaseModel

from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.types import Prompt, ProxyTask, Question, Record, Verdict, View

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "grey": (128, 128, 128)}
LABELS = ("A", "B", "C")


class ToyDomain:
    """Which candidate chip has the query's colour? The traces name it and answer at random."""

    @staticmethod
    @hookimpl
    def load_records(settings: BaseModel, folder: Path, seed: int) -> list[Record]:
        return []

    @staticmethod
    @hookimpl
    def make_task(settings: BaseModel, query: Record, candidates: Sequence[Record]) -> None:
        return None

    @staticmethod
    @hookimpl
    def render(settings: BaseModel, task: ProxyTask) -> Prompt:
        labelled = [part for pair in zip(task.labels, task.question.candidates, strict=True) for part in pair]
        return Prompt((*task.question.query, *labelled, task.question.text))

    @staticmethod
    @hookimpl
    def scaffold(settings: BaseModel, task: ProxyTask, rng: Random) -> str:
        return f"<think> chip is {task.question.facts['colour']}</think><answer>{rng.choice(task.labels)}</answer>"

    @staticmethod
    @hookimpl
    def brief(settings: BaseModel, record: Record) -> list[str]:
        return ["Name the colour first.", f"The box is {record.facts['box']}.", f"It is {record.facts['colour']}."]

    @staticmethod
    @hookimpl
    def check_facts(settings: BaseModel, task: ProxyTask, text: str) -> list[Verdict]:
        true = str(task.question.facts["colour"])
        named = [colour for colour in COLOURS if colour in text]
        return [Verdict(c, "supported" if c == true else "contradicted", f"it is {true}") for c in named]


def make_tasks(count: int, modality: str = "image", split: str = "train") -> list[ProxyTask]:
    """Tasks 0…count-1 over the chips, the answer uniform over A, B, C; the first ones of a longer list are those of a
    shorter."""
    tasks = []
    for index in range(count):
        rng = Random(index)
        colours = rng.sample(sorted(COLOURS), 3)
        answer = rng.randrange(3)
        views = [View("chip", modality, f"{c}.png" if modality == "image" else c) for c in colours]  # type: ignore[arg-type]
        question = Question("Which chip matches?", (views[answer],), tuple(views), {"colour": colours[answer]})
        records = tuple(f"r{c}" for c in colours)
        tasks.append(
            ProxyTask(f"t{index}", "c", split, 0, question, LABELS, LABELS[answer], records[answer], records)  # type: ignore[arg-type]
        )
    return tasks


def paint(folder: Path) -> Path:
    """A picture of each chip in `folder`."""
    for name, colour in COLOURS.items():
        Image.new("RGB", (28, 28), colour).save(folder / f"{name}.png")
    return folder
