"""Two processes that hold a vision model in parts (FSDP2 over gloo) train what two whole copies train, and resume."""

from pathlib import Path

import pytest
import torch
from launching import FAST, GRPO, SFT, Trainings, apart, lines
from stopped import contents
from torch import nn

from indirect_rlvr.training import models

pytestmark = pytest.mark.slow
SAVING = GRPO | {"trl": FAST | {"gradient_checkpointing": True, "beta": 0.04}}


@pytest.fixture(scope="module")
def loose_folder(vision_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny vision model with a head of its own, as the model of 7 billion parameters has it."""
    folder, policy = tmp_path_factory.mktemp("loose"), models.load(vision_folder)
    config, head = policy.model.config, policy.model.get_output_embeddings()
    config.tie_word_embeddings = config.get_text_config().tie_word_embeddings = False
    torch.manual_seed(1)
    head.weight = nn.Parameter(head.weight.detach() + 0.02 * torch.randn_like(head.weight))
    models.save(policy, folder)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, loose_folder: Path, records_folder: Path) -> Trainings:
    made = Trainings(tmp_path_factory.mktemp("two"), loose_folder, records_folder)
    narrow = made.job("sft", "bfloat16", SFT, parallel={"strategy": "fsdp2"}, model={"dtype": "bfloat16"})
    made.run({**made.parts("fsdp2", SAVING), "bfloat16": narrow}, 2, "files")
    return made


def test_supervised_training_in_parts_is_that_of_whole_copies(two: Trainings) -> None:
    assert apart(two.folder / "sft", two.folder / "whole" / "sft", two.base) < 1e-4


def test_the_update_of_grpo_in_parts_is_that_of_whole_copies_with_the_same_rollouts(two: Trainings) -> None:
    assert apart(two.folder / "replayed", two.folder / "whole" / "grpo", two.base) < 1e-4
    ours, whole = (lines(two.folder / name, "log.jsonl") for name in ("replayed", "whole/grpo"))
    keys = ("loss", "grad_norm", "reward", "entropy", "kl")
    for one, other in zip(ours, whole, strict=True):
        assert [one[key] for key in keys] == pytest.approx([other[key] for key in keys], rel=1e-3, abs=1e-6)


def test_a_model_in_parts_samples_in_both_processes_and_shares_prompts(two: Trainings) -> None:
    ours, whole = (lines(two.folder / name, "rollouts.jsonl") for name in ("grpo", "whole/grpo"))
    assert [line["token_ids"] for line in ours[:8]] == [line["token_ids"] for line in whole[:8]]
    assert len(ours) == len(whole) == 32
    assert two.found["grpo"][0]["shared_prefix"]["used"]


def test_what_was_trained_in_parts_is_a_plain_model_folder(two: Trainings) -> None:
    for name in ("sft", "grpo"):
        first, second = two.found[name]
        assert first == second
        assert models.weights_digest(models.load(two.folder / name).model) == first["weights_sha256"]
        assert {path.suffix for path in (two.folder / name).iterdir()} <= {".json", ".jsonl", ".safetensors", ".jinja"}


def test_weights_in_parts_are_float32_until_they_are_saved_in_the_precision_of_the_recipe(two: Trainings) -> None:
    policy = models.load(two.folder / "bfloat16", "bfloat16")
    assert models.weights_digest(policy.model) == two.found["bfloat16"][0]["weights_sha256"]
    assert policy.model.config.get_text_config().dtype == torch.bfloat16


def test_training_in_parts_that_was_stopped_ends_in_the_bytes_of_one_that_was_not(two: Trainings) -> None:
    assert [said["raised"] for said in two.found["asked"]] == ["Terminated", "Terminated"]
    assert two.found["resumed"][0]["calls"] == 4
    assert contents(two.folder / "asked") == contents(two.folder / "grpo")
