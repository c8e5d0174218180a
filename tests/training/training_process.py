"""One of the processes of a training, or all of it where it is started alone: trains what a file says, in order.

Started by `test_training_processes.py` and `test_fsdp2_processes.py` as `python training_process.py JOBS`: a JSON list,
of each job what `Job` holds. Each process writes what became of them to JOBS with its rank appended.
"""

import json
import os
import signal
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate.state import AcceleratorState, PartialState
from chips import ToyDomain, make_tasks

from indirect_rlvr import processes
from indirect_rlvr.config import Grpo, Health, Model, Parallel, Sft
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import RlvrError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.run import settle
from indirect_rlvr.scaffolds import traces as scaffold
from indirect_rlvr.training import grpo, sft
from indirect_rlvr.training.checkpoints import Resume
from indirect_rlvr.training.recording import RecordingTrainer
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

Fault = Literal["", "signal", "crash", "kill"]


@dataclass
class Job:
    """A training: settings by section, whose rollouts are taken in the place of samples, and what happens at the
    `at`-th call of the reward: a signal or a kill in the process of that `rank`, a crash in all."""

    kind: Literal["sft", "grpo"]
    start: str
    out: str
    records: str
    modality: str = "image"
    tasks: int = 8
    settings: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    parallel: dict[str, Any] = field(default_factory=dict)
    identity: str = "one"
    replay: str = ""
    does: Fault = ""
    rank: int = 1
    at: int = 0


class Even:
    """A reward term: the share of even tokens."""

    def __init__(self, job: Job) -> None:
        self.job, self.calls = job, 0

    def __call__(self, task: ProxyTask, completion: Completion) -> Outcome:
        self.calls += 1
        if self.calls == self.job.at:
            if self.job.does == "crash":  # what a lost process looks like from inside
                raise KeyboardInterrupt
            if self.job.does and processes.rank() == self.job.rank:
                os.kill(os.getpid(), signal.SIGTERM if self.job.does == "signal" else signal.SIGKILL)
        return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)


def replaying(rollouts: Path) -> type[RecordingTrainer]:
    """A trainer whose samples are those on record: what is left to compare is the update."""
    lines = [json.loads(line) for line in rollouts.read_text(encoding="utf-8").splitlines()]

    class Replaying(RecordingTrainer):
        def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> tuple[Any, None]:
            step = [line["token_ids"] for line in lines if line["step"] == self.state.global_step + 1]
            first = processes.rank() * len(prompt_ids)
            return step[first : first + len(prompt_ids)], None

    return Replaying


def on_processors(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with which DeepSpeed runs without a GPU: accelerate must be told of gloo before Trainer asks for it."""
    os.environ["ACCELERATE_USE_DEEPSPEED"] = "true"
    AcceleratorState._reset_state(reset_partial_state=True)
    PartialState(backend="gloo")
    del os.environ["ACCELERATE_USE_DEEPSPEED"]
    return settings | {"trl": settings["trl"] | {"accelerator_config": {"use_configured_state": True}}}


def train(job: Job) -> Any:
    domain, tasks = Domain("toy", ToyDomain, {}), make_tasks(job.tasks, job.modality)
    fixed = (domain, Path(job.records))
    if job.parallel.get("strategy") == "zero3":
        job.settings = on_processors(job.settings)
    last = (Model(**job.model), Path(job.out), 0, Resume({"recipe": job.identity}), Health(), Parallel(**job.parallel))
    if job.kind == "sft":
        traces, _ = scaffold.build(domain, tasks, count=len(tasks), seed=0)
        return sft.train(job.start, traces, tasks, *fixed, Sft(**job.settings), *last)
    grpo.RecordingTrainer = replaying(Path(job.replay)) if job.replay else RecordingTrainer
    even = Even(job)
    made = grpo.train(
        job.start, tasks, *fixed, Composite((Term("even", 0.0, 1.0, even),), (1.0,)), Grpo(**job.settings), *last
    )
    return made | {"calls": even.calls}


def main(jobs: str) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.filterwarnings("default", module="torch")
    processes.join()
    found: list[Any] = []
    for job in json.loads(Path(jobs).read_text(encoding="utf-8")):
        try:
            found.append(train(Job(**job)))
            if processes.is_first():
                settle(Path(job["out"]))  # as a run does that has marked the stage
        except (RlvrError, KeyboardInterrupt) as error:
            found.append({"raised": type(error).__name__, "said": str(error)})
    Path(f"{jobs}.{processes.rank()}").write_text(json.dumps(found), encoding="utf-8")
    processes.leave()
    processes.end(SystemExit(0))  # as `rlvr` does, and for its reason


if __name__ == "__main__":
    main(*sys.argv[1:])
