"""What `[parallel]` becomes for the trainer, and how a step is dealt out to processes."""

import importlib.util
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from accelerate.state import PartialState
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from transformers import TrainingArguments
from trl import SFTConfig

from indirect_rlvr.config import Grpo, Model, Parallel
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.training import options, parallel

ZERO3, FSDP2 = Parallel(strategy="zero3"), Parallel(strategy="fsdp2", offload=True)


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a launcher says it."""
    monkeypatch.setenv("WORLD_SIZE", "2")


@pytest.mark.skipif(importlib.util.find_spec("deepspeed") is not None, reason="DeepSpeed is installed")
def test_zero3_without_deepspeed_says_what_to_install() -> None:
    with pytest.raises(ConfigError, match='install `indirect-rlvr.deepspeed.`, or set it to "fsdp2"'):
        parallel.arguments(ZERO3, Model())


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ZERO3, '"zero3", which DeepSpeed trains on GPUs, and none is here; set it to "fsdp2"'),
        (FSDP2, "`parallel.offload` takes from a GPU what .* and none is here; leave it out"),
    ],
)
def test_what_only_a_gpu_can_do_is_refused_without_one(
    settings: Parallel, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)  # as where DeepSpeed is installed
    with pytest.raises(ConfigError, match=message):
        parallel.require_here(settings)
    parallel.require_here(Parallel(strategy="fsdp2"))
    monkeypatch.setenv("WORLD_SIZE", "1")
    parallel.require_here(settings)


@pytest.fixture
def eight_gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine with eight GPUs, as far as settings look at it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *device: "NVIDIA H100 80GB HBM3")
    PartialState._reset_state()
    yield
    PartialState._reset_state()


@pytest.mark.usefixtures("eight_gpus")
def test_a_process_alone_trains_on_one_gpu_of_eight(tmp_path: Path) -> None:
    common = options.common(tmp_path, steps=1, save_steps=1, seed=0, model=Model())
    config = options.build(SFTConfig, "sft", {"per_device_train_batch_size": 4}, common)
    assert (config.device.type, config.n_gpu, config.train_batch_size) == ("cuda", 1, 4)


@pytest.mark.usefixtures("two")
def test_a_batch_that_cannot_be_dealt_out_evenly_is_refused_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="the 7 samples of a step of `sft` cannot be dealt out evenly to 2 processes"):
        options.micro_batches("sft", {}, 7)
    with pytest.raises(ConfigError, match="choose a batch of 6 or 8"):
        options.micro_batches("sft", {}, 7)


@pytest.mark.usefixtures("two")
def test_a_micro_batch_divides_what_each_process_gets() -> None:
    with pytest.raises(ConfigError, match="must divide the 6 samples of a step in each of 2 processes: 1, 2, 3, 6"):
        options.micro_batches("sft", {"per_device_train_batch_size": 4}, 12)


@pytest.mark.usefixtures("two")
def test_a_group_is_never_cut_between_processes() -> None:
    with pytest.raises(
        ConfigError, match="`grpo.prompts_per_step` is 3 on 2 processes; .* for example 2, because a gro"
    ):
        options.rollout_batches(Grpo(prompts_per_step=3, group_size=4))


def test_a_step_means_the_same_on_one_process_and_on_two(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Grpo(prompts_per_step=16, group_size=8)
    for count in (1, 2, 8, 16):
        monkeypatch.setenv("WORLD_SIZE", str(count))
        cut = options.rollout_batches(settings)
        assert cut["per_device_train_batch_size"] * cut["gradient_accumulation_steps"] * count == 128
        assert cut["per_device_train_batch_size"] <= options.MICRO_BATCH


@pytest.mark.parametrize("settings", [Parallel(), FSDP2])
def test_one_process_alone_shares_nothing(settings: Parallel) -> None:
    assert parallel.arguments(settings, Model()) == {}
    assert parallel.weights_dtype(settings, Model(dtype="bfloat16")) == "bfloat16"


@pytest.mark.usefixtures("two")
def test_fsdp2_keeps_whole_weights_in_checkpoints_and_float32_while_it_trains() -> None:
    made = parallel.arguments(FSDP2, Model(dtype="bfloat16"))
    assert made["fsdp"] is True
    assert made["fsdp_config"]["version"] == 2
    assert made["fsdp_config"]["state_dict_type"] == "FULL_STATE_DICT"
    assert made["fsdp_config"]["cpu_offload"] is True
    assert parallel.weights_dtype(FSDP2, Model(dtype="bfloat16")) == "float32"


@pytest.mark.parametrize("offload", [False, True])
def test_zero3_is_what_accelerate_takes_for_it(offload: bool) -> None:
    read = HfDeepSpeedConfig(parallel.zero3(offload, in_bfloat16=True))
    assert read.is_zero3()
    assert read.is_offload() is offload
    assert read.get_value("zero_optimization.stage3_gather_16bit_weights_on_model_save") is True
    assert read.get_value("bf16.enabled") is True


def test_advice_that_nobody_can_follow_is_not_given(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    options = parallel.arguments(Parallel(strategy="fsdp2"), Model())
    monkeypatch.delenv("WORLD_SIZE")
    logger = logging.getLogger("transformers.training_args")
    with caplog.at_level(logging.WARNING, logger.name):
        TrainingArguments(str(tmp_path), gradient_checkpointing=True, use_cpu=True, **options)
        logger.warning("something else")
    assert caplog.messages == ["something else"]


@pytest.mark.parametrize("key", ["fsdp", "fsdp_config", "deepspeed", "average_tokens_across_devices"])
def test_what_the_strategy_decides_is_no_option_of_trl(key: str) -> None:
    with pytest.raises(ConfigError, match=f"`sft.trl.{key}` must not be set"):
        options.build(SFTConfig, "sft", {key: True}, {})
