"""Two small runs to export: the template's texts, and coloured chips for what only images can break."""

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
