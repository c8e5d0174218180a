"""Readers of boxes: what is no box is None, in linear time, and what is one keeps its numbers and its order."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.types import Response
from indirect_rlvr_geo.benchmarks.boxes_in_text import box_of, grid_box, many_boxes, one_box, released_box
from indirect_rlvr_geo.benchmarks.frames import from_grid, in_file_pixels, on_grid

STEADY = settings(deadline=None, derandomize=True)
READERS = (one_box, grid_box, released_box, many_boxes)
HOSTILE = (
    "[" * 1_000_000,
    "[1," * 300_000,
    "{" * 1_000_000,
    "<answer>" * 120_000,
    "```json\n[" + '{"bbox_2d": [1, 2, 3, 4]},' * 40_000,
    "[" + " " * 1_000_000,
    "<1><2><3>" * 110_000,
    "[1 , 2 , 3 , " * 80_000,
    "9" * 1_000_000,
    "```" * 333_333,
    '[{"bbox_2d": ' + "[" * 900_000,
)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_megabyte_of_anything_is_read_without_an_exception(reader: object, text: str) -> None:
    assert callable(reader)
    reader(text)


@STEADY
@given(st.text() | st.text(alphabet='[]{}<>/answer"bbox_2d:, 0123456789.-`jsonN\n'))
def test_no_text_raises(text: str) -> None:
    for reader in READERS:
        reader(text)


@STEADY
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_no_json_value_raises_and_only_four_numbers_are_a_box(value: object) -> None:
    found = box_of(value)
    assert found is None or (isinstance(value, list) and list(found) == value)


def test_cut_off_json_is_no_list() -> None:
    whole = json.dumps([{"bbox_2d": [1, 2, 3, 4], "label": "ship"}, {"bbox_2d": [5, 6, 7, 8], "label": "ship"}])
    for end in range(1, len(whole)):
        assert many_boxes(whole[:end]) is None
        assert many_boxes("<answer>" + whole[:end]) is None
        assert many_boxes("```json\n" + whole[:end]) is None
    assert many_boxes(whole) == [((1, 2, 3, 4), "ship"), ((5, 6, 7, 8), "ship")]


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        ("None", []),
        ("<answer>None.</answer>", []),
        ("There are no such targets, so: `None`", []),
        ("[]", []),
        ("```json\n[]\n```", []),
        ("no", None),
        ("", None),
        ("[x1, y1, x2, y2]", None),
        ("[1, 2, 3, 4]", [(1, 2, 3, 4)]),
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
        ('{"bbox_2d": [1, 2, 3, 4]}', [(1, 2, 3, 4)]),
        ('I see [a ship] here: [{"bbox_2d": [1, 2, 3, 4]}] and that is all', [(1, 2, 3, 4)]),
        ('[{"bbox_2d": [9, 9, 9, 9]}] <answer>[{"bbox_2d": [1, 2, 3, 4]}]</answer>', [(1, 2, 3, 4)]),
        ('<answer>```json\n[{"bbox_2d": [1, 2, 3, 4]}]\n```</answer>', [(1, 2, 3, 4)]),
        ('[{"bbox_2d": [1, 2, 3]}, {"bbox_2d": [1, 2, 3, NaN]}, 7]', [(0, 0, 0, 0)] * 3),
        ("[" + ",".join(["[1,2,3,4]"] * 1001) + "]", None),
    ],
)
def test_lists_of_boxes_are_read_as_said(text: str, boxes: list[tuple[float, ...]] | None) -> None:
    found = many_boxes(text)
    assert found is None if boxes is None else found is not None and [box for box, _ in found] == boxes


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("", None),
        ("[1, 2, 3]", None),
        ("[1, 2, 3, 4, 5]", None),
        ("first [1, 2, 3, 4], no: [5.5, 6, 7, 8]", (5.5, 6, 7, 8)),
        ("[5, 6, 7, 8] <answer>[1, 2, 3, 4]</answer>", (1, 2, 3, 4)),
        ("[5, 6, 7, 8] <answer>none</answer>", None),
        ("[-1, -2, 3, 4]", (-1, -2, 3, 4)),
    ],
)
def test_one_box_is_the_last_list_of_four_numbers_of_the_answer(text: str, box: tuple[float, ...] | None) -> None:
    assert one_box(text) == box


def test_the_released_reader_wants_whole_numbers_in_braces_in_the_tag() -> None:
    assert released_box('<answer>{"bbox_2d": [1, 2, 3, 4]}</answer>') == (1, 2, 3, 4)
    assert released_box('{"bbox_2d": [1, 2, 3, 4]}') is None
    assert released_box("<answer>[1, 2, 3, 4]</answer>") is None
    assert released_box('<answer>{"bbox_2d": [1.0, 2, 3, 4]}</answer>') is None


def test_the_released_reader_reads_the_first_answer_and_the_last_list_in_it() -> None:
    first = '<answer>{"bbox_2d": [9, 9, 9, 9]} {"bbox_2d": [1, 2,\n3, 4]}</answer>'
    assert released_box(f'{first} <answer>{{"bbox_2d": [5, 6, 7, 8]}}</answer>') == (1, 2, 3, 4)
    assert released_box("<answer>None</answer> " + first) is None


@pytest.mark.parametrize("written", ["[ 1, 2, 3, 4]", "[1, 2, 3, 4 ]", "[1 , 2, 3, 4]"])
def test_the_released_reader_knows_spaces_behind_commas_alone(written: str) -> None:
    assert released_box(f'<answer>{{"bbox_2d": {written}}}</answer>') is None


def test_the_grid_ends_at_a_hundred() -> None:
    assert grid_box("{<25><40><33><60>}") == (25, 40, 33, 60)
    assert grid_box("{<25><40><33><101>}") is None


def test_boxes_come_back_to_the_pixels_of_the_file_from_the_frame_the_model_saw() -> None:
    seen = Response("", ((504, 504),))
    assert in_file_pixels((252, 0, 504, 126), seen, (512, 512)) == (256, 0, 512, 128)
    assert in_file_pixels((10, 20, 30, 40), Response(""), (512, 512)) == (10, 20, 30, 40)
    assert in_file_pixels((0, 0, 50, 100), Response("", ((9, 9), (100, 200))), (200, 100), image=1) == (0, 0, 100, 50)


def test_a_coordinate_out_of_the_frame_is_none_and_one_pixel_is_forgiven() -> None:
    assert in_file_pixels((0, 0, 513, 512), Response(""), (512, 512)) == (0, 0, 512, 512)
    assert in_file_pixels((0, 0, 514, 512), Response(""), (512, 512)) is None
    assert in_file_pixels((0, -2, 50, 50), Response(""), (512, 512)) is None
    assert in_file_pixels((0, 0, 5, 5), Response("", ((0, 0),)), (512, 512)) is None


@STEADY
@given(st.tuples(*[st.integers(0, 100)] * 4))
def test_a_box_on_the_grid_comes_back_to_its_cells(cells: tuple[int, int, int, int]) -> None:
    box = from_grid((cells[0], cells[1], cells[2], cells[3]), (512, 384), 100)
    assert box is not None and on_grid(box, (512, 384), 100) == cells
