"""The records of the toy world and tiny models of both kinds, made once; one thread, no network."""

from collections.abc import Callable
from pathlib import Path

import chips
import pytest
import torch
from texts import text_model
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from indirect_rlvr.config import Tiny
from indirect_rlvr.domain import Domain
from indirect_rlvr.training import models
from indirect_rlvr.training.tiny import (
    CHAT_TEMPLATE,
    END,
    IMAGE,
    PAD,
    VIDEO,
    VISION_END,
    VISION_START,
    ImageOnlyProcessor,
    build_tiny,
    build_tokenizer,
    save_tiny,
)
from indirect_rlvr.types import ProxyTask

torch.set_num_threads(1)

TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
CHIPS = [*chips.COLOURS, *(f" {colour}" for colour in chips.COLOURS)]
LEXICON = [*CHIPS, *TAGS, "A", "B", "C", "Which", " chip", " matches", "?", ":", " is"]


@pytest.fixture(scope="session")
def make_tasks() -> Callable[..., list[ProxyTask]]:
    return chips.make_tasks


@pytest.fixture(scope="session")
def domain() -> Domain:
    return Domain("toy", chips.ToyDomain, {})


@pytest.fixture(scope="session")
def records_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chips.paint(tmp_path_factory.mktemp("records"))


@pytest.fixture(scope="session")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vision")
    model, processor = build_tiny(Tiny(hidden=64, layers=2, vision_hidden=48, vision_depth=1), LEXICON, seed=0)
    save_tiny(model, processor, folder)
    return folder


@pytest.fixture(scope="session")
def qwen3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen3-VL: patches of 16 pixels, images that also enter its first layers, interleaved rotary positions."""
    tokenizer = build_tokenizer(LEXICON)
    ids = tokenizer.get_vocab()
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "initializer_range": 0.05,
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True},
        "bos_token_id": None, "eos_token_id": ids[END], "pad_token_id": ids[PAD], "tie_word_embeddings": True,
    }  # fmt: skip
    vision = {
        "depth": 2, "hidden_size": 48, "intermediate_size": 96, "num_heads": 2, "out_hidden_size": 64, "patch_size": 16,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1], "initializer_range": 0.05,
    }  # fmt: skip
    names = {"image_token_id": IMAGE, "video_token_id": VIDEO}
    names |= {"vision_start_token_id": VISION_START, "vision_end_token_id": VISION_END}
    places = {name: ids[token] for name, token in names.items()}
    torch.manual_seed(0)
    config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=True, **places)
    model = Qwen3VLForConditionalGeneration(config)
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = ids[END], ids[PAD]
    images = Qwen2VLImageProcessorPil(patch_size=16, merge_size=2, min_pixels=32 * 32, max_pixels=512 * 512)
    processor = ImageOnlyProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE)
    folder = tmp_path_factory.mktemp("qwen3")
    models.save(models.Policy(model, processor, "", True), folder)
    return folder


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    models.save(text_model(LEXICON), folder)
    return folder


@pytest.fixture()
def vision_policy(vision_folder: Path) -> models.Policy:
    return models.load(vision_folder)


@pytest.fixture()
def text_policy(text_folder: Path) -> models.Policy:
    return models.load(text_folder)


@pytest.fixture(scope="session")
def toy_plugin() -> type:
    return chips.ToyDomain
