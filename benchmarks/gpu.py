"""Time GRPO steps of Qwen2.5-VL-3B and 7B shapes on one H200: shared prompts, TRL's path, and the floors under both;
and one SFT step of each. The peak of memory stands beside its estimate.

    python benchmarks/gpu.py benchmarks/results/gpu.json

bfloat16, random weights built from the configuration, no download; all within `--budget` seconds (540). Cases that no
longer fit the time or the memory are in the result by name. `--rehearse` runs the same code with tiny shapes on a CPU.
Without a GPU it says so and ends with status 1.
"""

import argparse
import gc
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from shapes import PEAK_BYTES, PEAK_FLOPS, SIZES, config, floors, rehearsal, tokens_per_second
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from whole_step import ROLES, Work, measure, measure_sft

from indirect_rlvr.config import Grpo, Model, Recipe
from indirect_rlvr.errors import RlvrError
from indirect_rlvr.estimate import memory
from indirect_rlvr.estimate import parameters as counted
from indirect_rlvr.estimate.activations import Pass
from indirect_rlvr.estimate.cards import CARDS
from indirect_rlvr.estimate.memory import BAND, Memory
from indirect_rlvr.estimate.shape import shape
from indirect_rlvr.estimate.work import Load, generation_bytes, generation_flops, update_bytes, update_flops

WORK = Work(prompts=4, images=6, patches=30, words=30, completion=256, group=8, micro_batch=8)
"""About 1,400 prompt tokens; every micro-batch is one group."""
REHEARSAL = Work(prompts=2, images=2, patches=4, words=3, completion=8, group=2, micro_batch=2)
STEPS = 3
"""Counted steps of a case, where there is time."""
RESERVE = 20.0
"""Seconds kept for writing the result."""


def main(arguments: list[str] | None = None) -> None:
    """Run every case that fits and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="the JSON to write")
    parser.add_argument("--budget", type=float, default=540.0, help="seconds for everything")
    parser.add_argument("--sizes", nargs="+", choices=sorted(SIZES), default=sorted(SIZES))
    parser.add_argument("--rehearse", action="store_true", help="tiny shapes on a CPU")
    asked = parser.parse_args(arguments)
    if not asked.rehearse and not torch.cuda.is_available():
        sys.exit(
            "there is no CUDA device: nothing was measured; --rehearse runs the same code with tiny shapes on a CPU"
        )
    ends = time.monotonic() + asked.budget - (0 if asked.rehearse else RESERVE)
    sizes = (
        {"rehearsal": rehearsal} if asked.rehearse else {size: (lambda size=size: config(size)) for size in asked.sizes}
    )
    waiting = [(size, shared) for size in sizes for shared in (True, False)]
    cases: list[dict[str, Any]] = []
    sft: list[dict[str, Any]] = []
    for place, (size, shared) in enumerate(waiting):
        share = (ends - time.monotonic()) / (len(waiting) - place)
        cases.append({"size": size} | case(sizes[size](), shared, time.monotonic() + share, ends, asked.rehearse))
        write(asked.out, cases, sft, asked.rehearse)
    for size, make in sizes.items():
        sft.append({"size": size} | sft_case(make(), ends, asked.rehearse))
        write(asked.out, cases, sft, asked.rehearse)


def write(out: Path, cases: list[dict[str, Any]], sft: list[dict[str, Any]], rehearse: bool) -> None:
    """Write what was measured so far, and print the last of it: a later case may take the process with it."""
    print(json.dumps((cases + sft)[-1]), flush=True)
    result = {"about": about(rehearse), "cases": cases, "ratios": ratios(cases), "sft": sft}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def case(model: Qwen2_5_VLConfig, shared: bool, until: float, ends: float, rehearse: bool) -> dict[str, Any]:
    """One model on one path; `skipped` where no time is left, memory runs out or a guard of ours stops it."""
    named = {"path": "shared" if shared else "trl"}
    if time.monotonic() > ends:
        return named | {"skipped": "no time was left"}
    work, device, dtype = place(rehearse)
    try:
        found = measure(model, work, shared=shared, steps=STEPS, dtype=dtype, device=device, until=until)
    except torch.cuda.OutOfMemoryError as error:
        return named | {"skipped": f"out of memory: {str(error).splitlines()[0]}"}
    except RlvrError as error:
        return named | {"skipped": str(error)}
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    one = Pass(
        max(1, work.micro_batch // work.group), found["prompt_tokens"], work.micro_batch, work.completion,
        work.images * work.patches**2, shared,
    )  # fmt: skip
    expected = estimated(model, work, one, "grpo", rehearse)
    return found | expected | against(found, expected) | judged(model, work, found, shared, 4 if rehearse else 2)


def sft_case(model: Qwen2_5_VLConfig, ends: float, rehearse: bool) -> dict[str, Any]:
    """One SFT step of one model, of the same prompts as a GRPO step's micro-batch."""
    if time.monotonic() > ends:
        return {"skipped": "no time was left"}
    work, device, dtype = place(rehearse)
    try:
        found = measure_sft(model, work, steps=1, dtype=dtype, device=device)
    except torch.cuda.OutOfMemoryError as error:
        return {"skipped": f"out of memory: {str(error).splitlines()[0]}"}
    finally:
        gc.collect()
        torch.cuda.empty_cache()
    patches = work.images * work.patches**2
    prompt = patches // 4 + 2 * work.images + work.words + ROLES
    one = Pass(work.micro_batch, prompt, work.micro_batch, work.completion, patches, shared=False)
    expected = estimated(model, work, one, "sft", rehearse)
    return found | expected | against(found, expected)


def place(rehearse: bool) -> tuple[Work, str, torch.dtype]:
    """What is done, where, in which precision."""
    return (REHEARSAL, "cpu", torch.float32) if rehearse else (WORK, "cuda", torch.bfloat16)


def estimated(model: Qwen2_5_VLConfig, work: Work, one: Pass, stage: str, rehearse: bool) -> dict[str, Any]:
    """The peak of tensors that `indirect_rlvr.estimate` expects, with its band."""
    dtype = "float32" if rehearse else "bfloat16"
    grpo = Grpo(prompts_per_step=work.prompts, group_size=work.group, max_completion_tokens=work.completion)
    recipe = Recipe(domain="none", model=Model(dtype=dtype, freeze_vision=not work.train_vision), grpo=grpo)
    held, sizes = counted.count(model, recipe.model), shape(model)
    found: Memory = (
        memory.sft(recipe, sizes, held, one, 1)
        if stage == "sft"
        else memory.grpo(recipe, sizes, held, one, 1, CARDS["h200"])
    )
    return {"estimated_bytes": round(found.tensors), "estimated_band": [round(end * found.tensors) for end in BAND]}


def against(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, float]:
    """The measured peak over the estimate; nothing where no GPU measured it."""
    if "peak_bytes" not in found:
        return {}
    return {"peak_over_estimate": round(found["peak_bytes"] / expected["estimated_bytes"], 3)}


def judged(model: Qwen2_5_VLConfig, work: Work, found: dict[str, Any], shared: bool, width: int) -> dict[str, Any]:
    """Throughput, utilisation, floors and the gap to them; `width` bytes a number."""
    patches = work.images * work.patches**2
    load = Load(work.prompts, found["prompt_tokens"], work.completion, work.group, patches, work.images)
    sizes = shape(model)
    seconds, micro_batches = found["seconds"], work.prompts * work.group // work.micro_batch
    total, trained = parameters(model)
    update = update_flops(sizes, load, shared=shared)
    least = {
        "update": floors(update, update_bytes(total, trained, micro_batches, width)),
        "generate": floors(
            generation_flops(sizes, load, shared=shared),
            generation_bytes(sizes, load, shared=shared, width=width),
        ),
    }
    taken = {"update": seconds["update"] + seconds["optimizer"], "generate": seconds["generate"]}
    whole = update_flops(sizes, load, shared=False)
    return {
        "parameters": total,
        "trained": trained,
        "tokens_per_s_per_gpu": round(tokens_per_second(load, seconds["whole"]), 1),
        "mfu": round(update / taken["update"] / PEAK_FLOPS, 4),
        "mfu_had_every_rollout_its_own_prompt": round(whole / taken["update"] / PEAK_FLOPS, 4),
        "floors": {phase: {kind: round(s, 5) for kind, s in both.items()} for phase, both in least.items()},
        "times_the_floor": {phase: round(taken[phase] / max(both.values()), 2) for phase, both in least.items()},
    }


def parameters(model: Qwen2_5_VLConfig) -> tuple[int, int]:
    """All parameters, and those outside the frozen vision tower."""
    with torch.device("meta"):
        built = Qwen2_5_VLForConditionalGeneration(model)
    total = sum(value.numel() for value in built.parameters())
    return total, total - sum(value.numel() for value in built.model.visual.parameters())


def ratios(cases: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """TRL's seconds and bytes over ours for each size that ran on both paths."""
    ran = {(one["size"], one["path"]): one for one in cases if "skipped" not in one}
    found: dict[str, dict[str, float]] = {}
    for size in sorted({size for size, path in ran if (size, "trl") in ran and (size, "shared") in ran}):
        ours, trl_path = ran[size, "shared"], ran[size, "trl"]
        timed = ("whole", "update", "generate")
        found[size] = {name: round(trl_path["seconds"][name] / ours["seconds"][name], 2) for name in timed}
        if "peak_bytes" in ours:
            found[size]["peak_bytes"] = round(trl_path["peak_bytes"] / ours["peak_bytes"], 2)
    return found


def about(rehearse: bool) -> dict[str, Any]:
    """What the numbers belong to."""
    return {
        "device": "cpu, rehearsal" if rehearse else torch.cuda.get_device_name(),
        "work": (REHEARSAL if rehearse else WORK).__dict__,
        "peak_flops": PEAK_FLOPS,
        "peak_bytes_per_s": PEAK_BYTES,
        "tokens_per_s_per_gpu": "prompt and response tokens of every rollout, image tokens included, over whole steps",
        "vision_tower": "frozen",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "trl": trl.__version__,
        },
    }


if __name__ == "__main__":
    main()
