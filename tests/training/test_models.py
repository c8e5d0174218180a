"""Policies load whole or not at all, survive a round trip, and never write what would crash the next pass."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from indirect_rlvr.errors import RunError
from indirect_rlvr.training import models


def _copy_without_first_key(source: Path, target: Path) -> str:
    shutil.copytree(source, target, dirs_exist_ok=True)
    weights = load_file(target / "model.safetensors")
    dropped = sorted(name for name in weights if "mlp" in name)[0]
    del weights[dropped]
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return dropped


@pytest.mark.parametrize("kind", ["vision_folder", "text_folder"])
def test_a_missing_weight_is_an_error_not_a_random_start(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    dropped = _copy_without_first_key(request.getfixturevalue(kind), tmp_path)
    with pytest.raises(RunError, match="1 missing keys, first") as error:
        models.load(tmp_path)
    assert dropped.rsplit(".", 3)[-2] in str(error.value)


def test_a_vision_model_without_a_processor_is_no_model_of_text(text_folder: Path) -> None:
    with pytest.raises(RunError, match="and no processor for its images, only a Qwen2Tokenizer"):
        models._processor(str(text_folder), "llava", True)


def test_a_left_over_weight_is_an_error(text_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(text_folder, tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(
        weights | {"model.stray.weight": torch.zeros(2)}, tmp_path / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(RunError, match=r"1 unexpected keys, first `model\.stray\.weight`"):
        models.load(tmp_path)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no model: there is no config\.json"):
        models.load(tmp_path)


def test_a_torn_weight_file_is_named(text_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(text_folder, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(RunError, match="cannot load a model from"):
        models.load(tmp_path)


def test_a_text_model_has_no_vision_tower_to_freeze(text_policy: models.Policy) -> None:
    with pytest.raises(RunError, match="Qwen2ForCausalLM has no vision tower"):
        models.freeze_vision(text_policy.model)


def test_freezing_takes_exactly_the_vision_tower(vision_policy: models.Policy) -> None:
    models.freeze_vision(vision_policy.model)
    frozen = {name for name, value in vision_policy.model.named_parameters() if not value.requires_grad}
    assert frozen == {name for name, _ in vision_policy.model.named_parameters() if ".visual." in name}
    assert frozen


@pytest.mark.parametrize("kind", ["vision_policy", "text_policy"])
def test_a_round_trip_gives_the_same_logits_and_digest(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    policy = request.getfixturevalue(kind)
    models.save(policy, tmp_path / "again")
    again = models.load(tmp_path / "again")
    ids = torch.tensor([[5, 9, 20, 11]])
    with torch.inference_mode():
        assert torch.equal(policy.model(input_ids=ids).logits, again.model(input_ids=ids).logits)
    assert models.weights_digest(policy.model) == models.weights_digest(again.model)
    assert again.is_vision is policy.is_vision
    assert again.tokenizer.padding_side == "left"


def test_the_digest_sees_one_bit_and_the_name(text_policy: models.Policy) -> None:
    before = models.weights_digest(text_policy.model)
    value = next(iter(text_policy.model.parameters()))
    with torch.no_grad():
        value.view(-1)[3] = torch.nextafter(value.view(-1)[3], torch.tensor(9.0))
    assert models.weights_digest(text_policy.model) != before


def test_weights_load_in_the_asked_precision(vision_folder: Path) -> None:
    policy = models.load(vision_folder, "bfloat16")
    assert {value.dtype for value in policy.model.parameters()} == {torch.bfloat16}


def test_every_special_token_but_the_end_is_suppressed(vision_policy: models.Policy) -> None:
    tokenizer = vision_policy.tokenizer
    suppressed = set(tokenizer.convert_ids_to_tokens(models.suppressed_token_ids(vision_policy)))
    assert {"<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>", "<|im_start|>"} <= suppressed
    assert "<|im_end|>" not in suppressed
    assert not suppressed & {"A", "B", "<think>", "</answer>"}


@pytest.mark.parametrize(
    "said",
    [
        "[enforce fail at inline_container.cc:672] . unexpected pos 886144 vs 886036",  # a tmpfs that got full
        "PytorchStreamWriter failed writing file data/3: file write failed",
    ],
)
def test_a_disk_that_fails_under_pytorch_is_one_message(said: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write the weights into `.*`: .*; free space"), models.written(tmp_path):
        raise RuntimeError(said)


def test_what_is_no_fault_of_the_disk_keeps_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="size mismatch"), models.written(tmp_path):
        raise RuntimeError("size mismatch")
