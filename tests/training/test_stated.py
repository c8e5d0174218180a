"""A config that describes more than its files hold is refused before memory is taken for it."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from indirect_rlvr.errors import RunError
from indirect_rlvr.training import models
from indirect_rlvr.training.stated import require_held


@pytest.fixture
def folder(vision_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(vision_folder, tmp_path / "model"))


def change(folder: Path, part: str | None, name: str, value: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config)[name] = value
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("text_config", "num_hidden_layers", 10**9),
        ("vision_config", "depth", 10**9),
        (None, "num_labels", 10**12),
    ],
)
def test_a_number_of_layers_no_model_has_is_refused(folder: Path, part: str | None, name: str, value: int) -> None:
    change(folder, part, name, value)
    with pytest.raises(RunError, match=f"says `{name}` is 1e\\+[0-9]+; at most 10,000 can be"):
        models.load(folder)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("text_config", "vocab_size", 10**12), ("text_config", "intermediate_size", 10**10)],
)
def test_more_parameters_than_the_files_hold_are_refused(folder: Path, part: str, name: str, value: int) -> None:
    change(folder, part, name, value)
    with pytest.raises(RunError, match=r"describes [0-9.]+e\+1[0-9] parameters, and the files hold"):
        models.load(folder)


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x02" + bytes(7) + b"[]", b"\x07" + bytes(7) + b'{"a":1}'])
def test_files_that_are_no_safetensors_hold_nothing(folder: Path, data: bytes) -> None:
    (folder / "model.safetensors").write_bytes(data)
    with pytest.raises(RunError, match="parameters, and the files hold 0; they are torn"):
        require_held(folder)


def test_what_fits_passes(vision_folder: Path, text_folder: Path, qwen3_folder: Path) -> None:
    for folder in (vision_folder, text_folder, qwen3_folder):
        require_held(folder)


def test_what_fits_passes_where_deepspeed_would_cut_up_each_model(
    vision_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.modeling_utils.is_deepspeed_zero3_enabled", lambda: True)
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    require_held(vision_folder)
