"""A checkpoint that cannot be trained is refused before the first stage, with what it is and what to give instead."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel, Qwen2Config, Qwen2ForSequenceClassification, T5Config

from indirect_rlvr import engine
from indirect_rlvr.config import Recipe
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.training import base, models
from indirect_rlvr.training.base import require_trainable

SMALL = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def refused(folder: Path, message: str, error: type[Exception] = ConfigError) -> None:
    """The message comes from the engine, before anything is made."""
    run, name = engine.prepare("template", "default", [f"model.path={folder}"], folder / "out")
    with pytest.raises(error, match=message):
        engine.execute(run, name, None, None)
    assert not (folder / "out").exists()


def edit(folder: Path, **changes: Any) -> None:
    """Change keys of a config."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def copy(text_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(text_folder, tmp_path / "copy")
    return tmp_path / "copy"


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    BertModel(BertConfig(**SMALL)).save_pretrained(tmp_path)
    refused(tmp_path, "whose weights are of a BertModel, not of a BertLMHeadModel: an encoder")


def test_a_reward_model_is_refused(tmp_path: Path) -> None:
    Qwen2ForSequenceClassification(Qwen2Config(**SMALL, num_key_value_heads=2)).save_pretrained(tmp_path)
    refused(tmp_path, "whose weights are of a Qwen2ForSequenceClassification, not of a Qwen2ForCausalLM")


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    T5Config().save_pretrained(tmp_path)
    refused(tmp_path, "a model of the family `t5`, which is none that the installed transformers can have write text")


def test_a_family_with_code_of_its_own_is_refused(copy: Path) -> None:
    edit(copy, model_type="chatty", auto_map={"AutoModel": "modeling.Chatty"})
    refused(copy, "the family `chatty`, .*; code that comes with a checkpoint is never run; give a model that writes")


@pytest.mark.parametrize("family", [None, 7, ["qwen2"], "primed\x1b[31m" * 100])
def test_a_family_that_is_none_is_refused(copy: Path, family: object) -> None:
    edit(copy, model_type=family)
    refused(copy, "which is none that the installed transformers can have write text; give")


def test_quantised_weights_are_refused(copy: Path) -> None:
    edit(copy, quantization_config={"quant_method": "awq", "bits": 4})
    refused(copy, "whose weights are quantised and cannot be trained; give the model they were made from")


@pytest.mark.parametrize("text", ["{", "[]", "", '{"model_type": "qwen2"' + "[" * 100_000])
def test_a_config_that_is_none_is_refused(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    refused(copy, "config.json` (as JSON|holds no JSON object)", (ConfigError, DataError))  # type: ignore[arg-type]


def test_an_adapter_is_refused_with_how_to_merge_it(text_policy: models.Policy, tmp_path: Path) -> None:
    get_peft_model(text_policy.model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    refused(tmp_path / "adapter", r"which holds an adapter, not a model; merge it first, peft\.PeftModel\.from_pretrai")


def test_the_adapter_beside_a_merged_model_leads_to_that(copy: Path) -> None:
    (copy / "adapter").mkdir()
    (copy / "adapter" / "adapter_config.json").write_text("{}")
    refused(copy / "adapter", re.escape(f"`{copy}` holds the merged model: give that"))


def test_weights_for_llama_cpp_are_refused(tmp_path: Path) -> None:
    (tmp_path / "qwen2.5-vl-7b-q4_k_m.gguf").write_bytes(b"GGUF")
    refused(tmp_path, r"which holds weights for llama.cpp \(`qwen2.5-vl-7b-q4_k_m.gguf`\) and no config.json; give the")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "which holds no config.json; give the folder of a whole model")


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")
    refused(copy, r"whose weights are pickled \(`pytorch_model.bin`\), which may run anything when they are read; save")


def test_a_folder_without_weights_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    refused(copy, "which has no model.safetensors; fetch the model again")


def test_a_model_without_a_tokenizer_is_refused(copy: Path) -> None:
    for path in copy.glob("tokenizer*"):
        path.unlink()
    refused(
        copy, r"which has no file of a tokenizer \(tokenizer.json, .*\); put that of the model it was made from beside"
    )


def test_a_vision_model_without_its_image_processor_is_refused(vision_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(vision_folder, tmp_path / "copy")
    (tmp_path / "copy" / "processor_config.json").unlink()
    refused(tmp_path / "copy", r"which has no file of an image processor \(processor_config.json, preprocessor_config")


@pytest.mark.parametrize("parts", [["a.safetensors", "b.safetensors", "c.safetensors"], []])
def test_a_half_fetched_model_is_refused(copy: Path, parts: list[str]) -> None:
    (copy / "model.safetensors").rename(copy / "a.safetensors")
    index = {"weight_map": {f"w{number}": part for number, part in enumerate(parts)}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(copy, rf"where {max(0, len(parts) - 1)} of {len(parts)} files of weights are missing")


def test_the_base_of_another_run_leads_to_its_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "reference.json").write_text('{"path": "Qwen/Qwen2.5-VL-7B-Instruct"}')
    refused(tmp_path, "which names `Qwen/Qwen2.5-VL-7B-Instruct` and holds no model: give that")


@pytest.mark.parametrize("kind", ["text_folder", "vision_folder", "qwen3_folder"])
def test_whole_models_are_let_through(kind: str, request: pytest.FixtureRequest) -> None:
    require_trainable(str(request.getfixturevalue(kind)))


def test_a_model_in_several_files_is_let_through(text_policy: models.Policy, tmp_path: Path) -> None:
    models.save(text_policy, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    text_policy.model.save_pretrained(tmp_path, max_shard_size="50KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    require_trainable(str(tmp_path))


def test_a_text_only_model_is_refused_where_prompts_show_images(
    domain: Domain, make_tasks: Any, text_folder: Path, vision_folder: Path, tmp_path: Path
) -> None:
    recipe = Recipe.model_validate({"domain": "toy", "model": {"path": str(text_folder)}})
    with pytest.raises(
        ConfigError, match="a text-only qwen2, and the prompts of domain `toy` show images; give a model"
    ):
        base.prepare(domain, recipe, tmp_path / "base", make_tasks(2))
    assert not (tmp_path / "base").exists()
    base.prepare(domain, recipe, tmp_path / "base", make_tasks(2, "text"))
    recipe = Recipe.model_validate({"domain": "toy", "model": {"path": str(vision_folder)}})
    base.prepare(domain, recipe, tmp_path / "base", make_tasks(2))


def test_a_hub_id_that_cannot_be_had_is_said_by_the_base_stage(domain: Domain, tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"domain": "toy", "model": {"path": "nobody/nothing"}})
    with pytest.raises(
        ConfigError, match="`model.path` is `nobody/nothing`, which cannot be had: .*; mend the id, fetch"
    ):
        base.prepare(domain, recipe, tmp_path / "base")
