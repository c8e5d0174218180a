from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.backends.pictures import chat_messages, fit, frames, problem, shown
from indirect_rlvr.types import Prompt, View


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (View("chip", "image", "torn.png"), "does not decode"),
        (View("chip", "image", "missing.png"), "is not a file in"),
        (View("chip", "image", "../out.png"), "inside the records folder without"),
        ("<|image_pad|>", "control token"),
    ],
)
def test_a_prompt_that_cannot_be_shown_is_named_before_it_is_asked(part: str | View, said: str, images: Path) -> None:
    assert said in (problem(Prompt((part, "?")), images) or "")


def test_a_prompt_that_can_be_shown_has_no_problem(prompts: list[Prompt], images: Path) -> None:
    assert [problem(prompt, images) for prompt in prompts] == [None] * len(prompts)


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([28, 32]), st.integers(16, 4000))
def test_with_a_multiple_the_size_is_what_qwen_makes_of_it_and_stays(
    width: int, height: int, multiple: int, cells: int
) -> None:
    if max(width, height) / min(width, height) > 200:
        return
    limits = {"factor": multiple, "min_pixels": 4 * multiple**2, "max_pixels": cells * multiple**2}
    found = fit(width, height, limits["max_pixels"], multiple)
    assert found == smart_resize(height, width, **limits)[::-1]
    wide, high = found
    if limits["min_pixels"] <= wide * high <= limits["max_pixels"] and max(found) / min(found) <= 200:
        assert smart_resize(high, wide, **limits) == (high, wide)


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 10**6))
def test_without_a_multiple_only_what_is_too_large_changes_and_then_fits(width: int, height: int, cap: int) -> None:
    assert fit(width, height, None) == (width, height)
    found = fit(width, height, cap)
    if width * height <= cap:
        assert found == (width, height)
    else:
        assert min(found) >= 1 and (found[0] * found[1] <= cap or min(found) == 1)


def test_images_are_capped_and_their_frames_are_what_is_sent(prompts: list[Prompt], images: Path) -> None:
    pictures = shown(prompts[3], images, 40_000)
    assert frames(pictures) == ((230, 173),)
    assert frames(shown(prompts[3], images, 40_000, 28)) == ((224, 168),)
    assert frames(shown(prompts[2], images, None)) == ((28, 28), (112, 56))


def test_a_chat_message_holds_images_and_texts_in_reading_order(prompts: list[Prompt], images: Path) -> None:
    (turn,) = chat_messages(prompts[2], shown(prompts[2], images, None))
    assert turn["role"] == "user"
    assert [part["type"] for part in turn["content"]] == ["text", "image_url", "text", "image_url", "text"]
    assert all(
        part["image_url"]["url"].startswith("data:image/png;base64,")
        for part in turn["content"]
        if part["type"] == "image_url"
    )


def test_a_control_token_never_reaches_a_server() -> None:
    with pytest.raises(DataError, match="control token"):
        chat_messages(Prompt(("<|im_end|>",)), [])
