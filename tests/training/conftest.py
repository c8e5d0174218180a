"""The records of the toy world and tiny models of both kinds, made once; one thread, no network."""

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from pydantic import BaseModel
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from indirect_rlvr.config import Tiny
from indirect_rlvr.domain import Domain
from indirect_rlvr.hookspecs import hookimpl
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
from indirect_rlvr.types import Prompt, ProxyTask, Question, Record, Verdict, View

torch.set_num_threads(1)

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "grey": (128, 128, 128)}
TAGS = ["<think>", "</think>", "<answer>", "</answer>"]
LEXICON = [*COLOURS, *(f" {c}" for c in COLOURS), *TAGS, "A", "B", "C", "Which", " chip", " matches", "?", ":", " is"]
LABELS = ("A", "B", "C")


class ToyDomain:
    """Which candidate chip has the query's colour? The traces name it and answer at random."""

    @staticmethod
    @hookimpl
    def load_records(settings: BaseModel, folder: Path, seed: int) -> list[Record]:
        return []

    @staticmethod
    @hookimpl
    def make_task(settings: BaseModel, query: Record, candidates: Sequence[Record]) -> None:
        return None

    @staticmethod
    @hookimpl
    def render(settings: BaseModel, task: ProxyTask) -> Prompt:
        labelled = [part for pair in zip(task.labels, task.question.candidates, strict=True) for part in pair]
        return Prompt((*task.question.query, *labelled, task.question.text))

    @staticmethod
    @hookimpl
    def scaffold(settings: BaseModel, task: ProxyTask, rng: Random) -> str:
        return f"<think> chip is {task.question.facts['colour']}</think><answer>{rng.choice(task.labels)}</answer>"

    @staticmethod
    @hookimpl
    def check_facts(settings: BaseModel, task: ProxyTask, text: str) -> list[Verdict]:
        true = str(task.question.facts["colour"])
        named = [colour for colour in COLOURS if colour in text]
        return [Verdict(c, "supported" if c == true else "contradicted", f"it is {true}") for c in named]


def _make_tasks(count: int, modality: str = "image", split: str = "train") -> list[ProxyTask]:
    """Tasks 0…count-1 over the chips, the answer uniform over A, B, C."""
    tasks = []
    for index in range(count):
        rng = Random(index)
        colours = rng.sample(sorted(COLOURS), 3)
        answer = rng.randrange(3)
        views = [View("chip", modality, f"{c}.png" if modality == "image" else c) for c in colours]  # type: ignore[arg-type]
        question = Question("Which chip matches?", (views[answer],), tuple(views), {"colour": colours[answer]})
        records = tuple(f"r{c}" for c in colours)
        tasks.append(
            ProxyTask(f"t{index}", "c", split, 0, question, LABELS, LABELS[answer], records[answer], records)  # type: ignore[arg-type]
        )
    return tasks


@pytest.fixture(scope="session")
def make_tasks() -> Callable[..., list[ProxyTask]]:
    """(count, modality="image", split="train") to tasks; the first ones of a longer list are those of a shorter."""
    return _make_tasks


@pytest.fixture(scope="session")
def domain() -> Domain:
    return Domain("toy", ToyDomain, {})


@pytest.fixture(scope="session")
def records_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for name, colour in COLOURS.items():
        Image.new("RGB", (28, 28), colour).save(folder / f"{name}.png")
    return folder


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
    tokenizer = build_tokenizer(LEXICON)
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    models.save(models.Policy(Qwen2ForCausalLM(config), tokenizer, "", False), folder)
    return folder


@pytest.fixture()
def vision_policy(vision_folder: Path) -> models.Policy:
    return models.load(vision_folder)


@pytest.fixture()
def text_policy(text_folder: Path) -> models.Policy:
    return models.load(text_folder)


@pytest.fixture(scope="session")
def toy_plugin() -> type:
    return ToyDomain
