"""Hypothesis strategies for rewards: completions of every kind, answers, permutations, boxes and masks, tasks."""

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from indirect_rlvr.rewards.shapes import runs_of
from indirect_rlvr.testing.subject import FORMS
from indirect_rlvr.types import Completion, ProxyTask

PIECES = (
    "<think>", "</think>", "<answer>", "</answer>", "<answer", "<Answer>", "<think><think>", "\\boxed{", "[", "```json",
    '{"answer":', '{"bbox_2d": [', "A or B", "not ", "answer is ", "maybe ", "\n", " ", "\x00", "\u0301\u0327",
    "\ufdfa", "\ud800", "\u202e", "NaN", "1e999", "-1", "é", "𝐁", "9" * 400,
)  # fmt: skip
"""What malformed and hostile texts are made of."""
HUGE = 10_000
"""Characters of the longest hostile text, give or take a piece."""


def answers(labels: Sequence[str]) -> st.SearchStrategy[str]:
    """What stands between answer tags: a label in one of its forms, several, hedged, or anything at all."""
    label = st.sampled_from(labels)
    formed = st.builds(lambda form, one: form.format(one, lower=one.lower()), st.sampled_from(FORMS), label)
    hedged = st.builds(
        lambda form, one, two: form.format(one, two),
        st.sampled_from(("{} or {}", "not {}", "{}, not {}", "maybe {} or {}", "{}, {}", "{0} {0}")),
        label,
        label,
    )
    return st.one_of(formed, hedged, st.text(max_size=20))


def completions(labels: Sequence[str]) -> st.SearchStrategy[Completion]:
    """Completions of a task with these labels: empty, well formed, malformed (nested, unclosed and repeated tags),
    hostile and huge texts, any token ids, cut or not."""
    thoughts = st.text(max_size=40)
    well_formed = st.builds("<think>{}</think><answer>{}</answer>".format, thoughts, answers(labels))
    pieces = st.one_of(st.sampled_from(PIECES), st.sampled_from(labels), answers(labels), well_formed)
    malformed = st.lists(pieces, max_size=12).map("".join)
    hostile = st.builds(
        lambda piece, count: piece * min(count, HUGE // max(1, len(piece))), pieces, st.integers(1, HUGE)
    )
    token_ids = st.one_of(
        st.lists(st.integers(0, 50), min_size=1, max_size=60),
        st.integers(1, 3000).map(lambda count: [7] * count),
    )
    texts = st.one_of(st.just(""), well_formed, malformed, hostile)
    return st.builds(Completion, texts, token_ids.map(tuple), st.booleans())


def permutations(task: ProxyTask) -> st.SearchStrategy[tuple[int, ...]]:
    """Orders of a task's candidates."""
    return st.permutations(range(len(task.labels))).map(tuple)


def boxes(degenerate: bool = True) -> st.SearchStrategy[list[float]]:
    """Boxes [x1, y1, x2, y2] of up to 1000; with `degenerate` also flat, empty and inverted ones."""
    side = st.integers(0, 1000).map(float)
    regular = st.builds(
        lambda x, y, width, height: [x, y, x + width, y + height], side, side, side.filter(bool), side.filter(bool)
    )
    return st.one_of(regular, st.lists(side, min_size=4, max_size=4)) if degenerate else regular


def masks(height: int, width: int) -> st.SearchStrategy[dict[str, object]]:
    """Masks of one size as run-length JSON, empty and full ones among them."""
    import numpy as np

    size = height * width
    bits = st.one_of(st.just(0), st.just(2**size - 1), st.integers(0, 2**size - 1))
    arrays = bits.map(lambda number: np.array([number >> at & 1 for at in range(size)]).reshape(height, width))
    return arrays.map(runs_of)


def domain_tasks(name: str, folder: Path, recipe: str = "default") -> st.SearchStrategy[ProxyTask]:
    """Tasks of a registered domain, made from a small sample of its records in `folder`."""
    from indirect_rlvr.checks import sample

    return st.sampled_from(sample(name, folder, recipe).tasks)
