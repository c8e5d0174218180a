"""vLLM gets the merged weights that TRL would send, and the frozen ones stay as they are to the bit."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from peft import PeftModel, get_peft_model
from trl.distributed import DistributedBackend
from trl.generation.vllm_generation import VLLMGeneration

from indirect_rlvr.config import Lora, Model
from indirect_rlvr.training import lora, lora_sync, models


def generation(model: Any) -> VLLMGeneration:
    """TRL's, without an engine."""
    made = VLLMGeneration.__new__(VLLMGeneration)
    made.model, made._dist = model, DistributedBackend(Accelerator(cpu=True))
    return made


def adapted(folder: Path, dtype: str) -> PeftModel:
    policy = models.load(folder, dtype)
    made: PeftModel = get_peft_model(policy.model, lora.config(policy.model, Model(lora=Lora(rank=4, alpha=8))))
    torch.manual_seed(3)
    for name, value in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    return made


def sent(source: VLLMGeneration) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in source._iter_named_params()}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_sent_is_what_trl_sends(vision_folder: Path, dtype: str) -> None:
    theirs = generation(adapted(vision_folder, dtype))
    ours = generation(copy.deepcopy(theirs.model))
    lora_sync.guard(ours)
    expected, found = sent(theirs), sent(ours)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    plain = models.load(vision_folder, dtype).model.state_dict()
    assert found.keys() == dict(models.load(vision_folder, dtype).model.named_parameters()).keys()
    assert any(not torch.equal(found[name], plain[name]) for name in found)


def test_frozen_weights_stay_as_they_are_where_trl_moves_them(vision_folder: Path) -> None:
    moved = {}
    for who in ("trl", "ours"):
        source = generation(adapted(vision_folder, "bfloat16"))
        if who == "ours":
            lora_sync.guard(source)
        before = copy.deepcopy(source.model.state_dict())
        sent(source)
        after = source.model.state_dict()
        moved[who] = [name for name, value in before.items() if not torch.equal(after[name], value)]
    assert moved["trl"]  # else the guard can go
    assert not moved["ours"]


def test_a_model_without_adapters_is_left_to_trl(vision_folder: Path) -> None:
    source = generation(models.load(vision_folder).model)
    lora_sync.guard(source)
    assert "_iter_named_params" not in vars(source)
