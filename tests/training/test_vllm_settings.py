"""What a recipe cannot ask of vLLM is refused before any stage runs; what follows from the data need not be said."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOConfig

from indirect_rlvr.config import Grpo, Health
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.training import models, vllm_settings
from indirect_rlvr.training.dataset import grpo_dataset
from indirect_rlvr.types import ProxyTask

MakeTasks = Callable[..., list[ProxyTask]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"vllm_mode": "colocate"}, "`grpo.trl.vllm_mode` has no effect without `use_vllm = true`"),
        (
            {"use_vllm": True, "vllm_mode": "local"},
            '`grpo.trl.vllm_mode` is \'local\'; expected "colocate" or "server"',
        ),
        ({"use_vllm": True, "vllm_server_port": 8000}, 'has no effect with vllm_mode = "colocate"'),
        (
            {"use_vllm": True, "vllm_mode": "server", "vllm_gpu_memory_utilization": 0.3},
            'has no effect with vllm_mode = "server"',
        ),
        ({"use_vllm": True, "generation_kwargs": {"seed": 3}}, "would give all rollouts of a group the same tokens"),
        ({"use_vllm": True, "generation_kwargs": {"n": 8}}, "generation_kwargs.n` is TRL's to choose"),
        ({"use_vllm": True, "vllm_gpu_memory_utilization": 30}, "is 30; expected a share of the GPU between 0 and 1"),
        ({"use_vllm": True, "vllm_gpu_memory_utilization": 1.0}, "training needs the rest"),
        (
            {"use_vllm": True, "vllm_max_model_length": 256},
            "is 256 and `grpo.max_completion_tokens` 256: that leaves no",
        ),
        ({"use_vllm": True, "vllm_importance_sampling_correction": False}, "`health.stop` names as `mismatch`"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        vllm_settings.require_usable(Grpo(trl=table), Health())


def test_what_a_recipe_says_of_vllm_may_stay_where_it_is_turned_off() -> None:
    vllm_settings.require_usable(Grpo(trl={"use_vllm": False, "vllm_enable_sleep_mode": True}), Health())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_that_cannot_send_weights_to_a_server_is_refused() -> None:
    table = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": "http://localhost:8000"}
    with pytest.raises(ConfigError, match="sends it the weights by NCCL, from a GPU, and there is none here"):
        vllm_settings.require_here(Grpo(trl=table))


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_a_machine_without_vllm_is_told_what_to_install() -> None:
    table = {"use_vllm": True, "generation_kwargs": {"top_k": -1}, "vllm_max_model_length": 4096}
    vllm_settings.require_usable(Grpo(trl=table), Health())  # a dry run of a recipe for another machine
    with pytest.raises(ConfigError, match=r"vLLM is not installed; install `indirect-rlvr\[vllm\]`"):
        vllm_settings.require_here(Grpo(trl=table))


def test_without_vllm_nothing_is_asked_of_it() -> None:
    vllm_settings.require_usable(Grpo(trl={"use_vllm": False, "generation_kwargs": {"seed": 3}}), Health())
    vllm_settings.require_here(Grpo())


def _config(folder: Path, **options: Any) -> GRPOConfig:
    return GRPOConfig(str(folder), use_cpu=True, bf16=False, report_to="none", max_completion_length=40, **options)


@pytest.fixture()
def rows(domain: Domain, make_tasks: MakeTasks, records_folder: Path) -> Any:
    return grpo_dataset(make_tasks(3), domain, records_folder)


def _longest(rows: Any, policy: models.Policy) -> int:
    processor: Any = policy.processor
    found = []
    for row in rows:
        text = processor.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        found.append(len(processor(text=[text], images=[row["images"]])["input_ids"][0]))
    return max(found)


def test_the_engine_is_told_what_trl_does_not_tell_it(tmp_path: Path, rows: Any, vision_policy: models.Policy) -> None:
    config, other = _config(tmp_path, seed=3), _config(tmp_path, seed=4)
    told = vllm_settings.fit(config, rows, vision_policy)
    assert config.vllm_max_model_length == _longest(rows, vision_policy) + 40
    assert {name: told[name] for name in told if name != "seed"} == {
        "dtype": "float32",
        "limit_mm_per_prompt": {"image": 4, "video": 0},
    }
    assert vllm_settings.fit(other, rows, vision_policy)["seed"] != told["seed"]


def test_a_given_length_stays_and_one_that_is_too_short_is_refused(
    tmp_path: Path, rows: Any, vision_policy: models.Policy
) -> None:
    enough = _longest(rows, vision_policy) + 40
    config = _config(tmp_path, vllm_max_model_length=enough + 100)
    vllm_settings.fit(config, rows, vision_policy)
    assert config.vllm_max_model_length == enough + 100
    with pytest.raises(ConfigError, match=rf"`grpo.trl.vllm_max_model_length` is {enough - 1} tokens; .* {enough} are"):
        vllm_settings.fit(_config(tmp_path, vllm_max_model_length=enough - 1), rows, vision_policy)


def test_what_is_longer_than_the_models_positions_is_refused(
    tmp_path: Path, rows: Any, vision_policy: models.Policy
) -> None:
    vision_policy.model.config.get_text_config().max_position_embeddings = 60
    for mode in ("colocate", "server"):
        with pytest.raises(ConfigError, match="`max_position_embeddings` is 60 tokens; the longest prompt"):
            vllm_settings.fit(_config(tmp_path, vllm_mode=mode), rows, vision_policy)


def test_a_family_whose_images_cannot_be_sent_once_is_refused(
    tmp_path: Path, rows: Any, vision_policy: models.Policy
) -> None:
    vision_policy.model.config.model_type = "idefics3"
    with pytest.raises(ConfigError, match="image tokens of the family `idefics3` cannot be sent to vLLM once"):
        vllm_settings.fit(_config(tmp_path), rows, vision_policy)


def test_a_text_model_needs_no_images(
    tmp_path: Path, domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_policy: models.Policy
) -> None:
    rows = grpo_dataset(make_tasks(2, modality="text"), domain, records_folder)
    told = vllm_settings.fit(_config(tmp_path), rows, text_policy)
    assert "limit_mm_per_prompt" not in told
