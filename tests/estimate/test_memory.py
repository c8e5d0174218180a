"""Memory by part: counted by hand, against autograd on a real model, and in order where a setting changes it."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from indirect_rlvr.config import Grpo, Lora, Model, Parallel, Recipe, Sft
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.estimate import activations, fits, hours, memory, work
from indirect_rlvr.estimate.activations import Pass
from indirect_rlvr.estimate.cards import CARDS, GIB, Card, known
from indirect_rlvr.estimate.estimate import grpo_pass, sft_pass
from indirect_rlvr.estimate.memory import BAND, VLLM, Memory
from indirect_rlvr.estimate.parameters import Parameters
from indirect_rlvr.estimate.prompts import Prompts
from indirect_rlvr.estimate.published import configuration
from indirect_rlvr.estimate.shape import shape

HELD = Parameters(vision=100, language=800, embeddings=60, head=40, adapters=0, trained=900)
SEVEN = configuration("Qwen/Qwen2.5-VL-7B-Instruct")
SEEN = Prompts(2000, 2200, 7776, 7776, 6, "")
ONE = Pass(prompts=1, prompt=2200, rows=8, completion=2048, patches=7776, shared=True)


def recipe(strategy: str = "ddp", dtype: str = "bfloat16", rank: int = 0, **options: object) -> Recipe:
    model = Model(dtype=dtype, freeze_vision=False, lora=Lora(rank=rank))
    return Recipe(domain="none", model=model, parallel=Parallel(strategy=strategy), grpo=Grpo(trl=dict(options)))


def test_a_batch_that_processes_cannot_share_is_refused_as_the_training_refuses_it() -> None:
    with pytest.raises(ConfigError, match="the 6 samples of a step of `sft` cannot be dealt out evenly to 4 processes"):
        sft_pass(Recipe(domain="none", sft=Sft(batch=6)), SEEN, 4)
    with pytest.raises(ConfigError, match="`grpo.prompts_per_step` is 6 on 4 processes; it must be a multiple of them"):
        grpo_pass(Recipe(domain="none", grpo=Grpo(prompts_per_step=6)), SEEN, 4)
    with pytest.raises(ConfigError, match="`grpo.trl.per_device_train_batch_size` is 'x'; it must divide the 8 sam"):
        one = Grpo(prompts_per_step=1, group_size=8, trl={"per_device_train_batch_size": "x"})
        grpo_pass(Recipe(domain="none", grpo=one), SEEN, 1)


def test_the_largest_part_of_a_batch_is_taken_where_the_recipe_does_not_say() -> None:
    assert sft_pass(Recipe(domain="none", sft=Sft(batch=120)), SEEN, 1).rows == 60
    assert sft_pass(Recipe(domain="none", sft=Sft(trl={"per_device_train_batch_size": 2}, batch=64)), SEEN, 8).rows == 2


def test_a_recipe_for_other_processes_is_refused_and_any_number_is_taken_where_it_names_none() -> None:
    made = Recipe(domain="none", parallel=Parallel(processes=8))
    with pytest.raises(
        ConfigError, match=r"made for 8 processes .* has 1.*; start it with --nproc 8, or so many over all machines"
    ):
        fits.require_processes(made, 1)
    fits.require_processes(made, 8)
    fits.require_processes(Recipe(domain="none"), 5)


def test_a_gpu_that_does_not_hold_the_weights_is_refused_with_the_parts() -> None:
    whole = recipe(dtype="mixed").model_copy(update={"model": Model(path="Qwen/Qwen2.5-VL-7B-Instruct", dtype="mixed")})
    small = Card("a small one", 24 * GIB, 1e14, 1e12)
    with pytest.raises(
        ConfigError, match=r"keeps .* GB on each of 1 GPUs \(weights 33.2 GB.*`a small one` has 25.8 GB"
    ):
        fits.require_memory(whole, 1, small)
    fits.require_memory(whole, 1, Card("a large one", 200 * GIB, 1e14, 1e12))


@pytest.mark.parametrize(
    ("strategy", "dtype", "processes", "expected"),
    [
        ("ddp", "bfloat16", 1, (2000, 1800, 3600)),
        ("ddp", "bfloat16", 2, (2000, 3600, 3600)),  # gradients a second time, in buckets
        ("ddp", "mixed", 1, (4000, 3600, 7200)),
        ("ddp", "float32", 1, (4000, 3600, 7200)),
        ("fsdp2", "bfloat16", 4, (1000, 900, 1800)),  # all in float32
        ("fsdp2", "bfloat16", 1, (2000, 1800, 3600)),  # alone there is nothing to shard
        ("zero3", "bfloat16", 4, (500, 450, 2700)),  # with a float32 copy beside the moments
        ("zero3", "float32", 4, (1000, 900, 1800)),
    ],
)
def test_weights_gradients_and_moments_are_counted_by_hand(
    strategy: str, dtype: str, processes: int, expected: tuple[float, ...]
) -> None:
    kept = memory.kept(HELD, memory.spread(recipe(strategy, dtype), processes))
    assert tuple(kept.values()) == expected


def test_adapters_are_in_float32_beside_frozen_weights_and_need_no_reference() -> None:
    held = Parameters(100, 800, 60, 40, adapters=10, trained=10)
    asked = recipe(rank=4, beta=0.1)
    assert tuple(memory.kept(held, memory.spread(asked, 1)).values()) == (2040, 40, 80)
    found = memory.grpo(asked, shape(SEVEN), held, ONE, 1, CARDS["h100"])
    assert "reference model" not in found.kept
    assert "reference model" in memory.grpo(recipe(beta=0.1), shape(SEVEN), HELD, ONE, 1, CARDS["h100"]).kept


def test_offloaded_shards_leave_the_gpu() -> None:
    asked = recipe("fsdp2").model_copy(update={"parallel": Parallel(strategy="fsdp2", offload=True)})
    assert sum(memory.kept(HELD, memory.spread(asked, 4)).values()) == 0
    assert memory.host(asked, HELD, 4) > memory.host(recipe("fsdp2"), HELD, 4)


def test_a_sleeping_sampler_and_the_update_take_turns() -> None:
    card, sizes = CARDS["h100"], shape(SEVEN)
    awake = memory.grpo(recipe(use_vllm=True), sizes, HELD, ONE, 1, card)
    asleep = memory.grpo(recipe(use_vllm=True, vllm_enable_sleep_mode=True), sizes, HELD, ONE, 1, card)
    assert awake.kept[VLLM] == asleep.sample[VLLM] == pytest.approx(0.3 * card.memory)
    assert asleep.peak == sum(asleep.kept.values()) + max(sum(asleep.update.values()), asleep.sample[VLLM])
    assert awake.peak == pytest.approx(asleep.peak + min(sum(asleep.update.values()), asleep.sample[VLLM]))


def test_the_band_is_around_what_is_estimated_and_not_around_what_is_reserved() -> None:
    used = Memory({"weights": 10.0, "overhead": 2.0}, {"activations": 5.0}, {VLLM: 100.0})
    assert used.peak == 112 and used.tensors == 110
    assert used.band == (12 * BAND[0] + 100, 12 * BAND[1] + 100)


def test_vllm_s_share_is_held_against_its_weights() -> None:
    sizes, held = shape(SEVEN), Parameters(0, 8_292_166_656, 0, 0, 0, 1)
    asked = recipe(use_vllm=True, vllm_gpu_memory_utilization=0.1)
    assert memory.vllm_room(asked, sizes, held, CARDS["h100"]) < 0
    half = recipe(use_vllm=True, vllm_gpu_memory_utilization=0.1, vllm_tensor_parallel_size=4)
    assert memory.vllm_room(half, sizes, held, CARDS["h100"]) > 0


def test_checkpointing_and_sharing_take_less_and_more_tokens_take_more() -> None:
    sizes = shape(SEVEN)
    apart = Pass(1, 2200, 8, 2048, 7776, shared=False)
    assert sum(activations.of_text(sizes, ONE, 2, checkpointing=True)) < sum(
        activations.of_text(sizes, ONE, 2, checkpointing=False)
    )
    assert sum(activations.of_text(sizes, ONE, 2, checkpointing=True)) < sum(
        activations.of_text(sizes, apart, 2, checkpointing=True)
    )
    assert (
        activations.of_vision(sizes, 200, 2, checkpointing=False)[0]
        == 2 * (activations.of_vision(sizes, 100, 2, checkpointing=False)[0])
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_autograd_saves_is_what_is_counted(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    estimate: ModuleType = importlib.import_module("estimate")
    found = estimate._saved(estimate.SHAPES["narrow"](), dtype)
    assert 0.97 < found["text"] < 1.03 and 0.95 < found["vision"] < 1.05


def test_hours_hold_the_published_steps_of_easyr1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    estimate: ModuleType = importlib.import_module("estimate")
    assert [step["inside"] for step in estimate.published_steps()] == [True, True]


def test_hours_follow_steps_processes_and_the_card() -> None:
    def band(steps: int, processes: int, card: str) -> tuple[float, float]:
        asked = Recipe(domain="none", model=Model(dtype="bfloat16"), grpo=Grpo(steps=steps, trl={"use_vllm": True}))
        return hours.grpo(hours.Setting(asked, shape(SEVEN), SEEN, processes, CARDS[card]))

    low, high = band(100, 1, "h100")
    assert 0 < low < high
    assert band(200, 1, "h100") == pytest.approx((2 * low, 2 * high))
    assert band(100, 8, "h100")[1] < high and band(100, 1, "a100")[1] > high


def test_qwen3_has_its_own_arithmetic() -> None:
    eight = shape(configuration("Qwen/Qwen3-VL-8B-Instruct"))
    load = work.Load(1, 2000, 500, 8, 6000, 6)
    assert 0.8 < work.update_flops(eight, load, shared=True) / work.update_flops(shape(SEVEN), load, shared=True) < 1.3
    assert work.vision_flops(eight, 0, 0) == 0


def test_an_unknown_card_keeps_its_own_memory() -> None:
    assert known("NVIDIA H200", 5.0) == Card("NVIDIA H200", 5.0, CARDS["h200"].flops, CARDS["h200"].traffic)
    assert known("Mystery 9", 7.0).memory == 7.0


def test_sft_keeps_no_reference_and_samples_nothing() -> None:
    asked = Recipe(domain="none", model=Model(dtype="bfloat16"), sft=Sft(batch=8), grpo=Grpo(trl={"beta": 0.1}))
    found = memory.sft(asked, shape(SEVEN), HELD, ONE, 1)
    assert "reference model" not in found.kept and not found.sample
