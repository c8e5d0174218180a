"""Two processes that hold a vision model in parts (DeepSpeed ZeRO-3 over gloo) train what two whole copies train.

Needs the extra `deepspeed`, and for its collectives on processors a C++ compiler and ninja.
"""

from pathlib import Path
from typing import Any

import pytest
from launching import GRPO, SFT, apart, lines, trained

from indirect_rlvr.training import models

pytest.importorskip("deepspeed", reason="needs the extra `deepspeed`")
pytestmark = pytest.mark.slow
SHARDED = {"strategy": "zero3"}


class Two:
    """What both processes found, and where."""

    def __init__(self, folder: Path, base: Path, records: Path) -> None:
        self.folder, self.base = folder, base

        def job(kind: str, out: str, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
            given = {"start": str(base), "records": str(records), "out": str(folder / out)}
            return {**given, "kind": kind, "settings": settings, **more}

        replay = {"replay": str(folder / "whole" / "grpo" / "rollouts.jsonl")}
        in_parts: dict[str, Any] = {"parallel": SHARDED}
        jobs = {
            "sft": job("sft", "sft", SFT, **in_parts),
            "whole/sft": job("sft", "whole/sft", SFT),  # models are loaded whole again
            "whole/grpo": job("grpo", "whole/grpo", GRPO),
            "replayed": job("grpo", "replayed", GRPO, **in_parts, **replay),
            "grpo": job("grpo", "grpo", GRPO, **in_parts),
            "asked": job("grpo", "asked", GRPO, **in_parts, does="signal", at=10),
            "resumed": job("grpo", "asked", GRPO, **in_parts),
        }
        found = trained(list(jobs.values()), 2, folder)
        self.found = {name: [process[at] for process in found] for at, name in enumerate(jobs)}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, vision_folder: Path, records_folder: Path) -> Two:
    return Two(tmp_path_factory.mktemp("two"), vision_folder, records_folder)


def test_supervised_training_in_parts_is_that_of_whole_copies(two: Two) -> None:
    assert apart(two.folder / "sft", two.folder / "whole" / "sft", two.base) < 1e-4


def test_the_update_of_grpo_in_parts_is_that_of_whole_copies_with_the_same_rollouts(two: Two) -> None:
    assert apart(two.folder / "replayed", two.folder / "whole" / "grpo", two.base) < 1e-4


def test_a_model_in_parts_samples_in_both_processes_and_shares_prompts(two: Two) -> None:
    ours, whole = (lines(two.folder / name, "rollouts.jsonl") for name in ("grpo", "whole/grpo"))
    assert [line["token_ids"] for line in ours[:8]] == [line["token_ids"] for line in whole[:8]]
    assert two.found["grpo"][0]["shared_prefix"]["used"]


def test_what_was_trained_in_parts_is_a_plain_model_folder(two: Two) -> None:
    for name in ("sft", "grpo"):
        first, second = two.found[name]
        assert first == second
        assert models.weights_digest(models.load(two.folder / name).model) == first["weights_sha256"]


def test_training_in_parts_that_was_stopped_goes_on_from_its_checkpoint(two: Two) -> None:
    assert [said["raised"] for said in two.found["asked"]] == ["Terminated", "Terminated"]
    assert two.found["resumed"][0]["calls"] == 4
    assert apart(two.folder / "asked", two.folder / "grpo", two.base) < 1e-6
