"""Adapters whose training was stopped end in the bytes of others; checkpoints hold them alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from stopped import FAST, STEPS, Even, Train, contents, crash, stop_between_checkpoint_and_mark

from indirect_rlvr.config import Lora, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import RunError
from indirect_rlvr.training import checkpoints, models
from indirect_rlvr.types import ProxyTask

PLAIN, DROPPING = Model(lora=Lora(rank=4, alpha=8)), Model(lora=Lora(rank=4, alpha=8, dropout=0.2))
Trained = Callable[..., Train]


@pytest.fixture
def trained(
    domain: Domain,
    make_tasks: Callable[..., list[ProxyTask]],
    records_folder: Path,
    vision_folder: Path,
    text_folder: Path,
) -> Trained:
    """(model, text) to a training of the toy world, of the vision or the text-only policy."""

    def make(model: Model = PLAIN, text: bool = False) -> Train:
        start, modality = (text_folder, "text") if text else (vision_folder, "image")
        return Train(domain, make_tasks(8, modality), records_folder, start, model)

    return make


CASES: dict[str, tuple[Model, dict[str, Any]]] = {
    "reference model": (PLAIN, {"trl": FAST | {"beta": 0.04}}),
    "two iterations": (PLAIN, {"trl": FAST | {"num_iterations": 2}}),
    "dropout": (DROPPING, {"shared_prefix": False}),
    "dropout in SFT alone": (DROPPING, {"trl": FAST | {"disable_dropout": True}}),
}


@pytest.mark.parametrize("case", CASES)
def test_grpo_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(
    trained: Trained, tmp_path: Path, case: str
) -> None:
    model, options = CASES[case]
    train = trained(model)
    whole = train.grpo(tmp_path / "whole", Even(), **options)
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(20, crash), **options)
    even = Even()
    assert train.grpo(tmp_path / "cut", even, **options) == whole
    assert 0 < even.calls < STEPS * 8
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_text_only_policy_resumes_too(trained: Trained, tmp_path: Path) -> None:
    train = trained(text=True)
    train.grpo(tmp_path / "whole", Even())
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(30, crash))
    train.grpo(tmp_path / "cut", Even())
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


@pytest.mark.parametrize("model", [PLAIN, DROPPING, Model(freeze_vision=False, lora=Lora(rank=2))])
def test_sft_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Model
) -> None:
    train = trained(model)
    whole = train.sft(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_between_checkpoint_and_mark(patch, "checkpoint-4")
        with pytest.raises(KeyboardInterrupt):
            train.sft(tmp_path / "cut")
    assert checkpoints.newest(tmp_path / ".cut.partial").step == 2
    assert train.sft(tmp_path / "cut") == whole
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_base_that_is_no_folder_is_not_asked_for_at_each_checkpoint(
    domain: Domain, make_tasks: Callable[..., list[ProxyTask]], records_folder: Path, text_folder: Path, tmp_path: Path
) -> None:
    """peft would look for its config on the hub, to see whether the vocabulary grew, and warn without a network."""
    base = tmp_path / "base"
    shutil.copytree(text_folder, base)
    gone = Even(1, lambda: (base / "config.json").unlink())
    Train(domain, make_tasks(8, "text"), records_folder, base, PLAIN).grpo(tmp_path / "out", gone, steps=2)
    assert json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())["base_model_name_or_path"]


def test_dropout_acts_unless_it_is_disabled(trained: Trained, tmp_path: Path) -> None:
    plain, dropping = trained(), trained(DROPPING)
    assert plain.sft(tmp_path / "0", steps=2) != dropping.sft(tmp_path / "1", steps=2)
    expected = plain.grpo(tmp_path / "2", Even(), steps=2)
    assert dropping.grpo(tmp_path / "3", Even(), steps=2, trl=FAST | {"disable_dropout": True}) == expected
    assert dropping.grpo(tmp_path / "4", Even(), steps=2, shared_prefix=False) != expected


@pytest.fixture
def cut(trained: Trained, tmp_path: Path) -> tuple[Train, Path]:
    """A training that was stopped in its last step, and its newest checkpoint."""
    train = trained()
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(44, crash))
    return train, tmp_path / ".cut.partial" / "checkpoint-4"


def test_a_checkpoint_holds_the_adapter_alone(cut: tuple[Train, Path]) -> None:
    train, folder = cut
    assert not (folder / "model.safetensors").exists()
    weights = load_file(folder / "adapter_model.safetensors")
    assert weights and all("lora_" in name for name in weights)
    whole = sum(value.numel() for value in models.load(train.start).model.parameters())
    assert sum(value.numel() for value in weights.values()) < whole / 5


def test_another_adapter_than_was_saved_is_refused(cut: tuple[Train, Path], tmp_path: Path) -> None:
    train, folder = cut
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(RunError, match="are not those that were saved"):
        train.grpo(tmp_path / "cut", Even())


@pytest.mark.parametrize("fault", ["missing", "left over", "of another shape"])
def test_an_adapter_that_does_not_fit_is_refused(cut: tuple[Train, Path], tmp_path: Path, fault: str) -> None:
    train, folder = cut
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    first = sorted(weights)[0]
    value = weights.pop(first)
    if fault == "left over":
        weights |= {first: value, first.replace("layers.0", "layers.9"): value.clone()}
    if fault == "of another shape":
        weights[first] = value[:2].clone()
    save_file(weights, path, metadata={"format": "pt"})
    mark = folder / checkpoints.MARK
    found = json.loads(mark.read_text())
    found["files"]["adapter_model.safetensors"] = path.stat().st_size
    mark.write_text(json.dumps(found))
    with pytest.raises(
        RunError, match=r"does not fit the model: (1 weights|0 weights missing and 1 left)|cannot load the adapter in"
    ):
        train.grpo(tmp_path / "cut", Even())
