"""GPQA: the permutations and the reading of simple-evals, and no question in any message."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Prompt, Response
from indirect_rlvr_geo.benchmarks import gpqa

DIAMOND = {benchmark.name: benchmark for benchmark in gpqa.benchmarks()}["gpqa-diamond"]
Scored = Callable[[Benchmark, Path, Mapping[str, str]], dict[tuple[str, str, str], dict[str, Any]]]


def write(folder: Path, rows: list[list[str]]) -> None:
    with (folder / "gpqa_diamond.csv").open("w", newline="") as file:
        csv.writer(file).writerows([gpqa.COLUMNS, *rows])


ROWS = [["What is made up, 1?", "right 1", "w1", "w2", "w3"], ['Made up, "2"?', "right 2", "x1", "x2", "x3"]]


def test_a_broken_file_is_refused_without_any_text_of_a_question(tmp_path: Path) -> None:
    write(tmp_path, [ROWS[0], ["secret question", "secret answer", "", "", ""]])
    with pytest.raises(DataError, match="row 1 has no `Incorrect Answer 1`") as caught:
        list(DIAMOND.examples(tmp_path))
    (tmp_path / "gpqa_diamond.csv").write_bytes(b"Question\nsecret \xff")
    with pytest.raises(DataError, match=r"cannot be read as CSV \(UnicodeDecodeError\)") as other:
        list(DIAMOND.examples(tmp_path))
    for error in (caught.value, other.value):
        assert "secret" not in str(error) and error.__cause__ is None


def test_options_stand_in_the_order_that_simple_evals_draws(tmp_path: Path) -> None:
    write(tmp_path, ROWS)
    rng = Random(0)
    drawn = [rng.sample(range(4), 4) for _ in range(8)]
    examples = list(DIAMOND.examples(tmp_path))
    assert [example.id for example in examples[:3]] == ["diamond-000-0", "diamond-001-0", "diamond-000-1"]
    for number, (example, order) in enumerate(zip(examples, drawn, strict=True)):
        options = [ROWS[number % 2][1:][place] for place in order]
        text = str(example.prompt.parts[0])
        assert text.endswith("\n".join(f"{letter}) {option}" for letter, option in zip("ABCD", options, strict=True)))
        assert example.truth == {"labels": ["A", "B", "C", "D"], "answer": "ABCD"[order.index(0)]}


@pytest.mark.parametrize(("text", "letter"), [
    ("", None), ("A", None), ("Answer: E", None), ("Answer:\nB", None), ("Answer: $LETTER", None),
    ("Answer: B", "B"), ("answer :\t$C$", "C"), ("**Answer: D**", "D"), ("Answer: A, no, Answer: B", "A"),
    ("Answer: b", "b"), ("Answer: Because", "B"),
])  # fmt: skip
def test_the_first_match_counts_as_it_is(text: str, letter: str | None) -> None:
    found = gpqa.parse(Example("x", "x", Prompt(("",)), {}), Response(text))
    assert found == (None if letter is None else {"answer": letter})


def test_a_run_by_hand(tmp_path: Path, scored: Scored) -> None:
    write(tmp_path, ROWS)
    examples = list(DIAMOND.examples(tmp_path))
    answers = {example.id: f"Answer: {example.truth['answer']}" for example in examples[:5]}
    small = examples[5]
    answers[small.id] = f"Answer: {small.truth['answer'].lower()}"
    metric = scored(DIAMOND, tmp_path, answers)["", "accuracy", "strict"]
    assert (metric["value"], metric["n"], metric["n_parsed"], metric["baselines"]["chance"]) == (5 / 8, 8, 6, 0.25)


def test_the_three_sets_have_folders_and_sizes_of_their_own() -> None:
    assert {benchmark.name: benchmark.source.size for benchmark in gpqa.benchmarks() if benchmark.source} == {
        "gpqa-diamond": "198 questions, 4 times each", "gpqa-main": "448 questions, 4 times each",
        "gpqa-extended": "546 questions, 4 times each",
    }  # fmt: skip
