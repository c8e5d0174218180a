"""MMMU: the official reading on made and real responses, and the official numbers to the last question."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, View
from indirect_rlvr_geo.benchmarks import mmmu
from indirect_rlvr_geo.benchmarks.mmmu_parsing import (
    _GROUPED,
    _SCIENTIFIC,
    _SIMPLE,
    choice,
    open_correct,
    predictions,
)

REAL = Path(__file__).parents[5] / "shared/data/mmmu/mmmu"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/mmmu")
MMMU = mmmu.benchmarks()[0]
OPTIONS = {"A": "a red kite", "B": "a blue whale", "C": "neither"}
Scored = Callable[[Benchmark, Path, Mapping[str, str]], dict[tuple[str, str, str], dict[str, Any]]]


@pytest.mark.parametrize(("response", "letter"), [
    ("", None), ("no idea", None), ("(D)", None), ("b", None),
    ("B", "B"), ("B.", "B"), ("(B)", "B"), ("The answer is B", "B"), ("(A) no, rather (C)", "C"),
    ("(C) although A and B are close", "C"), ("either A or B , I say B", "B"), ("A B A", "A"),
    ("A red kite is what I see", "A"),
    ("I think that this is a blue whale indeed", "B"), ("a blue whale", None),
    ("first a blue whale and then a red kite above", "A"),
])  # fmt: skip
def test_a_choice_is_read_by_the_official_order(response: str, letter: str | None) -> None:
    assert choice(response, OPTIONS) == letter


@pytest.mark.parametrize(("response", "found"), [
    ("", [""]), ("12.97", [12.97]), ("The answer is 12.966", [12.97]), ("x = 3", [3.0]),
    ("x = 3\ny", ["x = 3\ny", 3.0]),
    ("It could be red\nSo it is 1,234", ["red", 1234.0, 234.0]), ("so c", [" c", "c "]),
    ("is 1.5e3 m", ["1.5e3 m", 1500.0, 1.0, 3.0]),
    ("nan", ["nan"]), ("1e400", ["1e400", 400.0]), ("is :", ["is :"]), ("THUS It Is Red.", ["red"]),
])  # fmt: skip
def test_open_answers_are_read_by_the_official_rules(response: str, found: list[str | float]) -> None:
    assert predictions(response) == found


def test_an_open_answer_is_right_where_it_holds_a_gold_text_or_number() -> None:
    assert open_correct(["Transformation"], predictions("The answer is bacterial transformation."))
    assert open_correct(["24/7", "3.429"], predictions("therefore 3.43"))
    assert open_correct(["C"], predictions("so c"))
    assert not open_correct(["C"], predictions("carbon"))
    assert not open_correct(["12.97"], predictions("13"))


ROUGH = st.text(alphabet="0123456789.,eE+- a\n_", max_size=60)


@given(text=ROUGH)
def test_the_linear_patterns_find_what_the_official_ones_find(text: str) -> None:
    official = (
        (_GROUPED, r"-?\b\d{1,3}(?:,\d{3})+\b"),
        (_SCIENTIFIC, r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
        (_SIMPLE, r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
    )
    for ours, theirs in official:
        assert ours.findall(text) == re.findall(theirs, text)


ROWS = (
    {"id": "validation_Art_2", "question": "What is <image 1>?", "options": "['kite', '<image 2>']", "answer": "B",
     "question_type": "multiple-choice", "image_1": "images/1.png", "image_2": "images/2.png"},
    {"id": "validation_Art_10", "question": "Who?", "options": "['x', 'y', 'z']", "answer": "A",
     "question_type": "multiple-choice", "image_1": "images/gone.png"},
    {"id": "validation_Accounting_1", "question": "How much is <image 1>?", "options": "[]", "answer": "['7', 'seven']",
     "question_type": "open", "image_1": "images/1.png"},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    for number in (1, 2):
        picture(tmp_path / f"images/{number}.png")
    write(tmp_path, *ROWS)
    return tmp_path


def write(folder: Path, *rows: Mapping[str, object]) -> None:
    (folder / "validation.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_rows_that_are_not_mmmus_are_named(folder: Path) -> None:
    write(folder, ROWS[0] | {"answer": "C"})
    with pytest.raises(DataError, match=r"question `validation_Art_2`: the answer 'C' is none of \['A', 'B'\]"):
        list(mmmu.examples(folder))
    write(folder, ROWS[0] | {"id": "test_Alchemy_1"})
    with pytest.raises(DataError, match="question `test_Alchemy_1`: no subject of MMMU in its id"):
        list(mmmu.examples(folder))
    write(folder, ROWS[0] | {"options": "['a'"})
    with pytest.raises(DataError, match="question `validation_Art_2`: `options` is no Python literal: SyntaxError"):
        list(mmmu.examples(folder))


def test_a_question_that_comes_twice_is_asked_twice_and_flagged(folder: Path) -> None:
    write(folder, ROWS[0], ROWS[0])
    first, second = mmmu.examples(folder)
    assert (first.id, second.id, second.flags) == ("validation_Art_2", "validation_Art_2#2", ("duplicate id",))
    assert mmmu.subject_of(second.id) == "Art"


def test_a_run_by_hand(folder: Path, scored: Scored) -> None:
    examples = list(mmmu.examples(folder))
    assert [example.id for example in examples] == ["validation_Accounting_1", "validation_Art_2", "validation_Art_10"]
    assert examples[2].missing == ("images/gone.png",)
    shown = ["@" if isinstance(part, View) else part for part in examples[1].prompt.parts]
    assert "".join(shown) == (
        "What is @?\n\n(A) kite\n(B) @\n\nAnswer with the option's letter from the given choices directly."
    )
    assert "single word or phrase" in str(examples[0].prompt.parts[-1])
    found = scored(MMMU, folder, {"validation_Accounting_1": "so it is seven apples", "validation_Art_2": "hm"})
    assert (found["", "accuracy", "strict"]["value"], found["", "accuracy", "strict"]["n"]) == (0.5, 2)
    assert found["", "accuracy", "strict"]["n_missing_media"] == 1
    assert found["", "accuracy", "strict"]["n_parsed"] == 1
    assert found["", "accuracy", "strict"]["baselines"]["chance"] == 0.25
    assert found["Business", "accuracy", "strict"]["value"] == 1
    assert found["Art", "accuracy", "strict"]["value"] == 0


def published(answers: Callable[[Mapping[str, Any]], str]) -> dict[tuple[str, str], Metric]:
    graded = []
    for row in rows():
        truth = {"answer": row["answer"], "options": row.get("index2ans", {})}
        example = Example(row["id"], row["id"], Prompt(("",)), truth, mmmu._DOMAIN_OF[mmmu.subject_of(row["id"])])
        parsed = MMMU.parse(example, Response(answers(row)))
        graded.append(Graded(example, parsed, MMMU.judge(example, parsed)))
    return {(metric.task, metric.convention): metric for metric in MMMU.metrics(graded)}


def rows() -> Iterator[dict[str, Any]]:
    for path in sorted((REAL / "example_outputs/qwen_vl").glob("*/output.json"), reverse=True):
        yield from reversed(json.loads(path.read_text()))


@needs_data
def test_the_published_36_1_of_qwen_vl_comes_back_with_the_official_random_answers() -> None:
    found = published(lambda row: str(row["response"]))
    assert found["", "official_random"].value == 325 / 900
    assert found["", "strict"].value == 309 / 900
    assert (found["", "strict"].n, found["", "strict"].n_parsed) == (900, 852)
    assert round(100 * found["", "official_random"].value, 1) == 36.1
    assert round(100 * found["", "strict"].value, 1) == 34.3


@needs_data
def test_the_published_36_7_of_llava_comes_back() -> None:
    said = json.loads((REAL / "example_outputs/llava1.5_13b/total_val_output.json").read_text())
    found = published(lambda row: str(said[row["id"]]))
    assert found["", "official_random"].value == found["", "strict"].value == 330 / 900
    assert round(100 * found["", "strict"].value, 1) == 36.7


@needs_data
def test_the_validation_answers_of_the_release_fit_the_subjects() -> None:
    truths = json.loads((REAL / "answer_dict_val.json").read_text())
    subjects = {mmmu.subject_of(name) for name in truths}
    assert (len(truths), subjects) == (900, set(mmmu.SUBJECTS))
    assert [len(names) for names in mmmu.DOMAINS.values()] == [4, 5, 5, 5, 4, 7]
