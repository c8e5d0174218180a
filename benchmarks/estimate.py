"""Hold the estimates against what they stand for: autograd's saved tensors, the peak of whole training steps on a CPU,
published step times; and against `results/gpu.json` where a GPU has made one.

    python benchmarks/estimate.py benchmarks/results/estimate.json

Random weights of small shapes, real trainers and images, no download. A peak is the most bytes of tensors alive after
any operation of a training: what an allocator on a GPU holds at the least.
"""

import argparse
import functools
import json
import platform
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapes
import torch
import transformers
import trl
import whole_step
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Trainer
from whole_step import Work, build_policy

from indirect_rlvr.config import Grpo, Model, Recipe, Sft
from indirect_rlvr.estimate import activations, hours, memory, parameters
from indirect_rlvr.estimate.activations import TILE, Pass
from indirect_rlvr.estimate.cards import CARDS
from indirect_rlvr.estimate.hours import Setting
from indirect_rlvr.estimate.memory import BAND
from indirect_rlvr.estimate.prompts import Prompts
from indirect_rlvr.estimate.published import configuration
from indirect_rlvr.estimate.shape import Shape, shape
from indirect_rlvr.training import models

GPU = Path(__file__).parent / "results" / "gpu.json"
SHAPES = {
    "narrow": functools.partial(
        shapes.tiny, hidden=256, ffn=768, layers=6, heads=4, depth=3, vision_hidden=96, vocabulary=330
    ),
    "wide": functools.partial(
        shapes.tiny, hidden=512, ffn=2048, layers=8, heads=8, depth=4, vision_hidden=192, vocabulary=3000
    ),
}
WORK = Work(prompts=2, images=3, patches=8, words=20, completion=48, group=4, micro_batch=4)
TILE_COPIES = 7
EASYR1 = {
    "Qwen/Qwen2.5-VL-3B-Instruct": (120.0,),
    "Qwen/Qwen2.5-VL-7B-Instruct": (120.0, 145.0),
}
"""Seconds a step in EasyR1's table: Geometry3k, 512 prompts of 5 rollouts, 8 x H100; about 750 tokens a rollout follow
from its 2,000 tokens a second and GPU, of which we take 350 as the prompt's."""


def main(arguments: list[str] | None = None) -> None:
    """Measure everything and write one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="the JSON to write")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    saved, steps = saved_tensors(), whole_steps()
    result = {
        "band": BAND,
        "saved_tensors": saved,
        "whole_steps": steps,
        "published_steps": published_steps(),
        "gpu": gpu_results(),
        "inside": {
            "whole_steps": sum(BAND[0] <= step["peak_over_estimate"] <= BAND[1] for step in steps),
            "of": len(steps),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "trl": trl.__version__,
        },
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def saved_tensors() -> list[dict[str, Any]]:
    """Bytes that autograd saves in a forward pass, over the estimate, for each shape and precision."""
    return [
        {"shape": name, "dtype": str(dtype).removeprefix("torch.")} | _saved(make(), dtype)
        for name, make in SHAPES.items()
        for dtype in (torch.float32, torch.bfloat16)
    ]


def _saved(config: Qwen2_5_VLConfig, dtype: torch.dtype) -> dict[str, float]:
    torch.manual_seed(0)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.to(dtype).train()  # type: ignore[arg-type]
    sizes, width = shape(config), 4 if dtype == torch.float32 else 2
    ids = torch.arange(400).reshape(2, 200) % 256
    mask = torch.ones_like(ids)
    mask[0, :7] = 0
    images, side = 3, 8
    pixels = torch.randn(images * side**2, 3 * 2 * 14 * 14).to(dtype)
    grid = torch.tensor([[1, side, side]] * images)
    with torch.autocast("cpu", torch.bfloat16, enabled=width == 2):
        text = kept_by(model, lambda: model.model(input_ids=ids, attention_mask=mask))
        vision = kept_by(model, lambda: model.model.visual(pixels, grid_thw=grid))
    one = Pass(2, 150, 2, 50, 0, shared=False)
    return {
        "text": round(text / activations.of_text(sizes, one, width, checkpointing=False)[0], 3),
        "vision": round(vision / activations.of_vision(sizes, images * side**2, width, checkpointing=False)[0], 3),
    }


def kept_by(model: PreTrainedModel, run: Callable[[], Any]) -> int:
    """Bytes of the storages that autograd saves while `run` is under way, parameters and buffers left out."""
    own = {value.untyped_storage().data_ptr() for value in (*model.parameters(), *model.buffers())}
    seen: dict[int, int] = {}
    held = []

    def pack(value: torch.Tensor) -> torch.Tensor:
        storage = value.untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
            held.append(value)  # so that no address is given away twice
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        run()
    return sum(seen.values())


def whole_steps() -> list[dict[str, Any]]:
    """Peaks of real training steps over their estimates."""
    found = []
    for name, make in SHAPES.items():
        for train_vision in (False, True):
            for checkpointing in (False, True):
                work = Work(**{**WORK.__dict__, "train_vision": train_vision})
                for stage in ("sft", "grpo"):
                    case = {"shape": name, "stage": stage, "train_vision": train_vision, "checkpointing": checkpointing}
                    found.append(case | _whole(make(), work, stage, checkpointing))
                    print(json.dumps(found[-1]), flush=True)
    return found


def _whole(config: Qwen2_5_VLConfig, work: Work, stage: str, checkpointing: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        policy = build_policy(config, torch.float32, "cpu")
        if not work.train_vision:
            models.freeze_vision(policy.model)
        make = whole_step.sft_trainer if stage == "sft" else whole_step.grpo_trainer
        trainer: Trainer = make(policy, work, Path(folder), checkpointing)
        peak = peak_of(policy.model, trainer)
        expected = expectation(config, work, stage, checkpointing)
    return {"peak": peak, "estimate": expected, "peak_over_estimate": round(peak / expected, 3)}


def peak_of(model: PreTrainedModel, trainer: Trainer) -> int:
    """The most bytes of tensors that are alive at one moment of a training."""
    alive = Alive()
    with alive:
        for value in (*model.parameters(), *model.buffers()):
            alive.add(value)
        trainer.train()
    return alive.peak


class Alive(TorchDispatchMode):
    """Counts the bytes of storages from the operation that makes one until it is freed; `peak` is the most so far."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = operation(*args, **(kwargs or {}))
        for value in tree_leaves(found):
            if isinstance(value, torch.Tensor):
                self.add(value)
        return found

    def add(self, value: torch.Tensor) -> None:
        """Count a tensor's storage, once."""
        storage = value.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known[key] = weakref.ref(storage, lambda _: self._freed(key, size))
            self.bytes += size
            self.peak = max(self.peak, self.bytes)

    def _freed(self, key: int, size: int) -> None:
        del self._known[key]
        self.bytes -= size


def expectation(config: Qwen2_5_VLConfig, work: Work, stage: str, checkpointing: bool) -> float:
    """The estimate for the same step, without what lies outside PyTorch."""
    options = {"gradient_checkpointing": checkpointing}
    recipe = Recipe(
        domain="none",
        model=Model(freeze_vision=not work.train_vision),
        sft=Sft(batch=work.micro_batch, trl=options),
        grpo=Grpo(
            prompts_per_step=work.prompts, group_size=work.group, max_completion_tokens=work.completion, trl=options
        ),
    )
    held, sizes, patches = parameters.count(config, recipe.model), shape(config), work.images * work.patches**2
    prompt = patches // 4 + 2 * work.images + work.words + whole_step.ROLES
    groups = max(1, work.micro_batch // work.group)
    shared = stage == "grpo"
    one = Pass(groups if shared else work.micro_batch, prompt, work.micro_batch, work.completion, patches, shared)
    if stage == "sft":
        return memory.sft(recipe, sizes, held, one, 1).tensors + on_cpu(sizes, one.tokens, one, trained=True)
    found = memory.grpo(recipe, sizes, held, one, 1, CARDS["h100"])
    first, everything = found.kept["weights"] + found.kept["images"], one.rows * (prompt + work.completion)
    update = found.tensors + on_cpu(sizes, one.rows * one.completion, one, trained=True)
    canary = first + on_cpu(sizes, everything, replace(one, rows=0), trained=False)
    return max(update, canary)


def on_cpu(sizes: Shape, tokens: int, one: Pass, *, trained: bool) -> float:
    """What TRL's head takes more where there is no Triton: it scores all tokens, and copies each tile of logits."""
    copies = TILE_COPIES * 4 * min(tokens, TILE[0]) * min(sizes.text.vocabulary, TILE[1])
    scored = activations.of_head(sizes, one.rows * one.completion, 4, trained=trained)
    return copies + activations.of_head(sizes, tokens, 4, trained=trained) - scored


def published_steps() -> list[dict[str, Any]]:
    """EasyR1's seconds a step and our band for the same work."""
    found = []
    for name, seconds in EASYR1.items():
        grpo = Grpo(
            steps=1, prompts_per_step=512, group_size=5, max_completion_tokens=400, shared_prefix=False,
            trl={"use_vllm": True, "gradient_checkpointing": True, "beta": 0.01},
        )  # fmt: skip
        recipe = Recipe(domain="none", model=Model(path=name, dtype="bfloat16", freeze_vision=False), grpo=grpo)
        prompts = Prompts(350, 350, 1000, 1000, 1, "EasyR1's Geometry3k, as far as its throughput says")
        of = Setting(recipe, shape(configuration(name)), prompts, 8, CARDS["h100"])
        low, high = (value * 3600 for value in hours.grpo(of))
        inside = all(low <= value <= high for value in seconds)
        found.append(
            {"model": name, "published_s": seconds, "band_s": [round(low, 1), round(high, 1)], "inside": inside}
        )
    return found


def gpu_results() -> Any:
    """Peaks over estimates from the GPU benchmark; a sentence where there are none yet."""
    if not GPU.is_file():
        return "none yet: benchmarks/gpu.py has not been run on a GPU"
    result = json.loads(GPU.read_text(encoding="utf-8"))
    cases = [*result["cases"], *result.get("sft", [])]
    return [case for case in cases if "peak_over_estimate" in case]


if __name__ == "__main__":
    main()
