"""Tokens and patches of a recipe's prompts, from tasks that its data really gives: text, and image sizes from headers.

What is not known is assumed and said: `basis` names what was measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError, RlvrError
from indirect_rlvr.estimate.published import configuration
from indirect_rlvr.estimate.shape import Shape, Vision, shape
from indirect_rlvr.pipeline import Run
from indirect_rlvr.run import read_json
from indirect_rlvr.types import Prompt, ProxyTask, View

TASKS, RECORDS = 20, (200, 2000)
"""Tasks of each split that are looked at; records read for them, more where those give no task."""
CHARACTERS = 3.5
"""Characters of English text to a token where there is no tokenizer; Qwen's has 4 to 4.5, which gives fewer."""
FRAME = 30
"""Tokens of a chat template around a prompt of one turn: role marks and Qwen2.5-VL's default system message."""
AROUND = 2
"""Tokens before and after an image."""
ASSUMED = 512
"""Side in pixels of the square images of a prompt where the data is not there yet."""
PIXELS = {"qwen2_5_vl": (56 * 56, 12_845_056), "qwen3_vl": (256 * 256, 16_777_216)}
"""Least and most pixels of an image, as the published processors of a family have them."""


@dataclass(frozen=True, slots=True)
class Base:
    """The model before training, without weights: configuration, tokenizer or None, least and most pixels of an
    image."""

    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase | None
    pixels: tuple[int, int]

    @property
    def shape(self) -> Shape:
        """Its numbers."""
        return shape(self.config)


@dataclass(frozen=True, slots=True)
class Prompts:
    """Tokens of a prompt, its image tokens included, and patches of its images: on average and at most; how many
    images; what all this was taken from; `missing` says why it had to be assumed, "" where it was not."""

    tokens: float
    most_tokens: int
    patches: float
    most_patches: int
    images: int
    basis: str
    missing: str = ""


def base(run: Run) -> Base:
    """The base model of a run; raises ConfigError where its sizes are not known."""
    path = run.recipe.model.path
    if path == "primed":
        return _tiny(run)
    config = configuration(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError):  # not in the cache: counted by characters then
        tokenizer = None
    return Base(config, tokenizer, _pixels(Path(path), config.model_type))


def _tiny(run: Run) -> Base:
    import torch

    from indirect_rlvr.training.base import skills
    from indirect_rlvr.training.tiny import MAX_PIXELS, MERGE, PATCH, build_tiny

    with torch.device("meta"):
        model, processor = build_tiny(run.recipe.model.tiny, skills(run.domain).lexicon, seed=0)
    return Base(model.config, processor.tokenizer, ((PATCH * MERGE) ** 2, MAX_PIXELS))


def _pixels(folder: Path, family: str) -> tuple[int, int]:
    for name in ("preprocessor_config.json", "processor_config.json"):
        if (folder / name).is_file():
            found: dict[str, Any] = read_json(folder / name)
            size = found.get("image_processor", found).get("size") or {}
            if {"shortest_edge", "longest_edge"} <= size.keys():
                return int(size["shortest_edge"]), int(size["longest_edge"])
    return PIXELS.get(family, PIXELS["qwen2_5_vl"])


def measured(run: Run, model: Base) -> Prompts:
    """The prompts of the run's tasks, or of a sample of its records where there are none yet.

    Raises RlvrError where the data cannot be read.
    """
    from indirect_rlvr.checks import sampled
    from indirect_rlvr.data import proxy

    tasks = run.folder / "tasks.jsonl"
    if tasks.is_file() and (run.views / "records.jsonl").is_file():
        return _looked_at(proxy.read(tasks)[: 2 * TASKS], run.domain, run.views, model, "tasks of the run")
    for records in RECORDS:
        with TemporaryDirectory() as place:
            world = sampled(run.domain, run.recipe, Path(place), TASKS, records)
            if world.tasks:
                about = f"tasks of the first {len(world.records):,} records"
                return _looked_at(world.tasks, run.domain, world.folder, model, about)
    raise DataError(f"the first {RECORDS[-1]:,} records make no task; run the stages `records` and `tasks` first")


def assumed(run: Run, model: Base, why: RlvrError) -> Prompts:
    """Prompts of K + 1 square images and 600 characters, because the data is not there."""
    images = run.recipe.tasks.k + 1 if model.shape.vision else 0
    patches = images * patches_of(ASSUMED, ASSUMED, model.shape.vision, model.pixels) if model.shape.vision else 0
    tokens = _tokens(int(600 / CHARACTERS), images, patches, model.shape.vision)
    about = f"ASSUMED: {images} images of {ASSUMED} x {ASSUMED} pixels, because the data is not there"
    return Prompts(tokens, tokens, patches, patches, images, about, str(why))


def patches_of(width: int, height: int, vision: Vision, pixels: tuple[int, int]) -> int:
    """Patches of an image of this size in pixels, after the family's own resizing."""
    side = vision.token_px
    high, wide = smart_resize(height, width, side, *pixels)
    return int(high // vision.patch) * int(wide // vision.patch)


def _looked_at(tasks: Sequence[ProxyTask], domain: Domain, folder: Path, model: Base, about: str) -> Prompts:
    found = [_one(domain.render(task), folder, model) for task in tasks]
    tokens, patches, images = zip(*found, strict=True)
    by = "the model's tokenizer" if model.tokenizer else f"{CHARACTERS:g} characters to a token"
    basis = f"{len(tasks)} {about}; text by {by}"
    mean = (sum(tokens) / len(tokens), max(tokens), sum(patches) / len(patches), max(patches))
    return Prompts(*mean, max(images), basis)


def _one(prompt: Prompt, folder: Path, model: Base) -> tuple[int, int, int]:
    """Tokens, patches and images of a prompt."""
    vision, views = model.shape.vision, [part for part in prompt.parts if isinstance(part, View)]
    words = [part if isinstance(part, str) else part.content for part in prompt.parts if not _is_image(part)]
    images = [view for view in views if view.modality == "image"]
    text = "\n".join(words)
    count = len(model.tokenizer(text)["input_ids"]) if model.tokenizer else int(len(text) / CHARACTERS)
    patches = sum(_patches(folder / view.content, vision, model.pixels) for view in images) if vision else 0
    return _tokens(count, len(images), patches, vision), patches, len(images)


def _is_image(part: str | View) -> bool:
    return isinstance(part, View) and part.modality == "image"


def _patches(path: Path, vision: Vision, pixels: tuple[int, int]) -> int:
    with Image.open(path) as image:
        return patches_of(*image.size, vision, pixels)


def _tokens(text: int, images: int, patches: int, vision: Vision | None) -> int:
    merged = patches // vision.merge**2 if vision else 0
    return FRAME + text + AROUND * images + merged
