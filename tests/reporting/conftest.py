"""A toy run folder with real files, made by the package itself: pictures, tasks, audit, logs, predictions, results."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indirect_rlvr.data import audit, proxy
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.evaluation import controls
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.evaluation.benchmark import conditions, evaluate
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.run import digest, keyed_rng, write_json, write_jsonl
from indirect_rlvr.types import (
    CandidateSet,
    Neighbourhood,
    Prompt,
    ProxyTask,
    Question,
    Record,
    View,
)

K, SETS = 5, 24
SKILL = {"base": 0.2, "geo-sft": 0.25, "geo-r1-zero": 0.55, "geo-r1": 0.8}


class Maker:
    def make_task(self, query, candidates):
        views = tuple(candidate.views["overhead"] for candidate in candidates)
        return Question("Which overhead view shows the place of the ground view?", (query.views["ground"],), views, {})


def picture(folder, name, size, number):
    height, width = size
    y, x = np.mgrid[0:height, 0:width] / 84
    waves = sum(np.sin((3 + number % 7) * x * k + number * 1.7 + (2 + number % 5) * y * k) / k for k in (1, 2, 4))
    grey = 127 + 45 * waves
    pixels = np.stack([grey * 0.9, grey, grey * 0.75], axis=-1).clip(0, 255).astype(np.uint8)
    (folder / "views").mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "views" / name)
    return f"views/{name}"


def make_records(folder):
    records = []
    for number in range(2 * SETS * K):
        views = {
            "ground": View("ground", "image", picture(folder, f"{number:04}-ground.png", (42, 168), number + 777)),
            "overhead": View("overhead", "image", picture(folder, f"{number:04}-overhead.png", (84, 84), number)),
        }
        place = keyed_rng(0, "place", number)
        facts = {"x": place.uniform(0, 100) + 1000 * (number // K), "elevation": place.uniform(200, 900)}
        records.append(Record(f"place-{number:04}", f"block-{number // (2 * K):02}", views, facts))
    return records


def make_tasks(records):
    sets = [
        CandidateSet(f"set-{i:03}", "train" if i < SETS else "test", 0, tuple(r.id for r in records[i * K : i * K + K]))
        for i in range(2 * SETS)
    ]
    return proxy.make_tasks(Maker(), sets, records, queries_per_set=2, limit={"train": 48, "test": 48}, seed=0)


def answer(model, prompt, key, labels):
    rng = keyed_rng(0, model, digest(prompt.parts))
    chosen = key if rng.random() < SKILL[model] else rng.choice(labels)
    trace = "\n".join(f"{label} N3 N{rng.randrange(10)} E8 E{rng.randrange(10)} best {chosen} 3" for label in labels)
    text = f"<think>\nVisual cues: N3 E8 S5 W2\nCross-view evidence:\n{trace}\n</think>\n<answer>{chosen}</answer>"
    if rng.random() < 0.05:
        text = text.replace("</answer>", "")
    return Answer(text, len(text.split()), rng.random() > 0.03)


def policy(model, keys):
    def say(prompts, views, skip=()):
        for index, prompt in enumerate(prompts):
            if index in skip:
                continue
            yield index, answer(model, prompt, *keys[digest(prompt.parts)])

    return Policy(model, f"weights of {model}", lambda: say)


def render(task: ProxyTask) -> Prompt:
    return Prompt((*task.question.query, *task.question.candidates, task.question.text, task.id))


def make_results(folder, tasks):
    asked = conditions(tasks, tasks[:30], seed=0)
    examples = [
        choice_example(
            f"higher-{i:03}",
            f"block-{i // 6}",
            Prompt((f"Which place is higher, A or B? ({i})",)),
            ("A", "B"),
            "AB"[i % 2],
        )
        for i in range(60)
    ]
    benchmark = choice_benchmark("higher", "which of two places is higher", lambda _: examples)
    keys = {digest(e.prompt.parts): (e.truth["answer"], e.truth["labels"]) for e in examples}
    for name, shown in asked.items():
        for task in shown:
            blind = keyed_rng(1, task.id).choice(task.labels)
            keys[digest(render(task).parts)] = (blind if name in controls.BLIND else task.answer, task.labels)
    policies = [policy(model, keys) for model in SKILL]
    return evaluate(policies, asked, [benchmark], render, folder / "evaluation", folder, "records")


def make_log(stage):
    rows = []
    for step in range(1, 61):
        noise = keyed_rng(0, stage, step)
        if stage == "sft":
            rows.append({"step": step, "loss": 2.2 * math.exp(-step / 15) + 0.1 * noise.random(), "epoch": step / 60})
            continue
        right = (0.8 if stage == "grpo" else 0.6) / (1 + math.exp(-(step - 28) / 9)) + 0.05 * noise.random()
        rows.append(
            {
                "step": step, "loss": 0.01, "reward": right + 0.45, "rewards/accuracy/mean": right,
                "rewards/format/mean": min(1.0, 0.7 + step / 120), "rewards/length/mean": -0.1 * noise.random(),
                "completions/mean_length": 90 + 10 * noise.random(), "entropy": 1.1 - step / 80,
            }
        )  # fmt: skip
    return rows


def make_manifest():
    stages = {"records": (12.4, 240, "records"), "tasks": (31.0, 96, "tasks"), "sft": (140.2, 60, "steps")}
    return {
        "domain": "geo",
        "recipe_name": "default",
        "recipe": {"domain": "geo", "seed": 0, "grpo": {"steps": 60}},
        "seed": 0,
        "packages": {"torch": "2.13.0", "trl": "1.16.0"},
        "hardware": {"machine": "x86_64", "processors": 2, "threads": 1, "python": "3.11.9"},
        "started": "2026-01-01T00:00:00+00:00",
        "state": "complete",
        "notes": {
            "base": {"model": "primed", "primed_on": ["describe a view", "compare two views"], "steps": 4000},
            "scaffold": "The final letter of every trace is drawn at random: 19.8 % are right, and chance is 20 %.",
        },
        "stages": {
            name: {"seconds": seconds, "kept": kept, "unit": unit, "dropped": {"duplicate content": 3, "torn": 0}}
            for name, (seconds, kept, unit) in stages.items()
        },
    }


def build(folder: Path) -> Path:
    records = make_records(folder / "records")
    tasks = make_tasks(records)
    near = Neighbourhood(position=lambda r: (r.facts["x"],), unit="m", nuisance=lambda r: r.facts["elevation"])
    proxy.save(folder / "tasks.jsonl", tasks)
    write_json(folder / "audit.json", audit.audit(tasks, records, near, Looks(folder / "records"), 0.001))
    write_json(folder / "results.json", make_results(folder, [task for task in tasks if task.split == "test"]))
    write_json(folder / "manifest.json", make_manifest())
    for stage in ("sft", "grpo-zero", "grpo"):
        write_jsonl(folder / stage / "log.jsonl", make_log(stage))
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """Shared and never written to."""
    return build(tmp_path_factory.mktemp("run"))


@pytest.fixture
def run(finished_run, tmp_path) -> Path:
    """A copy that a test may break; pictures are hard links, so replace them and never write into them."""
    return Path(shutil.copytree(finished_run, tmp_path / "run", copy_function=link_pictures))


def link_pictures(source, target):
    return os.link(source, target) if source.endswith(".png") else shutil.copyfile(source, target)


@pytest.fixture
def change():
    """Rewrite one JSON file with a function of its value."""

    def rewrite(path: Path, edit) -> None:
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value))

    return rewrite
