"""What holds for every box, mask, order of candidates and task, not only for chosen ones."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from subjects import TASK

from indirect_rlvr.config import Reward
from indirect_rlvr.domain import installed
from indirect_rlvr.rewards import places, quantities, regions, shapes, terms
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.rewards.geometry import giou, iou, mask_iou
from indirect_rlvr.testing.battery import assert_reward_invariants
from indirect_rlvr.testing.parsers import assert_parser_invariants
from indirect_rlvr.testing.strategies import answers, boxes, completions, domain_tasks, masks, permutations
from indirect_rlvr.types import Completion, ProxyTask

F = TypeVar("F", bound=Callable[..., None])
LABELS = st.sampled_from(("plane", "ship", ""))
OBJECTS = st.lists(st.builds(lambda box, label: {"bbox_2d": box, "label": label}, boxes(), LABELS), max_size=6)
MASKS = masks(5, 7)
NUMBERS = st.floats(-1e6, 1e6).map(repr) | st.integers(-9999, 9999).map(str)


def holds(examples: int = 100) -> Callable[[F], F]:
    return settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )


def pixels(mask: dict[str, Any]) -> np.ndarray:
    """The mask of a run-length JSON by its definition: runs down the columns, background first."""
    height, width = mask["size"]
    return np.repeat(np.arange(len(mask["counts"])) % 2 == 1, mask["counts"]).reshape(width, height).T


def pair_of(one: Sequence[float], other: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([one], dtype=float), np.array([other], dtype=float)


@holds()
@given(boxes(), boxes())
def test_overlaps_are_symmetric_bounded_and_giou_is_the_smaller(one: list[float], other: list[float]) -> None:
    a, b = pair_of(one, other)
    plain, general = float(iou(a, b)[0, 0]), float(giou(a, b)[0, 0])
    assert (plain, general) == (float(iou(b, a)[0, 0]), float(giou(b, a)[0, 0]))
    assert 0 <= plain <= 1
    assert -1 <= general <= plain


@holds()
@given(boxes(degenerate=False), st.integers(1, 50))
def test_a_box_with_an_area_is_like_itself_alone_and_moving_or_scaling_changes_nothing(
    box: list[float], by: int
) -> None:
    a, b = pair_of(box, [side + 7 for side in box])
    assert iou(a, a)[0, 0] == giou(a, a)[0, 0] == 1.0
    assert iou(a, b)[0, 0] < 1.0
    for overlap in (iou, giou):
        assert overlap(a + by, b + by)[0, 0] == pytest.approx(overlap(a, b)[0, 0])
        assert overlap(a * by, b * by)[0, 0] == pytest.approx(overlap(a, b)[0, 0])


@pytest.mark.parametrize("overlap", ["iou", "giou"])
def test_a_matched_set_does_not_depend_on_the_order_of_its_boxes(overlap: str) -> None:
    @holds()
    @given(OBJECTS, OBJECTS, st.randoms(use_true_random=False))
    def same(written: list[dict[str, object]], gold: list[dict[str, object]], rng: Any) -> None:
        term = regions.box_set("boxes", "boxes", overlap)  # type: ignore[arg-type]
        values = []
        for _ in range(2):
            task = replace(TASK, question=replace(TASK.question, facts={"boxes": list(gold)}))
            values.append(term.score(task, Completion(f"<answer>{json.dumps(written)}</answer>")).value)
            rng.shuffle(written)
            rng.shuffle(gold)
        assert values[0] == pytest.approx(values[1], abs=1e-12)
        assert term.low - 1e-9 <= values[0] <= 1 + 1e-9

    same()


@holds()
@given(MASKS, MASKS)
def test_the_iou_of_masks_is_that_of_their_pixels(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = [shapes.mask_of(mask) for mask in (one, other)]
    assert found[0] is not None and found[1] is not None
    a, b = pixels(one), pixels(other)
    expected = float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0
    assert mask_iou(found[0].boundaries, found[1].boundaries) == pytest.approx(expected)
    assert shapes.runs_of(a) == one


@holds(200)
@given(permutations(TASK), completions(TASK.labels), answers(TASK.labels))
def test_accuracy_follows_a_permutation_of_the_candidates(
    order: tuple[int, ...], completion: Completion, answer: str
) -> None:
    """The candidates are shown in another order: who names the same candidate by its new label earns the same."""
    renamed = {old: TASK.labels[order.index(place)] for place, old in enumerate(TASK.labels)}
    shown = tuple(TASK.question.candidates[place] for place in order)
    moved = replace(TASK, question=replace(TASK.question, candidates=shown), answer=renamed[TASK.answer])
    assert moved.question.candidates[moved.labels.index(moved.answer)] == TASK.question.candidates[1]
    term = terms.accuracy("plus-minus")
    for label in TASK.labels:
        before, after = (_answered(name) for name in (label, renamed[label]))
        assert term.score(moved, after) == term.score(TASK, before)
    for text in (completion, _answered(answer)):
        right = [label for label in TASK.labels if term.score(replace(TASK, answer=label), text).value == 1.0]
        assert len(right) <= 1
        assert (term.score(moved, text).value == 1.0) == (right == [moved.answer])


@pytest.mark.parametrize(
    ("parse", "canonical", "texts"),
    [
        (lambda text: quantities.parse_number(text, quantities.METRES), lambda metres: f"{metres!r} m",
         st.builds("{} {}".format, NUMBERS, st.sampled_from(sorted(quantities.METRES)))),
        (quantities.parse_coordinates, lambda found: f"{found[0]!r}, {found[1]!r}",
         st.builds("{}, {}".format, st.integers(-90, 90), st.floats(-180, 180).map(repr))),
        (quantities.normal_text, str, st.text(max_size=30)),
        (lambda text: places.parse_place(text, ("country", "city")),
         lambda stated: "\n".join(f"{word}: {name}" for word, name in stated.items()),
         st.builds("country: {}\ncity: {}".format, st.text(max_size=12), st.text(max_size=12))),
        (lambda text: _boxes(shapes.parse_boxes(text)), json.dumps, OBJECTS.map(json.dumps)),
        (lambda text: _runs(shapes.parse_mask(text)), json.dumps, MASKS.map(json.dumps)),
    ],
    ids=["number", "coordinates", "text", "place", "boxes", "mask"],
)  # fmt: skip
def test_what_a_parser_reads_it_reads_again_in_plain_form(
    parse: Callable[[str], Any], canonical: Callable[[Any], str], texts: st.SearchStrategy[str]
) -> None:
    assert_parser_invariants(parse, canonical, texts)
    found: list[object] = []

    @holds()
    @given(texts)
    def read(text: str) -> None:
        found.append(parse(text))

    read()
    assert sum(value is not None for value in found) > len(found) / 3


@pytest.fixture(scope="module", params=sorted(installed()))
def tasks_of_a_domain(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[st.SearchStrategy[ProxyTask]]:
    yield domain_tasks(request.param, tmp_path_factory.mktemp(request.param), records_read=300)


def test_every_term_of_the_core_keeps_every_invariant_on_the_tasks_of_every_installed_domain(
    tasks_of_a_domain: st.SearchStrategy[ProxyTask],
) -> None:
    weights = {"accuracy": 1.0, "format": 0.5, "length": 0.1, "repetition": 0.1, "overlong": 0.1}
    reward = build(Reward(weights=weights), [])

    @holds(2)
    @given(tasks_of_a_domain)
    def keeps(task: ProxyTask) -> None:
        assert_reward_invariants(reward.terms, [task], examples=3)

    keeps()


def _answered(answer: str) -> Completion:
    return Completion(f"<think>x</think><answer>{answer}</answer>")


def _boxes(found: shapes.Boxes | None) -> list[dict[str, object]] | None:
    if found is None:
        return None
    return [{"bbox_2d": box, "label": label} for box, label in zip(found.corners.tolist(), found.labels, strict=True)]


def _runs(found: shapes.Mask | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {"size": [found.height, found.width], "counts": np.diff(found.boundaries, prepend=0).tolist()}
