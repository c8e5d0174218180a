"""Rows become aligned columns that are safe to print."""

from indirect_rlvr.reporting.columns import columns


def test_no_rows_are_no_text() -> None:
    assert columns([]) == ""


def test_numbers_stand_to_the_right_and_none_is_a_dash() -> None:
    rows = [{"term": "accuracy", "mean": 0.5, "n": 1200}, {"term": "f", "mean": None, "n": 3}]
    assert columns(rows).splitlines() == [
        "term        mean      n",
        "accuracy  0.5000  1,200",
        "f              –      3",
    ]


def test_a_zero_has_no_minus_and_truth_is_a_word() -> None:
    assert columns([{"shift": -1e-9, "ok": True}]).splitlines()[1] == "0.0000  True"


def test_foreign_text_stays_on_its_line_and_is_cut() -> None:
    (_, line) = columns([{"text": "a\nb\x1b[2J" + "c" * 1000}]).splitlines()
    assert line.startswith("a b")
    assert "\x1b" not in line
    assert len(line) < 200
