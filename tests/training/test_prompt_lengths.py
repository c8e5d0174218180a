"""Prompts are as long as the processor makes them, whatever the size of their images, and no image is decoded."""

from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from indirect_rlvr.training import models
from indirect_rlvr.training.images import decoded
from indirect_rlvr.training.prompt_lengths import longest

SIZES = ((28, 28), (1200, 30), (300, 200), (513, 700))
TEXTS = ("Which?", "Which chip matches? A", "?", "Which: ?")


def _prompt(images: int, text: str) -> list[dict[str, Any]]:
    content = [{"type": "image", "text": ""}] * images + [{"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


def _rows(stored: list[list[Any]]) -> datasets.Dataset:
    """As `grpo_dataset` makes them: decoded when a row is asked for."""
    columns = {
        "task_id": [f"t{index}" for index in range(len(stored))],
        "prompt": [_prompt(len(images), text) for images, text in zip(stored, TEXTS, strict=True)],
        "images": stored,
    }
    stored_only = datasets.List(datasets.Image(decode=False))
    return decoded(datasets.Dataset.from_dict(columns).cast_column("images", stored_only))


def _lengths(rows: datasets.Dataset, policy: models.Policy) -> list[int]:
    processor: Any = policy.processor
    found = []
    for row in rows:
        text = processor.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        found.append(len(processor(text=[text], images=[row["images"]])["input_ids"][0]))
    return found


@pytest.mark.parametrize("kind", ["path", "bytes"])
def test_the_longest_is_the_one_the_processor_makes_longest(
    kind: str, tmp_path: Path, vision_policy: models.Policy
) -> None:
    paths = [tmp_path / f"{index}.png" for index in range(len(SIZES))]
    for path, size in zip(paths, SIZES, strict=True):
        Image.new("RGB", size, (9, 90, 200)).save(path)
    given = [str(path) if kind == "path" else {"bytes": path.read_bytes(), "path": None} for path in paths]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        rows = _rows([[given[i] for i in order[: n + 1]] for n in range(4)])
        lengths = _lengths(rows, vision_policy)
        found = longest(rows, vision_policy)
        assert (found.tokens, found.task_id, found.images) == (max(lengths), f"t{lengths.index(max(lengths))}", 4)


def test_pixels_are_left_alone(tmp_path: Path, vision_policy: models.Policy) -> None:
    path = tmp_path / "torn.png"
    Image.effect_noise((200, 200), 90).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:400])
    assert longest(_rows([[str(path)]] * 4), vision_policy).tokens > 40
