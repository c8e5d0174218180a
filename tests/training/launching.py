"""Start `training_process.py` in one process or several, and read what they found and wrote."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

SCRIPT = Path(__file__).parent / "training_process.py"
FAST = {"learning_rate": 1e-2, "lr_scheduler_type": "linear"}
GRPO = {"steps": 4, "save_steps": 2, "prompts_per_step": 2, "group_size": 4, "max_completion_tokens": 12, "trl": FAST}
SFT = {"steps": 3, "batch": 6, "save_steps": 2, "trl": FAST}


def start(jobs: list[dict[str, Any]], count: int, folder: Path) -> subprocess.CompletedProcess[str]:
    """Train `jobs` in `count` processes, their files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    several = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if count > 1 else []
    return subprocess.run(
        [sys.executable, *several, str(SCRIPT), str(folder / "jobs.json")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def trained(jobs: list[dict[str, Any]], count: int, folder: Path) -> list[list[Any]]:
    """What each process found, job by job."""
    done = start(jobs, count, folder)
    said = "\n".join(line for line in done.stderr.splitlines() if "[rank" in line)
    assert done.returncode == 0, f"{said[:4000]}\n…\n{said[-4000:]}"
    return [json.loads((folder / f"jobs.json.{rank}").read_text()) for rank in range(count)]


class Trainings:
    """Jobs that start from one model on one world and write below one folder, and what each process found of them."""

    def __init__(self, folder: Path, base: Path, records: Path, **common: Any) -> None:
        self.folder, self.base = folder, base
        self.found: dict[str, list[Any]] = {}
        self._common = {"start": str(base), "records": str(records), **common}

    def job(self, kind: str, out: str, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
        """A training into the folder `out`, as `training_process.Job` takes it."""
        return {**self._common, "kind": kind, "out": str(self.folder / out), "settings": settings, **more}

    def run(self, jobs: dict[str, dict[str, Any]], count: int, files: str) -> None:
        """Train `jobs` in `count` processes; `found` has by name what each of them found."""
        found = trained(list(jobs.values()), count, self.folder / files)
        self.found |= {name: [process[at] for process in found] for at, name in enumerate(jobs)}

    def parts(self, strategy: str, grpo: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Jobs that compare a model in parts with whole copies, and one that was stopped with one that was not."""
        replay = {"replay": str(self.folder / "whole" / "grpo" / "rollouts.jsonl")}
        in_parts: dict[str, Any] = {"parallel": {"strategy": strategy}}
        return {
            "sft": self.job("sft", "sft", SFT, **in_parts),
            "whole/sft": self.job("sft", "whole/sft", SFT),  # models are loaded whole again
            "whole/grpo": self.job("grpo", "whole/grpo", grpo),
            "replayed": self.job("grpo", "replayed", grpo, **in_parts, **replay),
            "grpo": self.job("grpo", "grpo", grpo, **in_parts),
            "asked": self.job("grpo", "asked", grpo, **in_parts, does="signal", at=10),
            "resumed": self.job("grpo", "asked", grpo, **in_parts),
        }


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def apart(one: Path, other: Path, start: Path) -> float:
    """How far the weights of two trainings lie apart, as a share of how far they moved from their start."""
    a, b, first = (load_file(folder / "model.safetensors") for folder in (one, other, start))
    assert a.keys() == b.keys() == first.keys()
    return _distance(a, b) / _distance(b, first)


def _distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    return float(sum((a[name].double() - b[name].double()).square().sum().item() for name in a) ** 0.5)
