"""Kill a run again and again, resume it each time, and compare what it ends in with a run that nobody disturbed.

    python benchmarks/chaos.py benchmarks/results/chaos.json --kills 50

The whole job of the template domain on a small recipe, all stages, in processes of its own. The stages to be killed in
are drawn first, so that a long one gets no more than a short one; SIGKILL then comes at a random moment of the stage,
or at the first sight in it of a half-written file or an unmarked checkpoint. About fifteen seconds a kill on one
thread, most of it the start of the process.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from indirect_rlvr.run import read_jsonl, write_json

SMALL = (
    "records.patients=60", "tasks.train=12", "tasks.test=24", "scaffold.count=12", "sft.steps=8", "sft.batch=4",
    "sft.save_steps=2", "grpo.steps=8", "grpo.save_steps=2", "grpo.prompts_per_step=2", "grpo.group_size=4",
    "grpo.max_completion_tokens=24", "evaluation.tasks=24", "evaluation.control_tasks=24", "evaluation.targets=20",
)  # fmt: skip
WRITING, ANY_TIME = "while writing", "at any time"


def torment(folder: Path, kills: int, seed: int, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Kill one run at least `kills` times, each time resumed; when it ends too early, the next one begins.

    Returns how many kills of each kind there were, in which stages, how many runs ended, and every file in which one
    of them differs from the undisturbed run: there must be none.
    """
    rng = random.Random(seed)
    base = _whole(folder / "base", ("model.prime.steps=30", "model.prime.batch=4"), "base")
    own = (f"model.path={base / 'base'}",)
    whole = _whole(folder / "whole", own)
    undisturbed = contents(whole)
    seconds = {name: stage["seconds"] for name, stage in _finished(whole).items()}
    found: dict[str, Any] = {"kills": Counter(), "stages": Counter(), "runs": 0, "differences": []}
    while (left := kills - found["kills"].total()) > 0:
        out = folder / f"run-{found['runs']}"
        drawn = set(rng.sample(sorted(seconds), min(left, len(seconds))))
        for target in (name for name in seconds if name in drawn):
            stage = _kill_once(out, own, rng, target, seconds[target], found["kills"])
            if stage is not None:
                found["stages"][stage] += 1
                say(f"{found['kills'].total()} kills, the last one in {stage}")
        now = contents(_whole(out, own))
        names = sorted({*undisturbed, *now})
        found["differences"] += [name for name in names if undisturbed.get(name) != now.get(name)]
        found["runs"] += 1
        shutil.rmtree(out)
    return found


def contents(run: Path) -> dict[str, Any]:
    """What a run ended in, by file: bytes, but without times and without the digests of files that hold times."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run).as_posix()
        if path.name == "log.jsonl":
            found[name] = [{k: v for k, v in row.items() if k != "step_time"} for row in read_jsonl(path)]
        elif name.startswith("evaluation/"):
            found[name] = [{k: v for k, v in row.items() if k != "asked"} for row in read_jsonl(path)]
        elif path.name == "report.md":
            found[name] = path.read_text(encoding="utf-8").partition("## Stages")[0]
        elif path.name not in ("manifest.json", "report.html", ".lock"):
            found[name] = path.read_bytes()
    return found


def _command(out: Path, own: tuple[str, ...], until: str = "report") -> list[str]:
    overrides = [part for setting in (*SMALL, *own) for part in ("--set", setting)]
    start = [sys.executable, "-B", "-c", "from indirect_rlvr.cli import app; app()"]
    return [*start, "run", "--domain", "template", "--out", str(out), "--until", until, *overrides]


def _whole(out: Path, own: tuple[str, ...], until: str = "report") -> Path:
    done = subprocess.run(_command(out, own, until), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the undisturbed run failed:\n{done.stderr[-2000:]}")
    return out


def _kill_once(
    out: Path, own: tuple[str, ...], rng: random.Random, target: str, seconds: float, kinds: "Counter[str]"
) -> str | None:
    """Start or resume the run and kill it in the stage `target`, which takes so many seconds, or right behind it;
    returns the stage it was in, None where the run ended first."""
    kind, moment = rng.choice((WRITING, ANY_TIME)), rng.uniform(0, seconds)
    said, began = out.with_suffix(".said"), None
    with (
        said.open("w") as stream,
        subprocess.Popen(_command(out, own), stdout=stream, stderr=subprocess.PIPE, text=True) as run,
    ):
        while run.poll() is None:
            if began is None and f"] {target}: " in said.read_text():
                began = time.monotonic()
            late = began is not None and time.monotonic() - began > moment / (2 if kind == WRITING else 1)
            if late and (kind == ANY_TIME or _half_written(out) or target in _finished(out)):
                run.kill()
                run.wait()
                kinds[kind] += 1
                return _at_work(said)
            time.sleep(0.0005)
        assert run.stderr is not None
        if run.returncode:
            raise SystemExit(f"a resumed run failed:\n{run.stderr.read()[-2000:]}")
    return None


def _half_written(out: Path) -> bool:
    """Whether a file or folder stands beside its final name, or a checkpoint has no mark yet."""
    unmarked = any(not (path / "complete.json").exists() for path in out.glob(".*.partial/checkpoint-*"))
    return unmarked or any(not path.name.endswith(".partial") for path in out.glob(".*.*"))


def _finished(out: Path) -> dict[str, Any]:
    """The finished stages of a run, in order."""
    try:
        stages: dict[str, Any] = json.loads((out / "manifest.json").read_text())["stages"]
    except (OSError, ValueError):
        return {}
    return stages


def _at_work(said: Path) -> str:
    """The stage that a run spoke of last."""
    lines = [line for line in said.read_text().splitlines() if line.startswith("[")]
    return lines[-1].partition("] ")[2].partition(":")[0]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = torment(Path(scratch), asked.kills, asked.seed)
    write_json(asked.result, {"command": "python benchmarks/chaos.py benchmarks/results/chaos.json --kills 50", **made})
