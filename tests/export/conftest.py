"""Two small runs to export: the template's texts, and coloured chips for what only images can break."""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from indirect_rlvr.config import load_recipe
from indirect_rlvr.data import proxy
from indirect_rlvr.domain import Domain, recipe_path
from indirect_rlvr.export import bundle
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.pipeline import Run
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.run import write_jsonl
from indirect_rlvr.training.tiny import build_tokenizer
from indirect_rlvr.types import Completion, Prompt, ProxyTask, Question, View

WEIGHTS = "reward.weights={accuracy=1.0,format=0.5,length=0.3,repetition=0.2,grounded=0.25}"
SMALL = ["records.patients=40", "tasks.train=8", "tasks.test=8", "tasks.audit_alpha=1e-9", WEIGHTS]
LIMIT = 80
"""`grpo.max_completion_tokens` of the template's recipe."""
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}


@dataclass(frozen=True)
class Rollout:
    """What a trainer knows of one completion: `ids` with the end token where there is one."""

    task: ProxyTask
    text: str
    ids: list[int]
    finished: bool


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    words = ["<think>", "</think>", "<answer>", "</answer>", "because", "A", "B", "C", "D", " not", ": ", "36"]
    build_tokenizer(words).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_run() -> Iterator[Run]:
    with bundle.source("template", None, SMALL) as run:
        yield run


class Chips:
    """Which chip has the query's colour? Shown as images."""

    @staticmethod
    @hookimpl
    def load_records() -> list[object]:
        return []

    @staticmethod
    @hookimpl
    def make_task() -> None:
        return None

    @staticmethod
    @hookimpl
    def render(task: ProxyTask) -> Prompt:
        labelled = [part for pair in zip(task.labels, task.question.candidates, strict=True) for part in pair]
        return Prompt((*task.question.query, *labelled, task.question.text))


@pytest.fixture(scope="session")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("chips")
    (folder / "records" / "chips").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (28, 28), colour).save(folder / "records" / "chips" / f"{name}.png")
    views = tuple(View("chip", "image", f"chips/{name}.png") for name in COLOURS)
    tasks = [
        ProxyTask(f"t{at}", "c", "train" if at else "test", 0, Question("Which?", (views[at],), views, {}),
                  ("A", "B", "C"), "ABC"[at], f"r{at}", ("r0", "r1", "r2"))
        for at in range(3)
    ]  # fmt: skip
    proxy.save(folder / "tasks.jsonl", tasks)
    recipe = load_recipe(recipe_path("template", "default"), ["reward.weights={accuracy=1.0,format=0.5}"])
    return Run(folder, recipe, Domain("template", Chips, {}))


@pytest.fixture(scope="session")
def rollouts(text_run: Run, tokenizer_folder: Path) -> list[Rollout]:
    """Right, wrong, hedged, malformed, empty, hostile and cut completions of every exported task."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    found = []
    for task in proxy.read(text_run.folder / "tasks.jsonl"):
        other = next(label for label in task.labels if label != task.answer)
        texts = [
            *(f"<think>because</think><answer>{label}</answer>" for label in (task.answer, other, "A or B")),
            f"<answer>{task.answer}</answer>", "", "<think>", "<think>A: 36 36</think><answer>A",
            f"<think>{'because ' * 9}</think><answer>{task.answer}</answer>", "\x00\u0301</answer><answer>",
        ]  # fmt: skip
        found += [
            Rollout(task, text, [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id], True)
            for text in texts
        ]
        cut = f"<think>because</think><answer>{task.answer}</answer>" + " not" * LIMIT
        found.append(Rollout(task, cut, tokenizer.encode(cut, add_special_tokens=False), False))
    return found


@pytest.fixture(scope="session")
def expected(text_run: Run, rollouts: list[Rollout]) -> list[dict[str, float | None]]:
    """The total as `score` and every term, by the composite itself."""
    reward = build(text_run.recipe.reward, text_run.domain.rewards())
    values = []
    for rollout in rollouts:
        ids = rollout.ids[:-1] if rollout.finished else rollout.ids
        found = reward.score(rollout.task, Completion(rollout.text, tuple(ids), rollout.finished))
        terms = {n: None if o.status == "not_applicable" else o.value for n, o in found.outcomes.items()}
        values.append({**terms, "score": found.total})
    assert len({row["score"] for row in values}) > 5
    return values


@pytest.fixture(scope="session")
def installed() -> Callable[[str], ModuleType]:
    """Another project's module, as it is installed here; the test is skipped where it is not."""

    def load(name: str) -> ModuleType:
        top = name.partition(".")[0]
        pytest.importorskip(top, reason=f"{top} is not installed; docs/exports.md says how to test against it")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module(name)

    return load


PACK = '''
"""A pack with two published benchmarks: colours of chips, and a number to be said."""

import json
import re

import numpy as np

from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.evaluation.metrics import aggregate
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.types import Benchmark, Example, Prompt, Source, View

NUMBER = re.compile(r"-?[0-9]{1,6}")


@hookimpl
def load_records(settings, folder, seed):
    return []


@hookimpl
def make_task(settings, query, candidates):
    return None


def source(file):
    return Source("https://example.org", "CC0", "8 rows", f"{file}: one JSON object a line", (file,), "1.0")


def colours(folder):
    for line in (folder / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        view = View("chip", "image", f"chips/{row['colour']}.png")
        parts = ("First:", view, "Second:", view, "Which?") if row["task"] == "pair" else (view, "Which?")
        missing = () if (folder / view.content).is_file() else (view.content,)
        yield choice_example(row["id"], row["colour"], Prompt(parts), ("A", "B"), row["answer"], task=row["task"],
                             missing=missing)


def numbers(folder):
    for line in (folder / "rows.jsonl").read_text().splitlines():
        row = json.loads(line)
        prompt = Prompt(() if "prompt" in row else (f"How far? {row['id']}",))
        yield Example(row["id"], row["id"], prompt, {"km": row["km"]}, missing=("map.png",) if "lost" in row else ())


def parse(example, response):
    found = NUMBER.search(response.text)
    return None if found is None else {"km": int(found[0])}


def judge(example, parsed):
    return {} if parsed is None else {"km": float(abs(parsed["km"] - example.truth["km"]))}


def metrics(graded):
    return [aggregate(graded, ("km",), lambda c: float(np.median(c[:, 0])), "pairwise, valid", name="median: km",
                      unit="km", higher_is_better=False)]


@hookimpl
def suite(settings):
    return [
        choice_benchmark("chip-colour", "which colour", colours, source=source("rows.jsonl"), tasks=("one", "pair")),
        Benchmark("far-away", "a number", source("rows.jsonl"), numbers, parse, judge, metrics, "km"),
    ]
'''


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a domain that is installed for the length of a test."""
    site = tmp_path / "site"
    (site / "rlvr_chips" / "recipes").mkdir(parents=True)
    (site / "rlvr_chips" / "__init__.py").write_text("")
    (site / "rlvr_chips" / "hooks.py").write_text(PACK)
    (site / "rlvr_chips" / "recipes" / "default.toml").write_text('domain = "chips"\n')
    about = site / "rlvr_chips-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rlvr-chips\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[indirect_rlvr.domains]\nchips = rlvr_chips.hooks\n")
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    yield "chips"
    for name in [name for name in sys.modules if name.partition(".")[0] == "rlvr_chips"]:
        del sys.modules[name]


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """The files of both benchmarks: eight chips in two tasks, one without its image, and six numbers."""
    root = tmp_path / "data"
    folder = root / "chip-colour"
    (folder / "chips").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (28, 28), colour).save(folder / "chips" / f"{name}.png")
    names = [*COLOURS, *COLOURS, "absent", "red"]
    rows = [
        {"id": f"2020-01-0{i + 1}", "colour": name, "answer": "AB"[i % 2], "task": "pair" if i % 3 == 0 else "one"}
        for i, name in enumerate(names)
    ]
    write_jsonl(folder / "rows.jsonl", rows)
    write_jsonl(root / "far-away" / "rows.jsonl", [{"id": f"n{i}", "km": 100 * i} for i in range(6)])
    return root


@pytest.fixture
def said() -> Callable[[str, list[str]], dict[str, str]]:
    """(benchmark, ids) to responses: right, wrong, hedged, broken and empty ones, the same every time."""

    def make(benchmark: str, ids: list[str]) -> dict[str, str]:
        choices = ["<answer>A</answer>", "<answer>B</answer>", "A or B", "<think>A", "", "<answer>A</answer> \u202e"]
        numbers = ["120 km", "no idea", "-7", "about 305", "", "99999999999999999999"]
        texts = choices if benchmark == "chip-colour" else numbers
        return {name: texts[i % len(texts)] for i, name in enumerate(ids)}

    return make
