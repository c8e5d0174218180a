"""Every recipe that ships: short, commented, accepted by TRL, within the model's context and its GPU; and told apart
from the machine that is here."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from trl import GRPOConfig, SFTConfig

import indirect_rlvr_geo
from indirect_rlvr import doctor, engine
from indirect_rlvr.config import Recipe, load_recipe
from indirect_rlvr.estimate import estimate, memory, prompts
from indirect_rlvr.estimate.cards import CARDS
from indirect_rlvr.pipeline import stages
from indirect_rlvr.training import options
from indirect_rlvr.training.vllm_settings import require_usable

FOLDER = Path(indirect_rlvr_geo.__file__).parent / "recipes"
PAPER = ("geo-r1-7b-8xh100", "geo-sft-7b", "geo-r1-zero-7b", "geo-r1-7b-lora-1xh100", "geo-r1-3b-1xh200")
NEW = (*PAPER, "smoke-2gpu")
PLAIN = {"domain", "seed", "path", "prepared", "processes", "strategy", "train", "test", "batch", "control_tasks",
         "targets", "tasks", "k", "steps", "count", "group_size", "max_completion_tokens"}  # fmt: skip
"""Keys of `smoke-2gpu` whose numbers mean nothing, as its first lines say."""


def recipe(name: str, *overrides: str) -> Recipe:
    return load_recipe(FOLDER / f"{name}.toml", list(overrides))


@pytest.mark.parametrize("name", NEW)
def test_a_recipe_has_at_most_sixty_lines(name: str) -> None:
    lines = (FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60 and lines[0].startswith("# ")


@pytest.mark.parametrize("name", PAPER)
def test_each_choice_has_its_reason_or_its_source(name: str) -> None:
    header, bare = "", []
    for line in (FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            header = line
        elif re.match(r"[\w.]+ = ", line) and line.split(" = ")[0] not in ("domain", "seed"):
            said = "#" in line or ("NF" in header and line.startswith("trl"))
            bare += [] if said else [line]
    assert bare == ['gpu = "h100"'] * (name == "geo-r1-7b-lora-1xh100")


@pytest.mark.parametrize("name", NEW)
def test_trl_accepts_the_options(name: str, tmp_path: Path) -> None:
    asked = recipe(name)
    options.require_usable(asked)
    own = options.common(tmp_path, 1, 1, 0, asked.model) | {"bf16": False}  # a processor may have no bfloat16
    options.build(SFTConfig, "sft", asked.sft.trl, own | {"max_length": None})
    size = asked.grpo.group_size
    ours = own | {"num_generations": size, "per_device_train_batch_size": size, "gradient_accumulation_steps": 1}
    table = {key: value for key, value in asked.grpo.trl.items() if key not in ours}
    built = options.build(GRPOConfig, "grpo", table, ours)
    assert {field.name for field in fields(built)} >= set(asked.grpo.trl)
    require_usable(asked.grpo, asked.health)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("family", ["2.5", "3"])
def test_prompts_fit_the_context_and_every_training_the_gpu_it_was_made_for(
    name: str, family: str, tmp_path: Path
) -> None:
    larger = {"geo-r1-3b-1xh200": "4B"}.get(name, "8B")
    path = [f"model.path=Qwen/Qwen3-VL-{larger}-Instruct"] if family == "3" else []
    run, _ = engine.prepare("geo", name, [f"records.prepared={tmp_path}/none", *path], tmp_path / "run")
    asked, found = run.recipe, estimate.estimate(run, prompts.base(run))
    assert found.card == CARDS[asked.parallel.gpu] and found.processes == asked.parallel.processes
    assert set(found.memory) == {stage.name for stage in stages(asked)} & {"sft", "grpo", "grpo-zero"}
    for used in found.memory.values():
        assert used.band[1] < found.card.memory
    if asked.grpo.steps:
        longest = found.prompts.most_tokens + asked.grpo.max_completion_tokens
        assert longest <= asked.grpo.trl["vllm_max_model_length"]
        assert memory.vllm_room(asked, found.shape, found.held, found.card) > 8 * longest  # a whole group at once


def test_what_is_published_is_what_the_flagship_says() -> None:
    asked = recipe("geo-r1-7b-8xh100")
    grpo = asked.grpo
    assert (grpo.prompts_per_step, grpo.group_size, grpo.max_completion_tokens, grpo.steps) == (8, 8, 2048, 4000)
    assert {key: grpo.trl[key] for key in ("learning_rate", "beta", "temperature", "loss_type")} == {
        "learning_rate": 1e-6, "beta": 0.04, "temperature": 1.0, "loss_type": "grpo",
    }  # fmt: skip
    assert "top_k" not in grpo.trl and asked.scaffold.count == 12_600 and not asked.model.freeze_vision
    assert asked.sft.steps * asked.sft.batch == pytest.approx(3 * asked.scaffold.count, rel=0.01)


def test_each_recipe_trains_what_its_name_says() -> None:
    wanted = {
        "geo-sft-7b": {"scaffold", "sft"},
        "geo-r1-zero-7b": {"grpo-zero"},
        "geo-r1-7b-8xh100": {"scaffold", "sft", "grpo"},
        "geo-r1-7b-lora-1xh100": {"scaffold", "sft", "grpo"},
        "geo-r1-3b-1xh200": {"scaffold", "sft", "grpo"},
        "smoke-2gpu": {"scaffold", "sft", "grpo"},
    }
    always = {"records", "tasks", "base", "evaluate", "report"}
    assert {name: {stage.name for stage in stages(recipe(name))} - always for name in NEW} == wanted


def test_a_whole_model_alone_is_not_trained_on_rounded_weights() -> None:
    for name in NEW:
        asked = recipe(name)
        whole_and_alone = not asked.model.lora.rank and asked.parallel.strategy == "ddp"
        assert not (whole_and_alone and asked.model.dtype == "bfloat16"), name


def test_another_model_and_other_settings_are_one_override_away() -> None:
    asked = recipe(
        "geo-r1-7b-8xh100", "records.prepared=elsewhere", "parallel.strategy=zero3", "model.freeze_vision=true",
        "model.lora.rank=16", "scaffold.writer=rules",
    )  # fmt: skip
    assert asked.records["prepared"] == "elsewhere" and asked.model.lora.rank == 16


def test_the_doctor_says_before_any_money_is_spent_what_is_missing(tmp_path: Path) -> None:
    found = {finding.name: finding for finding in doctor.run("geo", "geo-r1-7b-8xh100", tmp_path, {})}
    assert found["recipe's GPUs"].state == "stops" and found["recipe's GPUs"].detail.startswith("made for 8 x H100, ")
    missing = found["recipe's data"]
    assert missing.state == "stops" and "rlvr data prepare geo" in missing.detail
    assert found["memory of sft"].state == found["memory of grpo"].state == "well"
    assert found["model"].remedy == "hf download Qwen/Qwen2.5-VL-7B-Instruct"


def test_the_doctor_takes_settings_and_one_thing_that_is_missing_does_not_hide_the_others(tmp_path: Path) -> None:
    asked = ["parallel.strategy=zero3", "records.prepared=elsewhere"]
    found = {finding.name: finding for finding in doctor.run("geo", "geo-r1-7b-8xh100", tmp_path, {}, asked)}
    assert "recipe's deepspeed" in found and "memory of grpo" in found
    assert "`elsewhere`" in found["recipe's data"].detail
    teacher = found["recipe's teacher"]
    assert teacher.state == "note" and "`Qwen/Qwen2.5-VL-32B-Instruct` at `http://localhost:8000/v1`" in teacher.detail
    rules = doctor.run("geo", "geo-r1-7b-8xh100", tmp_path, {}, ["scaffold.writer=rules"])
    assert "recipe's teacher" not in {finding.name for finding in rules}


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a GPU")
def test_the_doctor_says_nothing_of_the_memory_of_a_gpu_that_neither_machine_nor_recipe_has(tmp_path: Path) -> None:
    names = [finding.name for finding in doctor.run("geo", "smoke-2gpu", tmp_path, {})]
    assert "recipe's GPUs" in names and not any(name.startswith("memory of") for name in names)


def test_the_doctor_finds_that_a_model_does_not_fit(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    text = (FOLDER / "geo-r1-7b-8xh100.toml").read_text(encoding="utf-8").replace("processes = 8", "processes = 1")
    mine.write_text(text, encoding="utf-8")
    found = {finding.name: finding for finding in doctor.run("geo", str(mine), tmp_path, {})}
    assert "rounded away" in found["recipe's precision"].detail
    refused = found["memory of grpo"]
    assert refused.state == "stops" and "does NOT fit" in refused.detail and "gradient_checkpointing" in refused.remedy


def test_a_context_too_short_for_one_rollout_stops(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    text = (FOLDER / "geo-r1-zero-7b.toml").read_text(encoding="utf-8")
    mine.write_text(text.replace("vllm_max_model_length = 5120", "vllm_max_model_length = 3072"), encoding="utf-8")
    found = {finding.name: finding for finding in doctor.run("geo", str(mine), tmp_path, {})}
    assert found["recipe's context"].state == "stops"
