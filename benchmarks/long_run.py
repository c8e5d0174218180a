"""Train for thousands of tiny steps and measure what grows: memory, open files, threads, files on disk.

    python benchmarks/long_run.py benchmarks/results/long_run.json --steps 20000

GRPO on a toy world of text and a policy of two layers, checkpoints and rollouts as in a real run. The first tenth of
the steps warms allocators up and is left out. Twenty to thirty steps a second on one thread.

Resident memory also grows where nothing is kept: an allocator that reuses what was freed touches pages that it had
reserved and not touched before. So what is in use is counted besides, by the C library (`heap_mb`) and by Python
(`python_blocks`); what keeps anything raises one of the two.
"""

import argparse
import ctypes
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import psutil
import torch
from pydantic import BaseModel
from scipy.stats import linregress, t
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging

from indirect_rlvr.config import Grpo, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.run import write_json
from indirect_rlvr.training import grpo, models
from indirect_rlvr.training.tiny import build_tokenizer
from indirect_rlvr.types import Completion, Outcome, Prompt, ProxyTask, Question, Record, Term, View

WORDS = ("red", "green", "blue", "grey")
LABELS = ("A", "B", "C")
EVERY = 10
"""Steps between two samples."""
PROMPTS, GROUP = 2, 4
HELD = ("memory_mb", "heap_mb", "python_blocks", "open_files", "threads", "disk_mb")
"""What `held` finds."""
MALLINFO2 = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Words:
    """A domain of words alone: which candidate is the query?"""

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


class Sampler:
    """A reward term that pays even tokens, and on the way notes what this process holds, in memory taken before."""

    def __init__(self, folder: Path, steps: int) -> None:
        self._folder = folder
        self._rows = np.zeros((steps // EVERY, len(HELD)))
        self._calls = 0

    def __call__(self, task: ProxyTask, completion: Completion) -> Outcome:
        self._calls += 1
        row, left = divmod(self._calls, PROMPTS * GROUP * EVERY)
        if left == 0:
            now = held(self._folder)
            self._rows[row - 1] = [now[name] for name in HELD]
        return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)

    @property
    def samples(self) -> list[dict[str, float]]:
        """By step, what was held."""
        named = [dict(zip(HELD, row, strict=True)) for row in self._rows.tolist()]
        return [{"step": EVERY * (at + 1), **row} for at, row in enumerate(named)]


class _Mallinfo2(ctypes.Structure):
    """As `man mallinfo2` has it."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO2)


def heap() -> int:
    """Bytes that the C library (glibc 2.33 or later) has handed out and not got back; 0 where there is another."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return 0
    ask.restype = _Mallinfo2
    found = ask()
    return int(found.uordblks + found.hblkhd)


def held(folder: Path) -> dict[str, float]:
    """Resident memory and `heap` in MB, Python's memory blocks, open files, threads, and MB on disk under
    `folder`."""
    process = psutil.Process()
    return {
        "memory_mb": process.memory_info().rss / 1e6,
        "heap_mb": heap() / 1e6,
        "python_blocks": sys.getallocatedblocks(),
        "open_files": process.num_fds(),
        "threads": process.num_threads(),
        "disk_mb": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
    }


def train(folder: Path, steps: int, save_steps: int, rollouts_every: int) -> list[dict[str, float]]:
    """Train for `steps` steps under `folder`; returns the samples."""
    torch.set_num_threads(1)
    models.save(_policy(), folder / "start")
    sampler = Sampler(folder, steps)
    settings = Grpo(
        steps=steps,
        save_steps=save_steps,
        prompts_per_step=PROMPTS,
        group_size=GROUP,
        max_completion_tokens=12,
        rollouts_every=rollouts_every,
        trl={"learning_rate": 1e-5},
    )
    reward = Composite((Term("even", 0.0, 1.0, sampler),), (1.0,))
    tasks, domain = _tasks(16), Domain("words", Words, {})
    grpo.train(folder / "start", tasks, domain, folder, reward, settings, Model(), folder / "grpo", 0)
    return sampler.samples


def slope(samples: Sequence[Mapping[str, float]], key: str) -> dict[str, float]:
    """Least squares over steps: the first and last value, the growth in 1,000 steps, and its 95 % interval.

    The interval widens with the autocorrelation of the residuals: their number is taken as n·(1 − ρ)/(1 + ρ).
    """
    steps, values = [row["step"] for row in samples], [row[key] for row in samples]
    if min(values) == max(values):
        return {"first": values[0], "last": values[-1], "per_1000_steps": 0.0, "low": 0.0, "high": 0.0}
    fit = linregress(steps, values)
    left = [value - fit.intercept - fit.slope * step for step, value in zip(steps, values, strict=True)]
    square = sum(a * a for a in left)
    rho = max(0.0, sum(a * b for a, b in pairwise(left)) / square) if square else 0.0
    effective = max(3.0, len(steps) * (1 - rho) / (1 + rho))
    half = t.ppf(0.975, effective - 2) * fit.stderr * ((len(steps) - 2) / (effective - 2)) ** 0.5
    return {
        "first": values[0],
        "last": values[-1],
        "per_1000_steps": float(1000 * fit.slope),
        "low": float(1000 * (fit.slope - half)),
        "high": float(1000 * (fit.slope + half)),
    }


def _policy() -> models.Policy:
    tags = ["<think>", "</think>", "<answer>", "</answer>"]
    tokenizer = build_tokenizer([*WORDS, *(f" {word}" for word in WORDS), *tags, *LABELS, "Which", "?", ":"])
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return models.Policy(Qwen2ForCausalLM(config), tokenizer, "", False)


def _tasks(count: int) -> list[ProxyTask]:
    tasks = []
    for index in range(count):
        rng = Random(index)
        words, answer = rng.sample(WORDS, 3), rng.randrange(3)
        views = tuple(View("word", "text", word) for word in words)
        question = Question("Which?", (views[answer],), views, {})
        names = tuple(f"r{word}" for word in words)
        tasks.append(ProxyTask(f"t{index}", "c", "train", 0, question, LABELS, LABELS[answer], names[answer], names))
    return tasks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--save-steps", type=int, default=100)
    parser.add_argument("--rollouts-every", type=int, default=10)
    arguments = parser.parse_args()
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        samples = train(Path(folder), arguments.steps, arguments.save_steps, arguments.rollouts_every)
    warm = [row for row in samples if row["step"] > arguments.steps / 10]
    found: dict[str, Any] = {key: slope(warm, key) for key in HELD}
    asked = {key: value for key, value in vars(arguments).items() if key != "out"}
    write_json(arguments.out, {**asked, **found, "samples": samples[::10]})
    print(json.dumps(found, indent=2), file=sys.stderr)


if __name__ == "__main__":
    main()
