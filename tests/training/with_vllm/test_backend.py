"""The backend `vllm` writes, token by token, what the backend `transformers` writes."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.evaluation.backends import local, vllm
from indirect_rlvr.evaluation.backends.answers import Limits
from indirect_rlvr.types import Prompt, View

SIZES = ((28, 28), (112, 56), (300, 200), (56, 56), (84, 28), (400, 500))


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    for index, size in enumerate(SIZES):
        image = Image.linear_gradient("L").resize(size).convert("RGB")
        image.putpixel((index, 0), (255, 40 * index, 0))
        image.save(folder / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def prompts() -> list[Prompt]:
    """No image, one, and six of as many sizes, two of which are larger than 40,000 pixels."""
    shown = [View("chip", "image", f"{index}.png") for index in range(len(SIZES))]
    labelled = [part for label, view in zip("ABCABC", shown, strict=True) for part in (label, view)]
    return [Prompt(("word1 word2",)), Prompt((shown[1], "word3")), Prompt((*labelled, "word4"))]


def test_greedy_answers_are_those_of_transformers(
    eager: None, vision_folder: Path, views: Path, prompts: list[Prompt]
) -> None:
    limits = Limits(max_new_tokens=24, max_pixels=40_000)
    theirs = dict(local.asker(vision_folder, limits)(prompts, views))
    found = dict(vllm.asker(vision_folder, limits, dtype="float32")(prompts, views))
    ours = {index: replace(answer, prompt_tokens=0) for index, answer in found.items()}  # transformers does not count
    assert all(answer.prompt_tokens > 0 for answer in found.values())
    assert len({answer.text for answer in theirs.values()}) == len(prompts)
    assert ours == theirs
