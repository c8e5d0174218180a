"""The tiny model is a real Qwen2.5-VL: its words are tokens, its folder loads, its weights follow from the seed."""

import json
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from indirect_rlvr.config import Prime, Tiny
from indirect_rlvr.training import models
from indirect_rlvr.training.prime import encode, prime
from indirect_rlvr.training.tiny import END, SPECIAL, build_tiny, build_tokenizer, load_processor, save_tiny
from indirect_rlvr.types import Primer, PrimerExample

SMALL = Tiny(hidden=32, layers=1, heads=2, vision_hidden=24, vision_depth=1)
WORDS = ["Which", " one?", " N3", " N4", "<think>", "</think>", "\n<answer>", "A", "</answer>", " red", " blue"]


def colour_example(seed: int, index: int) -> PrimerExample:
    """Name the colour of a picture."""
    rng = Random(f"{seed}/{index}")
    colour = rng.choice(("red", "blue"))
    content = [{"type": "image"}, {"type": "text", "text": "Which one?"}]
    return PrimerExample([{"role": "user", "content": content}], [Image.new("RGB", (28, 28), colour)], f" {colour}")


COLOURS = Primer(WORDS, colour_example, about="naming two colours")


@pytest.mark.parametrize("wrong", [{"vision_hidden": 0}, {"vision_depth": 0}, {"hidden": 4}, {"layers": 0}])
def test_an_impossible_size_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        Tiny(**wrong)


def test_every_word_of_the_lexicon_is_one_token_and_any_other_text_survives() -> None:
    tokenizer = build_tokenizer(WORDS)
    assert all(len(tokenizer(word)["input_ids"]) == 1 for word in WORDS)
    for text in ("Which one? N3 N4", "unknown wörds, 東京 and \t tabs\n", "<think>\n<answer>A</answer>"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_control_token_in_text_is_not_a_word() -> None:
    tokenizer = build_tokenizer(WORDS)
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.padding_side == "left"


def test_the_weights_follow_from_the_seed() -> None:
    first, same, other = (models.weights_digest(build_tiny(SMALL, WORDS, seed=seed)[0]) for seed in (0, 0, 1))
    assert first == same != other


def test_a_saved_model_gives_the_same_logits(tmp_path: Path) -> None:
    model, processor = build_tiny(SMALL, WORDS, seed=0)
    save_tiny(model, processor, tmp_path)
    inputs, _ = encode(processor, [colour_example(0, 0)])
    again, _ = encode(load_processor(tmp_path), [colour_example(0, 0)])
    with torch.inference_mode():
        before = model.eval()(**inputs).logits
        after = models.load(tmp_path).model(**again).logits
    torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-5)


def test_every_special_token_but_the_end_is_suppressed(tmp_path: Path) -> None:
    model, processor = build_tiny(SMALL, WORDS, seed=0)
    save_tiny(model, processor, tmp_path)
    special = {processor.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL if token != END}
    assert set(models.suppressed_token_ids(models.load(tmp_path))) == special


def test_only_completions_carry_loss() -> None:
    _, processor = build_tiny(SMALL, WORDS, seed=0)
    _, labels = encode(processor, [colour_example(0, 0), colour_example(0, 1)])
    for row, index in zip(labels, (0, 1), strict=True):
        kept = row[row != -100]
        assert processor.tokenizer.decode(kept) == colour_example(0, index).completion + "<|im_end|>"


def test_priming_learns_and_gives_the_same_weights_again(tmp_path: Path) -> None:
    settings = Prime(steps=100, batch=8, learning_rate=3e-3)
    first = prime(SMALL, settings, COLOURS, tmp_path / "a")
    again = prime(SMALL, settings, COLOURS, tmp_path / "b")
    assert first["weights_sha256"] == again["weights_sha256"]
    assert first["last_loss"] < 0.4 * first["first_losses"][0]
    assert first["examples"] == 800


def test_stopping_early_replays_the_first_steps(tmp_path: Path) -> None:
    settings = Prime(steps=60, batch=8, learning_rate=3e-3)
    whole = prime(SMALL, settings, COLOURS, tmp_path / "a")
    start = prime(SMALL, settings, COLOURS, tmp_path / "b", stop=5)
    assert start["first_losses"] == whole["first_losses"][:5]


def test_what_is_saved_is_read_where_videos_can_be_read_too(tmp_path: Path) -> None:
    """There the stock processor is loaded, by `AutoProcessor` and by vLLM; it wants a video processor's settings."""
    save_tiny(*build_tiny(SMALL, WORDS, seed=0), tmp_path)
    saved = json.loads((tmp_path / "processor_config.json").read_text())
    assert saved["processor_class"] == "Qwen2_5_VLProcessor"
    video, image = saved["video_processor"], saved["image_processor"]
    assert video["video_processor_type"] == "Qwen2VLVideoProcessor"
    assert (video["patch_size"], video["merge_size"]) == (image["patch_size"], image["merge_size"])
    assert json.loads(load_processor(tmp_path).to_json_string()) == saved
