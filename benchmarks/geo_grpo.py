"""The main job's GRPO steps with shared prompts and by TRL's own path, in turn, from the same SFT model.

    python benchmarks/geo_grpo.py benchmarks/results/geo_grpo.json

Five steps of the geo pack's default recipe a turn, the first one left out of the mean because it carries the canary;
two turns of each path. About five minutes on one thread. A second argument names a run folder to keep.
"""

import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

from indirect_rlvr import engine
from indirect_rlvr.data import proxy
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.run import read_jsonl, write_json
from indirect_rlvr.training import grpo

STEPS, TURNS = 5, 2


def measure(folder: Path) -> dict[str, Any]:
    """Seconds of a step by path, each turn's mean, and how many times faster shared prompts are."""
    seconds: dict[str, list[float]] = {"shared": [], "trl": []}
    for turn in range(TURNS):
        for name in seconds:
            run, recipe = engine.prepare("geo", "default", [f"grpo.steps={STEPS}"], folder)
            engine.execute(run, recipe, None, "sft")
            settings = run.recipe.grpo.model_copy(update={"shared_prefix": name == "shared"})
            tasks = [task for task in proxy.read(folder / "tasks.jsonl") if task.split == "train"]
            reward, out = build(run.recipe.reward, run.domain.rewards()), folder / f"{name}-{turn}"
            grpo.train(folder / "sft", tasks, run.domain, run.views, reward, settings, run.recipe.model, out, 0)
            seconds[name].append(mean(row["step_time"] for row in read_jsonl(out / "log.jsonl")[1:]))
            print(name, seconds[name], flush=True)
    return {"seconds of a step": seconds, "times faster": mean(seconds["trl"]) / mean(seconds["shared"])}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch) / "run"
        found = measure(kept)
    write_json(
        Path(sys.argv[1]), {"command": "python benchmarks/geo_grpo.py benchmarks/results/geo_grpo.json", **found}
    )
