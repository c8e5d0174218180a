"""Adapters train, end as a plain, whole model, and are refused before a run where they cannot work."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from stopped import FAST, Even, Train

from indirect_rlvr import engine
from indirect_rlvr.config import Lora, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.training import generation, lora, models
from indirect_rlvr.types import ProxyTask

ADAPTED = Model(lora=Lora(rank=4, alpha=8))
IDS = torch.tensor([[5, 9, 20, 11, 7]])
Trained = Callable[..., Train]


@pytest.fixture
def trained(domain: Domain, make_tasks: Callable[..., list[ProxyTask]], records_folder: Path) -> Trained:
    """(start, model) to a training of the toy world."""

    def make(start: Path, model: Model = ADAPTED) -> Train:
        return Train(domain, make_tasks(8), records_folder, start, model)

    return make


def logits(model: Any) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


def randomised(policy: models.Policy, settings: Model = ADAPTED) -> PeftModel:
    """A policy with adapters that say something: B starts at zero."""
    adapted: PeftModel = get_peft_model(policy.model, lora.config(policy.model, settings))
    torch.manual_seed(3)
    for name, value in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    return adapted.eval()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["grpo.trl.sync_ref_model=true"], "`grpo.trl.sync_ref_model` needs a reference model of its own"),
        (["model.lora.dropout=0.1"], "`model.lora.dropout` is 0.1, which draws another mask for each rollout"),
        (
            ['parallel.strategy="fsdp2"'],
            "`parallel.strategy` is fsdp2, and adapters are neither merged nor resumed on sharded weights; set "
            'parallel.strategy = "ddp", which is the same for one process, or model.lora.rank = 0',
        ),
        (["sft.trl.use_peft=true"], "`sft.trl.use_peft` must not be set: set `[model.lora]`"),
        (["grpo.trl.peft_config={r=8}"], "`grpo.trl.peft_config` must not be set: set `[model.lora]`"),
        (["grpo.trl.lora_r=8"], "`grpo.trl.lora_r` must not be set: set `[model.lora]`"),
    ],
)
def test_what_adapters_cannot_do_is_said_before_the_first_stage(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    run, name = engine.prepare("template", "default", ["model.lora.rank=4", *overrides], tmp_path / "out")
    with pytest.raises(ConfigError, match=re.escape(message)):
        engine.plan(run, name)


@pytest.mark.parametrize("way_out", ["grpo.trl.disable_dropout=true", "grpo.shared_prefix=false"])
def test_dropout_goes_with_what_its_message_asks_for(tmp_path: Path, way_out: str) -> None:
    asked = ["model.lora.rank=4", "model.lora.dropout=0.1", way_out]
    run, name = engine.prepare("template", "default", asked, tmp_path / "out")
    assert "rank = 4" in engine.plan(run, name)


def test_a_missing_peft_is_said_before_the_first_stage_and_only_where_it_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    run, name = engine.prepare("template", "default", ["model.lora.rank=4"], tmp_path / "out")
    with pytest.raises(
        ConfigError, match=r"`model.lora.rank` is 4 and peft is not installed; install `indirect-rlvr\["
    ):
        engine.execute(run, name, None, None)
    assert not (tmp_path / "out").exists()
    assert "rank = 4" in engine.plan(run, name)
    run, name = engine.prepare("template", "default", [], tmp_path / "out")
    engine.plan(run, name)


def test_layers_named_as_another_kind_are_refused(text_policy: models.Policy) -> None:
    text_policy.model.model.layers[1].mlp.up_proj = torch.nn.Identity()
    with pytest.raises(
        RunError, match=r"cannot be told from others by their names, first `model.layers.1.mlp.up_proj`"
    ):
        lora.config(text_policy.model, ADAPTED)


@pytest.mark.parametrize("kind", ["vision_policy", "text_policy"])
@pytest.mark.parametrize("freeze", [True, False])
def test_adapters_are_on_every_linear_layer_but_the_head_and_a_frozen_tower(
    kind: str, freeze: bool, request: pytest.FixtureRequest
) -> None:
    policy = request.getfixturevalue(kind)
    head = policy.model.get_output_embeddings()
    linear = {n for n, m in policy.model.named_modules() if isinstance(m, torch.nn.Linear) and m is not head}
    adapted = randomised(policy, Model(freeze_vision=freeze, lora=Lora(rank=2)))
    found = {n.split(".lora_A")[0].removeprefix("base_model.model.") for n, _ in models.trained(adapted)}
    found = {name.split(".lora_B")[0] for name in found}
    assert found == {name for name in linear if not (freeze and ".visual." in name)}
    assert not any(p.requires_grad for n, p in adapted.named_parameters() if "lora_" not in n)


def test_the_digest_of_adapters_sees_one_bit_of_them_and_nothing_else(vision_policy: models.Policy) -> None:
    adapted = randomised(vision_policy)
    before = models.weights_digest(adapted)
    with torch.no_grad():
        adapted.get_input_embeddings().weight.view(-1)[3] += 1
        assert models.weights_digest(adapted) == before
        next(value for _, value in models.trained(adapted)).view(-1)[3] += 1
    assert models.weights_digest(adapted) != before


def test_without_a_rank_there_is_no_adapter(vision_policy: models.Policy) -> None:
    assert lora.config(vision_policy.model, Model()) is None


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_a_finished_stage_is_a_plain_model_with_its_adapter_beside_it(
    trained: Trained, vision_folder: Path, tmp_path: Path, stage: str
) -> None:
    train = trained(vision_folder)
    made = train.sft(tmp_path / "made", steps=2) if stage == "sft" else train.grpo(tmp_path / "made", Even(), steps=2)
    policy = models.load(tmp_path / "made")
    assert models.weights_digest(policy.model) == made["weights_sha256"]
    assert sorted(path.name for path in (tmp_path / "made" / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    base = models.load(vision_folder).model
    before, after = logits(base), logits(policy.model)
    assert (before - after).abs().max() > 1e-4
    adapted = PeftModel.from_pretrained(base, tmp_path / "made" / "adapter").eval()
    torch.testing.assert_close(logits(adapted), after, rtol=1e-5, atol=1e-5)


def test_bfloat16_trains_adapters_in_float32_and_ends_in_bfloat16(
    trained: Trained, vision_folder: Path, tmp_path: Path
) -> None:
    train = trained(vision_folder, ADAPTED.model_copy(update={"dtype": "bfloat16"}))
    train.sft(tmp_path / "sft", steps=1)
    made = train.grpo(tmp_path / "grpo", Even(), steps=2, trl=FAST | {"beta": 0.04})
    for stage in ("sft", "grpo"):
        kinds = {value.dtype for value in load_file(tmp_path / stage / "model.safetensors").values()}
        adapters = {value.dtype for value in load_file(tmp_path / stage / "adapter" / lora.WEIGHTS).values()}
        assert (kinds, adapters) == ({torch.bfloat16}, {torch.float32})
    assert models.weights_digest(models.load(tmp_path / "grpo", "bfloat16").model) == made["weights_sha256"]


def test_an_adapter_names_its_base_as_the_recipe_does_or_from_where_it_lies(
    trained: Trained, vision_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(vision_folder, tmp_path / "base")
    trained(tmp_path / "base").sft(tmp_path / "sft", steps=1)
    trained(vision_folder).sft(tmp_path / "other", steps=1)
    named = [
        json.loads((tmp_path / stage / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"]
        for stage in ("sft", "other")
    ]
    assert named == ["../../base", str(vision_folder)]
    assert (tmp_path / "sft" / "adapter" / named[0]).resolve() == tmp_path / "base"


@pytest.mark.parametrize(("dtype", "adapters"), [("float32", "float32"), ("bfloat16", "float32"), ("bfloat16",) * 2])
def test_merging_adds_in_float32_and_rounds_once(
    vision_folder: Path, tmp_path: Path, dtype: str, adapters: str
) -> None:
    policy = models.load(vision_folder, dtype)
    whole = {name: value.clone() for name, value in policy.model.state_dict().items()}
    adapted = randomised(policy)
    for _, value in models.trained(adapted):
        value.data = value.data.to(models.DTYPES[adapters])
    parts = {n.removeprefix("base_model.model.").replace(".default", ""): p for n, p in models.trained(adapted)}
    parts = {name: value.detach().clone().float() for name, value in parts.items()}
    lora.merge(adapted, tmp_path, vision_folder)
    merged = policy.model.state_dict()
    assert merged.keys() == whole.keys()
    changed = set()
    for name, value in whole.items():
        a, b = (parts.get(name.replace(".weight", f".lora_{side}.weight")) for side in "AB")
        if a is None or b is None:
            assert torch.equal(merged[name], value), name
            continue
        assert torch.equal(merged[name], (value.float() + (b @ a) * 2.0).to(value.dtype)), name
        changed.add(name)
    assert len(changed) == len(parts) // 2 > 0


@pytest.mark.parametrize("kind", ["vision_policy", "text_policy"])
def test_groups_sampled_with_adapters_are_those_of_generate(kind: str, request: pytest.FixtureRequest) -> None:
    policy = request.getfixturevalue(kind)
    adapted = randomised(policy)
    inputs = generation.model_inputs([IDS[0].tolist(), [5, 9]], {}, policy.tokenizer.pad_token_id)
    settings = adapted.generation_config
    settings.max_new_tokens, settings.do_sample = 8, False
    ours = generation.sample_groups(adapted, inputs, [2, 2], settings)
    doubled = {name: value.repeat_interleave(2, dim=0) for name, value in inputs.items()}
    assert torch.equal(ours, adapted.generate(**doubled, generation_config=settings))
    with adapted.disable_adapter():
        assert not torch.equal(ours, adapted.generate(**doubled, generation_config=settings))


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_recomputing_activations_changes_nothing_but_rounding(
    trained: Trained, vision_folder: Path, tmp_path: Path, stage: str
) -> None:
    weights = []
    for recompute in (False, True):
        train, out = trained(vision_folder, Model(freeze_vision=False, lora=Lora(rank=2))), tmp_path / str(recompute)
        table = FAST | {"gradient_checkpointing": recompute}
        if stage == "sft":
            train.sft(out, steps=2, trl=table)
        else:
            train.grpo(out, Even(), steps=2, trl=table)
        weights.append(load_file(out / "adapter" / "adapter_model.safetensors"))
    plain, recomputed = weights
    assert all(torch.allclose(plain[name], recomputed[name], atol=1e-4) for name in plain)
    assert all(value.abs().max() > 0 for name, value in plain.items() if "lora_B" in name)
