"""Two processes that hold a vision model in parts (DeepSpeed ZeRO-3 over gloo) train what two whole copies train.

Needs the extra `deepspeed`, and for its collectives on processors a C++ compiler and ninja.
"""

from pathlib import Path

import pytest
from launching import GRPO, Trainings, apart, lines

from indirect_rlvr.training import models

pytest.importorskip("deepspeed", reason="needs the extra `deepspeed`")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, vision_folder: Path, records_folder: Path) -> Trainings:
    made = Trainings(tmp_path_factory.mktemp("two"), vision_folder, records_folder)
    made.run(made.parts("zero3", GRPO), 2, "files")
    return made


def test_supervised_training_in_parts_is_that_of_whole_copies(two: Trainings) -> None:
    assert apart(two.folder / "sft", two.folder / "whole" / "sft", two.base) < 1e-4


def test_the_update_of_grpo_in_parts_is_that_of_whole_copies_with_the_same_rollouts(two: Trainings) -> None:
    assert apart(two.folder / "replayed", two.folder / "whole" / "grpo", two.base) < 1e-4


def test_a_model_in_parts_samples_in_both_processes_and_shares_prompts(two: Trainings) -> None:
    ours, whole = (lines(two.folder / name, "rollouts.jsonl") for name in ("grpo", "whole/grpo"))
    assert [line["token_ids"] for line in ours[:8]] == [line["token_ids"] for line in whole[:8]]
    assert two.found["grpo"][0]["shared_prefix"]["used"]


def test_what_was_trained_in_parts_is_a_plain_model_folder(two: Trainings) -> None:
    for name in ("sft", "grpo"):
        first, second = two.found[name]
        assert first == second
        assert models.weights_digest(models.load(two.folder / name).model) == first["weights_sha256"]


def test_training_in_parts_that_was_stopped_goes_on_from_its_checkpoint(two: Trainings) -> None:
    assert [said["raised"] for said in two.found["asked"]] == ["Terminated", "Terminated"]
    assert two.found["resumed"][0]["calls"] == 4
    assert apart(two.folder / "asked", two.folder / "grpo", two.base) < 1e-6
