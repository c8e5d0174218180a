"""What can be tested without vLLM: the message where it is missing, the tokens never sampled, the sizes images are seen
at. What it answers is compared in `tests/training/with_vllm/`."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation.backends import vllm
from indirect_rlvr.evaluation.backends.answers import Limits
from indirect_rlvr.training import models
from indirect_rlvr.training.tiny import load_processor


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_message_says_how_to_get_it(tiny_folder: Path) -> None:
    with pytest.raises(RunError, match=r"pip install 'indirect-rlvr\[vllm\]', or take --backend transformers"):
        vllm.asker(tiny_folder, Limits(4))


def test_the_tokens_never_sampled_are_those_of_the_transformers_backend(tiny_folder: Path) -> None:
    assert vllm._banned(str(tiny_folder)) == models.suppressed_token_ids(models.load(tiny_folder))


def test_images_are_seen_at_the_size_that_the_processor_gives_them(tiny_folder: Path, images: Path) -> None:
    seen, processor = vllm._sizes(str(tiny_folder)), load_processor(tiny_folder)
    for name in ("red", "wide", "large"):
        image = Image.open(images / f"{name}.png")
        _, high, wide = processor(text=["<|image_pad|>"], images=[image])["image_grid_thw"][0]
        assert seen(image) == (wide * 14, high * 14)
    assert seen(Image.new("RGB", (900, 900)))[0] < 520  # the tiny processor's cap
