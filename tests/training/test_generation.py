"""Groups that share one prefill get the tokens of ordinary generation, on every family, from half the work or less."""

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from trl import GRPOConfig, GRPOTrainer
from trl.data_utils import prepare_multimodal_messages

try:
    from peft import LoraConfig
except ImportError:
    LoraConfig = None

from indirect_rlvr.config import Tiny
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import RunError
from indirect_rlvr.training import dataset, generation, models
from indirect_rlvr.training.tiny import build_tiny
from indirect_rlvr.types import ProxyTask

MakeTasks = Callable[..., list[ProxyTask]]
Inputs = dict[str, torch.Tensor]
PAD, END, IMAGE, VISION_START, FIRST_TEXT, VOCABULARY = 0, 1, 2, 3, 8, 40
TEXT = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": PAD,
    "eos_token_id": END,
    "bos_token_id": None,
}
QWEN_TEXT = TEXT | {"rope_parameters": {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4}}
IDS = {"image_token_id": IMAGE, "video_token_id": 4, "vision_start_token_id": VISION_START, "vision_end_token_id": 5}


def _shaken(model: PreTrainedModel) -> PreTrainedModel:
    """Fresh weights write one token whatever the prompt is; large ones react to it."""
    torch.manual_seed(1)
    for value in model.parameters():
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.3)
    return model.eval()


def _rows(prompts: list[list[int]]) -> Inputs:
    fields = {"mm_token_type_ids": [[int(token == IMAGE) for token in prompt] for prompt in prompts]}
    return generation.model_inputs(prompts, fields, PAD)


def _text() -> tuple[PreTrainedModel, Inputs, list[int]]:
    inputs = _rows([[9, 10, 11, 12, 13], [14, 15], [20]])
    del inputs["mm_token_type_ids"]
    return _shaken(Qwen2ForCausalLM(Qwen2Config(**TEXT))), inputs, []


def _qwen_prompts() -> Inputs:
    """One image of 4 × 4 patches and two of 4 × 4 and 4 × 8: 4, 4 and 8 tokens; prompts of different lengths."""
    one, two = [VISION_START, *[IMAGE] * 4, 5], [VISION_START, *[IMAGE] * 8, 5]
    inputs = _rows([[9, *one, 10, 11], [9, *one, *two, 12, 13, 14]])
    grid = torch.tensor([[1, 4, 4], [1, 4, 4], [1, 4, 8]])
    return inputs | {"image_grid_thw": grid}


def _qwen2_5() -> tuple[PreTrainedModel, Inputs, list[int]]:
    model, _ = build_tiny(Tiny(hidden=32, layers=2, heads=4, vision_hidden=48, vision_depth=1), [], seed=0)
    model.config.text_config.eos_token_id = model.generation_config.eos_token_id = END
    places = {name: getattr(model.config, name) for name in IDS}
    inputs = _qwen_prompts()
    for name, ours in IDS.items():
        inputs["input_ids"][inputs["input_ids"] == ours] = places[name]
    pixels = torch.randn(64, 3 * 2 * 14 * 14, generator=torch.Generator().manual_seed(0))
    return _shaken(model), inputs | {"pixel_values": pixels}, [16, 48]


def _qwen3() -> tuple[PreTrainedModel, Inputs, list[int]]:
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 14,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    }
    config = Qwen3VLConfig(text_config=QWEN_TEXT | {"head_dim": 8}, vision_config=vision, **IDS)
    pixels = torch.randn(64, 3 * 2 * 14 * 14, generator=torch.Generator().manual_seed(0))
    return _shaken(Qwen3VLForConditionalGeneration(config)), _qwen_prompts() | {"pixel_values": pixels}, [16, 48]


def _tiled(config: Any, model_class: Any) -> tuple[PreTrainedModel, Inputs, list[int]]:
    """One and two images of 4 × 4 patches, pooled to 4 tokens each; the missing image is padded with zeros."""
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"model_type": "llama", **TEXT}
    model = model_class(
        config(
            text_config=text,
            vision_config=vision | {"image_size": 32, "patch_size": 8},
            scale_factor=2,
            image_token_id=IMAGE,
            pad_token_id=PAD,
        )
    )
    one = [VISION_START, *[IMAGE] * 4, 5]
    inputs = _rows([[9, *one, 10, 11], [9, *one, *one, 12, 13, 14]])
    del inputs["mm_token_type_ids"]
    pixels = torch.randn(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    pixels[0, 1] = 0
    return _shaken(model), inputs | {"pixel_values": pixels}, []


FAMILIES: dict[str, Callable[[], tuple[PreTrainedModel, Inputs, list[int]]]] = {
    "text": _text,
    "qwen2_5_vl": _qwen2_5,
    "qwen3_vl": _qwen3,
    "idefics3": lambda: _tiled(Idefics3Config, Idefics3ForConditionalGeneration),
    "smolvlm": lambda: _tiled(SmolVLMConfig, SmolVLMForConditionalGeneration),
}
Case = tuple[PreTrainedModel, Inputs, Inputs]
COPIES = 3


@pytest.fixture(params=sorted(FAMILIES))
def case(request: pytest.FixtureRequest) -> Case:
    """A model, its prompts once, and the same prompts `COPIES` times as ordinary generation wants them."""
    model, inputs, patches = FAMILIES[request.param]()
    repeated = {name: value.repeat_interleave(COPIES, dim=0) for name, value in inputs.items()}
    if patches:  # patches and grids of a prompt's images lie one after the other
        parts = inputs["pixel_values"].split(patches)
        repeated["pixel_values"] = torch.cat([part for part in parts for _ in range(COPIES)])
        grids = inputs["image_grid_thw"].split([1, 2])
        repeated["image_grid_thw"] = torch.cat([grid for grid in grids for _ in range(COPIES)])
    return model, inputs, repeated


def _config(model: PreTrainedModel, sampled: bool = False, **changed: Any) -> GenerationConfig:
    banned = [model.config.to_dict().get("image_token_id", IMAGE), VISION_START]
    chosen = {"do_sample": True, "temperature": 1.3, "top_k": 0} if sampled else {"do_sample": False}
    fixed = {"max_new_tokens": 10, "eos_token_id": END, "pad_token_id": PAD, "suppress_tokens": banned}
    return GenerationConfig(**chosen, **(fixed | changed), disable_compile=True)


@contextmanager
def _rows_seen(module: torch.nn.Module, name: str) -> Iterator[list[int]]:
    """How many rows (of patches, images or prompts) each call of a module was given in the argument `name`."""
    seen: list[int] = []

    def note(_: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        value = named[name] if name in named else positional[0]
        seen.append(len(value))

    handle = module.register_forward_pre_hook(note, with_kwargs=True)
    yield seen
    handle.remove()


def _refused() -> list[tuple[PreTrainedModel, str]]:
    window = Qwen2Config(**TEXT, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    slim = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    llava = LlavaConfig(
        text_config={"model_type": "llama", **TEXT}, vision_config={"model_type": "siglip_vision_model", **slim}
    )
    flash = Qwen2ForCausalLM(Qwen2Config(**TEXT))
    flash.config._attn_implementation = "flex_attention"
    return [
        (Qwen2ForCausalLM(window), "its attention slides"),
        (LlavaForConditionalGeneration(llava), "vision models of the family `llava` were not tested"),
        (flash, "attention `flex_attention` takes no mask of any shape"),
        (GPT2LMHeadModel(GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=40)), "it does not rotate keys"),
    ]


def test_a_model_that_cannot_share_its_prefill_exactly_is_refused_with_its_reason() -> None:
    for model, message in _refused():
        with pytest.raises(RunError, match=f"cannot share its prefill: .*{message}.*; set grpo.shared_prefix = false"):
            generation.sample_groups(model, _rows([[9]]), [2], _config(model))


@pytest.mark.parametrize("sampled", [False, True])
def test_a_group_gets_the_tokens_of_ordinary_generation(case: Case, sampled: bool) -> None:
    model, inputs, repeated = case
    assert generation.refusal(model) is None
    torch.manual_seed(3)
    ordinary = model.generate(**repeated, generation_config=_config(model, sampled))
    torch.manual_seed(3)
    shared = generation.sample_groups(model, inputs, [COPIES] * len(inputs["input_ids"]), _config(model, sampled))
    assert torch.equal(shared, ordinary)
    assert len({tuple(row.tolist()) for row in shared}) >= (len(shared) if sampled else len(inputs["input_ids"]))


def test_the_logits_of_every_step_are_those_of_one_forward_pass_over_the_whole_sequence(case: Case) -> None:
    model, inputs, repeated = case
    steps: list[torch.Tensor] = []
    head = model.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, __, output: steps.append(output))
    found = generation.sample_groups(
        model, inputs, [COPIES] * len(inputs["input_ids"]), _config(model, True, eos_token_id=39)
    )
    handle.remove()
    length, ones = found.shape[1], torch.ones(len(found), 10, dtype=torch.long)
    whole = repeated | {"input_ids": found, "attention_mask": torch.cat([repeated["attention_mask"], ones], dim=1)}
    if "mm_token_type_ids" in whole:
        whole["mm_token_type_ids"] = torch.cat([repeated["mm_token_type_ids"], 0 * ones], dim=1)
    with torch.no_grad():
        expected = model(**whole).logits[:, length - 11 : -1]
    got = torch.stack([steps[0].repeat_interleave(COPIES, dim=0)[:, -1], *(s.flatten(0, 1) for s in steps[1:])], dim=1)
    assert got.shape == expected.shape
    assert (got - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_prompt_and_images_are_computed_once_however_many_answers_there_are(case: Case) -> None:
    model, inputs, repeated = case
    rows = len(inputs["input_ids"])
    with _rows_seen(model.get_input_embeddings(), "input") as prompts:
        generation.sample_groups(model, inputs, [COPIES] * rows, _config(model))
    assert set(prompts) == {rows}
    if "pixel_values" in inputs:
        tower = model.get_encoder(modality="image")
        with _rows_seen(tower, "pixel_values" if model.config.model_type in ("idefics3", "smolvlm") else "") as images:
            generation.sample_groups(model, inputs, [COPIES] * rows, _config(model))
            once, images[:] = list(images), []
            model.generate(**repeated, generation_config=_config(model))
        assert len(once) == len(images) == 1
        assert images[0] == COPIES * once[0]


def test_groups_may_differ_in_size(case: Case) -> None:
    model, inputs, repeated = case
    rows = len(inputs["input_ids"])
    ordinary = model.generate(**repeated, generation_config=_config(model))
    copies = [COPIES, 1, 2][:rows]
    shared = generation.sample_groups(model, inputs, copies, _config(model))
    kept = [COPIES * row + copy for row, count in enumerate(copies) for copy in range(count)]
    assert torch.equal(shared, ordinary[kept])


def test_a_sequence_is_padded_after_its_end_and_sampling_stops_with_the_last_one() -> None:
    model, inputs, _ = _text()
    torch.manual_seed(0)
    with _rows_seen(model, "input_ids") as passes:
        found = generation.sample_groups(model, inputs, [8, 8, 8], _config(model, True, max_new_tokens=400))
    sampled = found[:, inputs["input_ids"].shape[1] :]
    lengths = [len(generation.up_to_end(row, [END])) for row in sampled.tolist()]
    assert len(passes) == sampled.shape[1] == max(lengths) < 400
    assert min(lengths) < max(lengths)
    assert all((row[length:] == PAD).all() for row, length in zip(sampled, lengths, strict=True))
    assert sum((row == END).sum().item() for row in sampled) == 24


def test_suppressed_tokens_are_never_sampled_even_by_a_policy_bent_on_them() -> None:
    model, inputs, _ = FAMILIES["qwen3_vl"]()
    head = model.get_output_embeddings()
    bias = torch.zeros(VOCABULARY)
    bias[IMAGE] = 1e4
    head.bias = torch.nn.Parameter(bias)
    found = generation.sample_groups(model, inputs, [4, 4], _config(model, True))
    assert IMAGE not in found[:, inputs["input_ids"].shape[1] :]
    with_it = generation.sample_groups(model, inputs, [4, 4], _config(model, True, suppress_tokens=None))
    assert IMAGE in with_it[:, inputs["input_ids"].shape[1] :]


def test_runs_count_neighbours_alone() -> None:
    assert generation.runs([]) == []
    assert generation.runs(["a", "a", "b", "a"]) == [2, 1, 1]


def test_ids_end_with_their_end_token() -> None:
    assert generation.up_to_end([5, 6, 1, 0, 0], [1]) == [5, 6, 1]
    assert generation.up_to_end([5, 6], [1]) == [5, 6]


def test_what_we_override_stands_in_trl_as_we_found_it() -> None:
    for name, parameters in generation.TRL_SIGNATURES.items():
        assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == parameters
    source = inspect.getsource(GRPOTrainer._generate_single_turn)
    for used in (
        "unwrap_model_for_generation",
        "self._dist.summon_full_params",
        "self.generation_config",
        "pad_to_mul",
    ):
        assert used in source
    caller = inspect.getsource(GRPOTrainer._generate)
    assert "prompt_ids, images, multimodal_fields = self._tokenize_prompts(prompts)" in caller


class Shared(generation.SharedPrefill, GRPOTrainer):
    """TRL's trainer with the prefill shared."""


def _trained(
    kind: type[GRPOTrainer], policy: models.Policy, rows: Any, out: Path, lora: bool = False, **options: Any
) -> tuple[list[list[int]], str, list[int]]:
    """Rollouts of two steps, the digest of the weights after them, and the patches that generation looked at."""
    sampled: list[list[int]] = []

    def reward(completion_ids: list[list[int]], **columns: Any) -> list[float]:
        sampled.extend(completion_ids)
        return [float(sum(token % 2 for token in ids)) for ids in completion_ids]

    config = GRPOConfig(
        output_dir=str(out),
        per_device_train_batch_size=6,
        num_generations=3,
        max_completion_length=8,
        max_steps=2,
        use_cpu=True,
        report_to="none",
        save_strategy="no",
        remove_unused_columns=False,
        learning_rate=1e-3,
        disable_tqdm=True,
        generation_kwargs={"suppress_tokens": models.suppressed_token_ids(policy)},
        **({"gradient_checkpointing": False} | options),
    )
    adapter = LoraConfig(target_modules=["q_proj", "v_proj"], r=2) if lora else None
    settings = {"args": config, "train_dataset": rows, "processing_class": policy.processor, "peft_config": adapter}
    trainer = kind(policy.model, reward, **settings)
    patches: list[int] = []
    if policy.is_vision:
        tower = policy.model.get_encoder(modality="image")
        tower.register_forward_pre_hook(
            lambda module, given: None if torch.is_grad_enabled() else patches.append(len(given[0]))
        )
    trainer.train()
    return sampled, models.weights_digest(policy.model), patches


def test_a_prompt_with_images_is_never_cut_however_long(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path, tmp_path: Path
) -> None:
    policy = models.load(vision_folder)
    policy.tokenizer.model_max_length = 8
    rows = dataset.grpo_dataset(make_tasks(2), domain, records_folder)
    args = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, report_to="none", bf16=False, num_generations=2)
    trainer = Shared(policy.model, lambda **_: [], args=args, train_dataset=rows, processing_class=policy.processor)
    prompt = prepare_multimodal_messages(rows[0]["prompt"], images=rows[0]["images"])
    ids, images, fields = trainer._tokenize_prompts([prompt, prompt])
    assert len(ids[0]) > 8
    assert ids[0].count(policy.model.config.image_token_id) == fields["image_grid_thw"].prod(axis=1).sum() / 4
    assert (len(images), len(images[0]), len(fields["image_grid_thw"])) == (2, 4, 4)
    assert "max_prompt_length" not in {field.name for field in dataclasses.fields(GRPOConfig)}


@pytest.mark.parametrize(
    ("modality", "options"),
    [
        ("image", {}),
        ("text", {}),
        ("image", {"pad_to_multiple_of": 16}),
        ("image", {"gradient_checkpointing": True}),
        pytest.param(
            "image", {"lora": True}, marks=pytest.mark.skipif(LoraConfig is None, reason="peft is not installed")
        ),
    ],
)
def test_training_goes_as_with_trl_alone_while_each_image_is_seen_once_a_group(
    modality: str,
    options: dict[str, Any],
    domain: Domain,
    make_tasks: MakeTasks,
    records_folder: Path,
    vision_folder: Path,
    text_folder: Path,
    tmp_path: Path,
) -> None:
    rows = dataset.grpo_dataset(make_tasks(4, modality), domain, records_folder)
    folder = vision_folder if modality == "image" else text_folder
    plain = _trained(GRPOTrainer, models.load(folder), rows, tmp_path, **options)
    shared = _trained(Shared, models.load(folder), rows, tmp_path, **options)
    assert shared[0] == plain[0]
    assert shared[1] == plain[1]
    assert [3 * n for n in shared[2]] == plain[2]
    assert bool(shared[2]) is (modality == "image")
