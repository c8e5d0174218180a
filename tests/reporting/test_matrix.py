from typing import Any
from xml.etree import ElementTree

import pytest

from indirect_rlvr.reporting.matrix import markdown, svg

EVIL = '<script>alert(1)</script> & "x" | \u202e *b* [l](u)'
SVG = "{http://www.w3.org/2000/svg}"


def cell(gain: float, verdict: str = "improved", p: float = 0.001, **changed: Any) -> dict[str, Any]:
    return {
        "benchmark": "quiz", "task": "", "main": "correct", "n": 40, "first": 0.25, "second": 0.25 + gain,
        "unit": "share", "test": "McNemar", "gain": gain, "ci95": (gain - 0.1, gain + 0.1), "p_value": p, "p_holm": p,
        "verdict": verdict, **changed,
    }  # fmt: skip


def found(*columns: list[Any], tasks: int = 1, name: str = "row", benchmark: str = "quiz") -> dict[str, Any]:
    return {
        "base": {"folder": "base", "model": "m"},
        "tasks": [{"benchmark": benchmark, "task": f"t{i}"} for i in range(tasks)],
        "rows": [
            {"name": f"{name}{i}", "improved": 1, "worse": 0, "statement": "Said.", "not_compared": [], "cells": cells}
            for i, cells in enumerate(columns)
        ],
    }


def test_foreign_names_are_inert_in_the_picture() -> None:
    picture = svg(found([cell(0.2, benchmark=EVIL)], name=EVIL, benchmark=EVIL))
    root = ElementTree.fromstring(picture)
    assert "<script" not in picture and "\u202e" not in picture
    assert "[U+202E]" in picture
    assert {each.tag for each in root.iter()} <= {
        f"{SVG}{name}" for name in ("svg", "style", "rect", "g", "text", "title")
    }


def test_foreign_names_break_no_table() -> None:
    lines = markdown(found([cell(0.2)], name=EVIL, benchmark=EVIL)).splitlines()
    heading, rule, row = (line for line in lines if line.startswith("|"))
    assert all(line.replace("\\|", "").count("|") == 3 for line in (heading, rule, row))
    assert "<script>" not in heading + row and "\\<script\\>" in row


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (cell(0.2), "+20.0 **"),
        (cell(0.2, p=0.02), "+20.0 *"),
        (cell(-0.3, "worse"), "−30.0 **"),
        (cell(0.2, "no measurable change", p=0.2), "+20.0"),
        (cell(0.2, "no measurable change"), "+20.0"),
    ],
)
def test_a_mark_needs_a_verdict_and_says_how_sure_it_is(made: dict[str, Any], expected: str) -> None:
    texts = [each.text for each in ElementTree.fromstring(svg(found([made]))).iter(f"{SVG}text")]
    assert expected in texts
    assert f"| {expected.replace('*', chr(92) + '*')} (" in markdown(found([made]))


def test_a_cell_says_everything_in_words_and_distances_in_km() -> None:
    near = cell(0.4, unit="km", first=1234.5, second=56.78, main="km", test="Wilcoxon")
    titles = [each.text or "" for each in ElementTree.fromstring(svg(found([near]))).iter(f"{SVG}title")]
    assert any("median 1,234 km before, 56.78 km after; +40.0 points" in title for title in titles)


@pytest.mark.parametrize(
    ("unit", "said"), [("share", "25.0\u00a0% before, 45.0\u00a0% after"), ("points", "0.25 points before, 0.45 after")]
)
def test_a_cell_says_its_values_in_their_unit(unit: str, said: str) -> None:
    picture = ElementTree.fromstring(svg(found([cell(0.2, unit=unit)])))
    assert any(said in (each.text or "") for each in picture.iter(f"{SVG}title"))


def test_what_was_not_measured_is_an_empty_cell() -> None:
    root = ElementTree.fromstring(svg(found([cell(0.2), None], [None, cell(-0.2)], tasks=2)))
    assert sum(each.text == "not measured" for each in root.iter(f"{SVG}title")) == 2
    assert "|  |" in markdown(found([cell(0.2), None], tasks=2))


def test_colour_follows_the_sign_and_grows_with_the_gain() -> None:
    root = ElementTree.fromstring(svg(found([cell(0.1), cell(0.4), cell(2.0), cell(-0.4)], tasks=4)))
    boxes = [(each.get("fill"), float(each.get("fill-opacity", 0))) for each in root.iter(f"{SVG}rect")][1:]
    up, more, full, down = boxes
    assert up[0] == more[0] == full[0] != down[0]
    assert up[1] < more[1] == down[1] < full[1] == 0.55
