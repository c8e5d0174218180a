"""Difficulty is a measure of the candidate set: it follows likeness and distance, and never the answer."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.data import difficulty, proxy
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, ProxyTask, Question, Record, View


def _record(name: str, at: tuple[float, ...], text: str | None = None) -> Record:
    return Record(
        name,
        "c",
        {"code": View("code", "text", name if text is None else text)},
        {f"x{i}": x for i, x in enumerate(at)},
    )


def _task(records: list[Record], answer: int = 0, level: int = 0) -> ProxyTask:
    views = tuple(record.views["code"] for record in records)
    question = Question("Which?", (View("note", "text", "note"),), views, {})
    labels = tuple("ABCDE"[: len(records)])
    names = tuple(record.id for record in records)
    return ProxyTask("t", "c", "train", level, question, labels, labels[answer], names[answer], names)


def _plane(**more: object) -> Neighbourhood:
    return Neighbourhood(position=lambda r: (r.facts["x0"], r.facts["x1"]), unit="m", **more)  # type: ignore[arg-type, return-value]


def test_an_image_that_is_gone_is_refused(tmp_path: Path) -> None:
    records = [Record(n, "c", {"code": View("code", "image", f"{n}.png")}, {}) for n in "ab"]
    with pytest.raises(DataError, match="a.png"):
        difficulty.measured([_task(records)], records, Neighbourhood(), tmp_path)


def test_a_neighbourhood_without_cells_and_position_leaves_those_measures_out(tmp_path: Path) -> None:
    records = [_record("aa", ()), _record("bb", ())]
    (found,) = difficulty.measured([_task(records)], records, Neighbourhood(), tmp_path)
    assert found.difficulty == {"similarity": 0.0}


def test_cell_is_the_side_of_the_level_and_spread_the_mean_distance(tmp_path: Path) -> None:
    records = [_record("a", (0.0, 0.0)), _record("b", (3.0, 4.0)), _record("c", (0.0, 4.0))]
    (found,) = difficulty.measured([_task(records, level=1)], records, _plane(cells=(10.0, 20.0)), tmp_path)
    assert found.difficulty["cell"] == 20.0
    assert found.difficulty["spread"] == pytest.approx((5 + 4 + 3) / 3)


def test_spread_in_degrees_is_in_metres_also_across_the_antimeridian(tmp_path: Path) -> None:
    london, paris = _record("london", (-0.1278, 51.5074)), _record("paris", (2.3522, 48.8566))
    near = _plane(metric="lon_lat_degrees")
    (found,) = difficulty.measured([_task([london, paris])], [london, paris], near, tmp_path)
    assert found.difficulty["spread"] == pytest.approx(343_560, rel=1e-3)
    west, east = _record("west", (-179.5, 0.0)), _record("east", (179.5, 0.0))
    (found,) = difficulty.measured([_task([west, east])], [west, east], near, tmp_path)
    assert found.difficulty["spread"] == pytest.approx(111_195, rel=1e-3)


def test_the_order_of_candidates_and_the_answer_change_no_bit_of_any_measure(tmp_path: Path) -> None:
    records = [_record(f"r{i} {i * 7919}", (0.1 * i, 1 / (i + 3)), f"word{i * i} and {i}") for i in range(5)]
    near = _plane(cells=(1.0,))
    tasks = [_task(list(order), answer=at % 5) for at, order in enumerate(permutations(records))]
    found = difficulty.measured(tasks, records, near, tmp_path)
    assert len({tuple(sorted(task.difficulty.items())) for task in found}) == 1
    assert [replace(task, difficulty={}) for task in found] == tasks


def test_similar_texts_are_harder_than_unlike_ones_and_the_same_text_is_1(tmp_path: Path) -> None:
    def similarity(one: str, other: str) -> float:
        records = [_record("a", (), one), _record("b", (), other)]
        (found,) = difficulty.measured([_task(records)], records, Neighbourhood(), tmp_path)
        return found.difficulty["similarity"]

    assert similarity("pulse 80 temp 36", "pulse 80 temp 36") == 1.0
    assert 1.0 > similarity("pulse 80 temp 36", "pulse 81 temp 36") > similarity("pulse 80 temp 36", "breath 12") >= 0.0
    assert similarity("", "anything") == similarity("A", "B") == 0.0


def test_similar_images_are_harder_than_unlike_ones(tmp_path: Path) -> None:
    shades = {"black": 0, "dim": 51, "white": 255}
    for name, shade in shades.items():
        Image.new("RGB", (40, 30), (shade,) * 3).save(tmp_path / f"{name}.png")

    def similarity(*names: str) -> float:
        records = [Record(n, "c", {"code": View("code", "image", f"{n}.png")}, {}) for n in names]
        (found,) = difficulty.measured([_task(records)], records, Neighbourhood(), tmp_path)
        return found.difficulty["similarity"]

    assert similarity("black", "dim") == pytest.approx(0.8)
    assert similarity("black", "white") == 0.0
    assert similarity("black", "dim", "white") == pytest.approx((0.8 + 0.0 + 0.2) / 3)


def test_an_image_and_a_text_are_not_alike(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    records = [Record("a", "c", {"code": View("code", "image", "a.png")}, {}), _record("b", ())]
    (found,) = difficulty.measured([_task(records)], records, Neighbourhood(), tmp_path)
    assert found.difficulty["similarity"] == 0.0


def test_measures_are_stored_with_the_task(tmp_path: Path) -> None:
    records = [_record("a", (0.0, 0.0)), _record("b", (3.0, 4.0))]
    found = difficulty.measured([_task(records)], records, _plane(cells=(10.0,)), tmp_path)
    proxy.save(tmp_path / "tasks.jsonl", found)
    assert proxy.read(tmp_path / "tasks.jsonl") == found
    assert found[0].difficulty.keys() == {"cell", "spread", "similarity"}
