"""Measure shared-prefix GRPO against TRL's own path, side by side in one run: exactness, cost, growth.

    python benchmarks/grpo_step.py benchmarks/results/grpo_step.json

One thread, random weights, no download. Times are CPU seconds, medians over alternating rounds; the peak of memory is
that of a fresh process doing one update, above what it held before. Beside the JSON lies a plot (SVG) of how the ratios
grow. The whole takes about 25 minutes; `--quick` takes every 29th case of the matrix and one round, and leaves the
sweep out. The whole step (preprocess, generate, score, update, optimizer) is that of `whole_step`.
"""

import argparse
import json
import math
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from matplotlib import rc_context
from matplotlib.figure import Figure
from prefix_cases import (
    CONFIGS,
    KL,
    LOSSES,
    QWEN_IDS,
    QWEN_VISION,
    TEXT,
    VISION,
    Shape,
    apart,
    build_model,
    build_trainer,
    off,
    random_batch,
    shake,
    step,
    use,
)
from transformers import AutoConfig, PreTrainedModel
from transformers.utils import logging
from whole_step import Work, measure

from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer

ALLOWED = {torch.float64: 1e-6, torch.float32: 1e-5}
ROUNDS = 5
BASE = {"images": 6, "side": 20, "completion": 96, "group": 8}
"""634 prompt tokens: six images of 20 × 20 patches (100 tokens each) and 34 words."""
LONG = BASE | {"side": 30}
"""1,384 prompt tokens: 225 to an image."""


SWEEP = {
    "side": [8, 14, 20, 26, 30],
    "group": [2, 4, 8, 16],
    "images": [1, 2, 4, 6, 8],
}
"""What varies around `BASE`, one at a time; sides of 8 to 30 patches give 130 to 1,384 prompt tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", type=Path)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    rounds = 1 if given.quick else ROUNDS
    found: dict[str, Any] = {"exactness": exactness(given.quick)}
    found["ten steps"] = {str(dtype).removeprefix("torch."): ten_steps(dtype) for dtype in ALLOWED}
    found["update"] = [ratio(case, rounds) | memory(case) for case in (BASE, LONG)]
    found["whole step"] = whole_step(1 if given.quick else 3)
    if not given.quick:
        found["sweep"] = {name: [ratio(BASE | {name: v}, 3) for v in values] for name, values in SWEEP.items()}
        plot(found["sweep"], given.path.with_suffix(".svg"))
    given.path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def exactness(quick: bool) -> dict[str, Any]:
    """The largest relative differences by precision and family over every case of the matrix; in float32 also how far
    the loss of each path lies from its value in float64."""
    images = ((0, 0), (1, 1), (2, 1))
    axes = list(product(LOSSES, KL, (False, True), images, (1, 2)))
    found: dict[str, Any] = {"axes": {
        "model": list(CONFIGS), "loss": list(LOSSES), "divergence": list(KL), "ragged": [False, True],
        "images of each prompt": images, "accumulation": [1, 2],
    }}  # fmt: skip
    for dtype, allowed in ALLOWED.items():
        for family in CONFIGS:
            cases = [case for case in axes if family in VISION or not any(case[3])][:: 29 if quick else 1]
            worst = _worst(family, dtype, cases)
            holds = max(worst[what] for what in ("log-probabilities", "entropies", "loss", "gradients")) <= allowed
            name = str(dtype).removeprefix("torch.")
            found.setdefault(name, {})[family] = {"cases": len(cases), **worst, "allowed": allowed, "holds": holds}
            print(name, family, found[name][family], flush=True)
    return found


def _worst(family: str, dtype: torch.dtype, cases: list[tuple[Any, ...]]) -> dict[str, float]:
    trainer, exact = _trainer(family, dtype), _trainer(family, torch.float64)
    model, its_double = _model(trainer), _model(exact)
    shake(model)
    its_double.load_state_dict(model.state_dict())
    worst: dict[str, float] = {}
    for number, (loss, kl, ragged, images, accumulation) in enumerate(cases):
        shape = Shape(images, group=2, ragged=ragged, accumulation=accumulation)
        batch = random_batch(model.config, shape, dtype, seed=number)
        use(trainer, LOSSES[loss] | KL[kl], accumulation)
        theirs, ours = (step(trainer, batch, packed=packed) for packed in (False, True))
        found = apart(ours, theirs)
        if dtype is not torch.float64:
            use(exact, LOSSES[loss] | KL[kl], accumulation)
            true = step(exact, _in_float64(batch), packed=False)
            found["loss, TRL to float64"] = off(theirs, true)
            found["loss, packed to float64"] = off(ours, true)
        for name, value in found.items():
            worst[name] = max(worst.get(name, 0.0), value)
    return worst


def _trainer(family: str, dtype: torch.dtype) -> SharedPrefixTrainer:
    with tempfile.TemporaryDirectory() as folder:
        return build_trainer(build_model(CONFIGS[family](), dtype), Path(folder))


def _model(trainer: SharedPrefixTrainer) -> PreTrainedModel:
    assert isinstance(trainer.model, PreTrainedModel)
    return trainer.model


def _in_float64(batch: dict[str, Any]) -> dict[str, Any]:
    """The same batch, its pixels for a model in float64."""
    return {name: value.double() if name == "pixel_values" else value for name, value in batch.items()}


def ten_steps(dtype: torch.dtype) -> dict[str, float]:
    """How far the weights of a Qwen2.5-VL lie apart after ten steps of AdamW on the same ten batches, relative to all
    weights; and how far they went."""
    ends = []
    for packed in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            trainer = build_trainer(build_model(CONFIGS["qwen2_5_vl"](), dtype), Path(folder))
        use(trainer, LOSSES["dapo"] | KL["k3"], 2)
        model = _model(trainer)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        start = _weights(model)
        for seed in range(10):
            step(trainer, random_batch(model.config, Shape(), dtype, seed), packed=packed)
            optimizer.step()
        ends.append(_weights(model))
    theirs, ours = ends
    return {
        "apart": ((ours - theirs).norm() / theirs.norm()).item(),
        "moved": ((theirs - start).norm() / theirs.norm()).item(),
        "allowed": 1e-4,
    }


def _weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().double().flatten() for value in model.parameters()])


def update_model() -> Any:
    """About 4.5 M parameters in the proportions of Qwen2.5-VL, the vision tower trained."""
    text = TEXT | {
        "hidden_size": 224, "intermediate_size": 672, "num_hidden_layers": 6, "num_attention_heads": 4,
        "rope_parameters": {"rope_type": "default", "mrope_section": [8, 10, 10], "rope_theta": 10_000.0},
    }  # fmt: skip
    vision = QWEN_VISION | {
        "depth": 4, "hidden_size": 128, "intermediate_size": 256, "num_heads": 4, "out_hidden_size": 224,
        "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1, 3],
    }  # fmt: skip
    return AutoConfig.for_model("qwen2_5_vl", text_config=text, vision_config=vision, **QWEN_IDS)


class Update:
    """Forward and backward of one group, on either path, in float32."""

    def __init__(self, images: int, side: int, completion: int, group: int) -> None:
        self.model = build_model(update_model(), torch.float32)
        with tempfile.TemporaryDirectory() as folder:
            self.trainer = build_trainer(self.model, Path(folder))
        use(self.trainer, {"loss_type": "dapo", "beta": 0.0}, 1)
        shape = Shape((images,), group, 34 - 2 * images, completion, side, ragged=False)
        self.batch = random_batch(self.model.config, shape, torch.float32)
        self.prompt_tokens = self.batch["prompt_ids"].size(1)

    def __call__(self, packed: bool) -> None:
        self.trainer._packs = packed
        self.model.zero_grad()
        self.trainer._compute_loss(self.model, self.batch).backward()  # type: ignore[no-untyped-call]


def ratio(case: dict[str, int], rounds: int) -> dict[str, float]:
    """TRL's seconds over ours for one update, and the bound that counting tokens gives."""
    update = Update(**case)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(rounds + 1):
        for packed in (False, True):
            began = time.process_time()
            update(packed)
            if turn:  # the first warms up, and runs the canary
                seconds[packed].append(time.process_time() - began)
    trl, ours = (statistics.median(seconds[packed]) for packed in (False, True))
    prompt, completion, group = update.prompt_tokens, case["completion"], case["group"]
    bound = group * (prompt + completion) / (prompt + group * completion)
    return {
        **case, "prompt_tokens": prompt, "parameters": sum(v.numel() for v in update.model.parameters()),
        "trl_s": round(trl, 4), "ours_s": round(ours, 4), "times_faster": round(trl / ours, 2),
        "bound_of_tokens": round(bound, 2),
    }  # fmt: skip


def whole_step(steps: int) -> dict[str, Any]:
    """Seconds of a step by phase on each path, at 1,384 prompt tokens or a few more; everything shared against TRL."""
    work = Work(
        1, LONG["images"], LONG["side"], 10, LONG["completion"], LONG["group"], LONG["group"], train_vision=True
    )
    options: dict[str, Any] = {"steps": steps, "dtype": torch.float32, "device": "cpu", "until": math.inf}
    trl, ours = (measure(update_model(), work, shared=shared, **options) for shared in (False, True))
    phases = {name: round(trl["seconds"][name] / max(ours["seconds"][name], 1e-4), 2) for name in trl["seconds"]}
    return {"trl": trl, "ours": ours, "times_faster": phases}


def memory(case: dict[str, int]) -> dict[str, Any]:
    """Peaks of one update on each path, in MB, each in a fresh process."""
    spawn = multiprocessing.get_context("spawn")
    peaks = {}
    for packed in (False, True):
        with spawn.Pool(1) as pool:
            peaks[packed] = pool.apply(_peak, (case, packed))
    return {
        "trl_peak_mb": round(peaks[False]), "ours_peak_mb": round(peaks[True]),
        "part_of_memory": round(peaks[True] / peaks[False], 3),
    }  # fmt: skip


def _peak(case: dict[str, int], packed: bool) -> float:
    """Resident memory at its peak during the second update, above what was held before it; the first update, of a
    small group, loads what is loaded once."""
    torch.set_num_threads(1)
    small = Update(**case | {"side": 4})
    small(packed)
    update = Update(**case)
    update.trainer._canary = small.trainer._canary
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    update(packed)
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    """A line of /proc/self/status, in KB (Linux)."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found.group(1))


def plot(sweep: dict[str, list[dict[str, float]]], path: Path) -> None:
    """One panel for each thing that varies: the ratio measured, and the bound that counting tokens gives."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    labels = {"side": ("prompt_tokens", "prompt tokens"), "group": ("group", "G"), "images": ("images", "images")}
    for axes, (name, rows) in zip(figure.subplots(1, len(sweep)), sweep.items(), strict=True):
        key, label = labels[name]
        x = [row[key] for row in rows]
        axes.plot(x, [row["times_faster"] for row in rows], "o-", label="measured")
        axes.plot(x, [row["bound_of_tokens"] for row in rows], "--", color="grey", label="G(P+C) / (P+GC)")
        axes.set(xlabel=label, ylabel="times faster than TRL", ylim=(0, None))
        axes.legend(frameon=False)
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "grpo_step"}):
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
