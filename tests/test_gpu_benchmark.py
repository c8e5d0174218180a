"""The GPU benchmark counts what is there, says when there is no GPU, keeps to its time, and rehearses on a CPU."""

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2_5_VLForConditionalGeneration
from trl import GRPOTrainer

from indirect_rlvr.estimate import work
from indirect_rlvr.estimate.shape import shape
from indirect_rlvr.estimate.work import Load
from indirect_rlvr.training import canary

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture()
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("gpu")


@pytest.fixture()
def shapes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("shapes")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so_and_writes_nothing(gpu: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no CUDA device: nothing was measured; --rehearse runs") as ended:
        gpu.main([str(tmp_path / "gpu.json")])
    assert isinstance(ended.value.code, str)  # printed to stderr; the status is 1
    assert list(tmp_path.iterdir()) == []


def test_without_time_left_every_case_is_skipped_by_name(gpu: ModuleType, tmp_path: Path) -> None:
    gpu.main([str(tmp_path / "new" / "gpu.json"), "--rehearse", "--budget", "0"])
    result = json.loads((tmp_path / "new" / "gpu.json").read_text())
    assert result["cases"] == [
        {"size": "rehearsal", "path": path, "skipped": "no time was left"} for path in ("shared", "trl")
    ]
    assert result["ratios"] == {}
    assert result["sft"] == [{"size": "rehearsal", "skipped": "no time was left"}]


def test_a_case_that_exceeds_memory_is_skipped_and_the_others_stand(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB\nmore")

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", full)  # the shared path has its own
    gpu.main([str(tmp_path / "gpu.json"), "--rehearse"])
    ours, theirs = json.loads((tmp_path / "gpu.json").read_text())["cases"]
    assert ours["seconds"]["whole"] > 0
    assert theirs["skipped"] == "out of memory: CUDA out of memory. Tried to allocate 9 GiB"


def test_a_case_that_a_guard_stops_is_skipped_and_the_others_stand(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(canary.TOLERANCE, torch.float32, (-1.0, -1.0))
    gpu.main([str(tmp_path / "gpu.json"), "--rehearse"])
    ours, theirs = json.loads((tmp_path / "gpu.json").read_text())["cases"]
    assert ours["skipped"].startswith("packed and ordinary log-probabilities of the first batch differ")
    assert theirs["seconds"]["whole"] > 0


def test_what_was_measured_stands_when_a_later_case_takes_the_process_with_it(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(GRPOTrainer, "_generate_single_turn", fails)  # the shared path has its own
    with pytest.raises(RuntimeError, match="illegal memory access"):
        gpu.main([str(tmp_path / "gpu.json"), "--rehearse"])
    [ours] = json.loads((tmp_path / "gpu.json").read_text())["cases"]
    assert ours["path"] == "shared" and ours["seconds"]["whole"] > 0


def test_a_rehearsal_runs_both_paths_from_files_to_ratios(gpu: ModuleType, tmp_path: Path) -> None:
    gpu.main([str(tmp_path / "gpu.json"), "--rehearse"])
    result = json.loads((tmp_path / "gpu.json").read_text())
    assert [(case["path"], case["steps"]) for case in result["cases"]] == [("shared", 3), ("trl", 3)]
    for case in result["cases"]:
        seconds = case["seconds"]
        parts = sum(seconds[phase] for phase in ("preprocess", "generate", "score", "update", "optimizer"))
        assert parts == pytest.approx(seconds["whole"], rel=0.3)
        assert all(value >= 0 for value in seconds.values())
        assert 1e5 < case["estimated_band"][0] < case["estimated_bytes"] < case["estimated_band"][1] < 1e7
        assert case["prompt_tokens"] == 2 * (4 + 2) + 6 + 3  # images with their markers, roles, words
        rollouts = 2 * 2 * (case["prompt_tokens"] + case["completion_tokens"])
        assert case["tokens_per_s_per_gpu"] == pytest.approx(rollouts / seconds["whole"], rel=0.05)
    assert set(result["ratios"]["rehearsal"]) == {"whole", "update", "generate"}
    [sft] = result["sft"]
    assert sft["seconds"] > 0 and 1e5 < sft["estimated_bytes"] < 1e7


@pytest.mark.parametrize(("size", "expected"), [("3b", 3_754_622_976), ("7b", 8_292_166_656)])
def test_the_shapes_have_the_published_number_of_parameters(
    gpu: ModuleType, shapes: ModuleType, size: str, expected: int
) -> None:
    total, trained = gpu.parameters(shapes.config(size))
    assert total == expected
    assert total - trained == pytest.approx(670e6, rel=0.02)  # the vision tower and its merger


def _counted(run: Any) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return counter.get_total_flops()


def test_the_arithmetic_of_a_forward_pass_is_what_torch_counts(shapes: ModuleType) -> None:
    config = shapes.rehearsal()
    model = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="eager")
    length, text = 24, config.text_config
    ids = torch.arange(length)[None]
    linear = 2 * (shape(config).text.weights + text.hidden_size * text.vocab_size) * length
    rotary = 2 * 3 * (text.hidden_size // text.num_attention_heads // 2) * length  # angles of three planes
    attention = text.num_hidden_layers * 4 * text.hidden_size * length**2
    assert _counted(lambda: model(input_ids=ids)) == linear + attention + rotary
    patches, images = 96, 3
    pixels, grid = torch.randn(patches, 3 * 2 * 14 * 14), torch.tensor([[1, 4, 8]] * images)
    seen = _counted(lambda: model.model.visual(pixels, grid_thw=grid))
    assert work.vision_flops(shape(config), patches, images) == pytest.approx(seen, rel=1e-3)


def test_sharing_saves_the_tokens_it_counts(shapes: ModuleType) -> None:
    sizes, load = shape(shapes.config("7b")), Load(4, 1400, 100, 8, 5400, 6)
    ours, theirs = (work.update_flops(sizes, load, shared=shared) for shared in (True, False))
    bound = 8 * (1400 + 100) / (1400 + 8 * 100)
    assert 0.8 * bound < theirs / ours < 1.2 * bound
    ours, theirs = (work.generation_flops(sizes, load, shared=shared) for shared in (True, False))
    assert 0.8 * bound < theirs / ours < 1.2 * bound
    one = Load(1, 50, 10, 1, 64, 1)
    for count in (work.update_flops, work.generation_flops):
        assert count(sizes, one, shared=True) == count(sizes, one, shared=False)


def test_bytes_are_counted_by_hand(shapes: ModuleType) -> None:
    assert work.update_bytes(parameters=10, trained=6, micro_batches=3) == 2 * (3 * (2 * 10 + 2 * 6) + 7 * 6)
    config, load = shapes.rehearsal(), Load(2, 100, 10, 4, 0, 0)
    weights, values = shape(config).text.weights + 64 * 330, 2 * 2 * 2 * 16  # layers, heads, their size
    assert work.generation_bytes(shape(config), load, shared=True) == 2 * 10 * (weights + values * 2 * (100 + 20))
    assert work.generation_bytes(shape(config), load, shared=False) == 2 * 10 * (weights + values * 2 * (400 + 20))


def test_throughput_is_that_of_easyr1(shapes: ModuleType) -> None:
    load = Load(512, 500, 250, 5, 0, 0)
    assert shapes.tokens_per_second(load, seconds=120, gpus=8) == 2000


def test_at_its_floor_a_phase_is_fully_used(gpu: ModuleType, shapes: ModuleType) -> None:
    config, load = shapes.config("3b"), Load(4, 1400, 256, 8, 5400, 6)
    least = work.update_flops(shape(config), load, shared=True) / 989e12
    seconds = {"whole": 10.0, "update": least, "optimizer": 0.0, "generate": 1.0}
    found = gpu.judged(config, gpu.WORK, {"prompt_tokens": 1400, "seconds": seconds}, True, 2)
    assert found["mfu"] == 1.0
    assert found["times_the_floor"]["update"] == 1.0
    assert 4.0 < found["mfu_had_every_rollout_its_own_prompt"] < 5.0
    assert found["tokens_per_s_per_gpu"] == 4 * 8 * 1656 / 10
