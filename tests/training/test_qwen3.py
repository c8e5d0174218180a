"""Qwen3-VL goes on from a checkpoint as Qwen2.5-VL does: to the same bytes, the weights themselves or adapters."""

from collections.abc import Callable
from pathlib import Path

import pytest
from stopped import STEPS, Even, Train, contents, crash, stop_between_checkpoint_and_mark

from indirect_rlvr.config import Lora, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.types import ProxyTask

MODELS = {
    "full": Model(freeze_vision=False),
    "adapters": Model(lora=Lora(rank=4, alpha=8)),
}


@pytest.fixture(params=MODELS)
def train(
    request: pytest.FixtureRequest,
    domain: Domain,
    make_tasks: Callable[..., list[ProxyTask]],
    records_folder: Path,
    qwen3_folder: Path,
) -> Train:
    return Train(domain, make_tasks(8), records_folder, qwen3_folder, MODELS[request.param])


def test_grpo_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(train: Train, tmp_path: Path) -> None:
    whole = train.grpo(tmp_path / "whole", Even())
    with pytest.raises(KeyboardInterrupt):
        train.grpo(tmp_path / "cut", Even(30, crash))
    even = Even()
    assert train.grpo(tmp_path / "cut", even) == whole
    assert even.calls == (STEPS - 2) * 8
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_sft_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train.sft(tmp_path / "whole")
    with monkeypatch.context() as patch:
        stop_between_checkpoint_and_mark(patch, "checkpoint-4")
        with pytest.raises(KeyboardInterrupt):
            train.sft(tmp_path / "cut")
    assert train.sft(tmp_path / "cut") == whole
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
