"""What is counted without weights: published parameters, real prompt sizes; and what is refused."""

from pathlib import Path

import pytest
from PIL import Image
from transformers import BertConfig, Idefics3Config
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from indirect_rlvr import engine
from indirect_rlvr.config import Lora, Model
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.estimate import parameters, prompts
from indirect_rlvr.estimate.published import PUBLISHED, configuration
from indirect_rlvr.estimate.shape import shape
from indirect_rlvr.types import Prompt, View

SEVEN, CAP = "Qwen/Qwen2.5-VL-7B-Instruct", 262_144


def test_a_model_that_is_nowhere_is_refused_with_what_is_known() -> None:
    with pytest.raises(ConfigError, match=r"`somebody/something` are not known: .*hf download somebody/something"):
        configuration("somebody/something")


@pytest.mark.parametrize("config", [BertConfig(), Idefics3Config()])
def test_a_family_whose_layers_are_not_known_is_refused_by_name(config: object) -> None:
    with pytest.raises(ConfigError, match=r"family `(bert|idefics3)` are not known; known: qwen2_5_vl, qwen3_vl"):
        shape(config)


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("Qwen/Qwen2.5-VL-3B-Instruct", 3_754_622_976),
        (SEVEN, 8_292_166_656),
        ("Qwen/Qwen3-VL-4B-Instruct", 4_437_815_808),
        ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696),
    ],
)
def test_published_shapes_have_the_published_number_of_parameters(name: str, total: int) -> None:
    held = parameters.count(configuration(name), Model(freeze_vision=False))
    assert (held.total, held.trained, held.adapters) == (total, total, 0)


def test_every_published_shape_is_tested() -> None:
    assert len(PUBLISHED) == 4


def test_a_frozen_tower_and_adapters_leave_fewer_trained() -> None:
    config = configuration(SEVEN)
    frozen = parameters.count(config, Model(freeze_vision=True))
    assert frozen.trained == frozen.total - frozen.vision and frozen.vision == 676_550_144
    few = parameters.count(config, Model(lora=Lora(rank=8)))
    text = shape(config).text
    of_layer = 2 * (text.hidden + text.queries) + 2 * (text.hidden + text.keys) + 3 * (text.hidden + text.ffn)
    assert few.trained == few.adapters == 8 * text.layers * of_layer
    wider = parameters.count(config, Model(lora=Lora(rank=8), freeze_vision=False))
    assert wider.adapters > few.adapters


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        (SEVEN, (512, 512), 324),
        (SEVEN, (28, 28), 4),
        (SEVEN, (724, 362), 338),
        ("Qwen/Qwen3-VL-8B-Instruct", (512, 512), 256),
    ],
)
def test_images_become_the_tokens_that_the_family_s_processor_makes(
    name: str, size: tuple[int, int], tokens: int
) -> None:
    config = configuration(name)
    vision = shape(config).vision
    assert vision is not None
    assert prompts.patches_of(*size, vision, prompts.PIXELS[config.model_type]) // 4 == tokens


def test_a_prompt_is_counted_from_headers_and_text(tmp_path: Path) -> None:
    Image.new("RGB", (280, 140)).save(tmp_path / "a.png")
    config = configuration(SEVEN)
    base = prompts.Base(config, None, prompts.PIXELS["qwen2_5_vl"])
    prompt = Prompt(("Which?", View("ground", "image", "a.png"), View("note", "text", "seventy " * 7)))
    tokens, patches, images = prompts._one(prompt, tmp_path, base)
    assert (patches, images) == (20 * 10, 1)
    assert tokens == prompts.FRAME + int(len("Which?\n" + "seventy " * 7) / prompts.CHARACTERS) + prompts.AROUND + 50


def test_a_run_without_its_data_is_estimated_from_what_it_says_it_assumes(tmp_path: Path) -> None:
    run, _ = engine.prepare("geo", "geo-r1-7b-8xh100", [f"records.prepared={tmp_path}/none"], tmp_path / "run")
    base = prompts.base(run)
    with pytest.raises(Exception, match="holds no prepared records; make them: rlvr data prepare geo") as missing:
        prompts.measured(run, base)
    seen = prompts.assumed(run, base, missing.value)
    assert seen.images == 6 and seen.patches == 6 * 4 * 324 and "ASSUMED: 6 images" in seen.basis
    assert seen.missing == str(missing.value)


def test_tasks_of_a_domain_are_measured_with_the_model_s_own_tokenizer(tmp_path: Path) -> None:
    run, _ = engine.prepare("template", "default", ["records.patients=40"], tmp_path / "run")
    seen = prompts.measured(run, prompts.base(run))
    assert seen.images == 0 and 50 < seen.tokens <= seen.most_tokens < 200
    assert "the model's tokenizer" in seen.basis and not seen.missing and not (tmp_path / "run").exists()


@pytest.mark.parametrize("size", [(512, 512), (300, 170), (31, 900), (28, 29), (1000, 1000)])
def test_patches_are_those_that_the_processor_cuts(size: tuple[int, int]) -> None:
    processor = Qwen2VLImageProcessorPil(patch_size=14, merge_size=2, min_pixels=784, max_pixels=CAP)
    vision = shape(configuration(SEVEN)).vision
    assert vision is not None
    cut = processor(Image.new("RGB", size))["pixel_values"]
    assert prompts.patches_of(*size, vision, (784, CAP)) == len(cut)
