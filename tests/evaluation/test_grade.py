import json
from dataclasses import replace

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.evaluation.grade import MAX_RESPONSE, grade, items, measured, metrics, prompt_hash, with_missing
from indirect_rlvr.evaluation.metrics import share
from indirect_rlvr.types import Graded, Prompt, Response

EXAMPLES = [choice_example(f"n{n}", f"c{n}", Prompt((f"? {n}",)), ("A", "B"), "A") for n in range(3)]
TOY = choice_benchmark("toy", "which", lambda folder: EXAMPLES)
RIGHT = {example.id: Response("<answer>A</answer>") for example in EXAMPLES}


def test_a_parser_that_raises_is_named_with_its_example():
    broken = replace(TOY, parse=lambda example, response: {"answer": int(response.text)})
    with pytest.raises(ValueError, match="invalid literal") as caught:
        grade(broken, EXAMPLES, RIGHT)
    assert caught.value.__notes__ == ["in `parse` of benchmark `toy`, at example `n0`"]


def test_metrics_that_raise_are_named():
    broken = replace(TOY, metrics=lambda graded: [][0])
    with pytest.raises(IndexError) as caught:
        metrics(broken, [])
    assert caught.value.__notes__ == ["in `metrics` of benchmark `toy`"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_refused(value):
    broken = replace(TOY, judge=lambda example, parsed: {"km": value})
    with pytest.raises(DataError, match=r"benchmark `toy`, example `n0`: `judge` gave \{'km': (nan|inf)\}; leave out"):
        grade(broken, EXAMPLES, RIGHT)


@pytest.mark.parametrize(
    ("changed", "expected"), [({"value": 1.5}, "a share of 1.5"), ({"value": float("nan")}, "nan")]
)
def test_a_metric_that_breaks_its_type_is_refused(changed, expected):
    broken = replace(TOY, metrics=lambda graded: [replace(share(graded, "correct"), **changed)])
    with pytest.raises(DataError, match=expected):
        measured(broken, grade(broken, EXAMPLES, RIGHT))


def test_a_response_of_a_megabyte_is_read_and_one_past_the_limit_is_not():
    long = {
        "n0": Response("x" * 10**6 + "<answer>A</answer>"),
        "n1": Response("<answer>A</answer>" + "x" * MAX_RESPONSE),
    }
    graded = grade(TOY, EXAMPLES, long)
    assert [one.parsed for one in graded] == [{"answer": "A"}, None, None]


def test_missing_media_are_neither_read_nor_judged():
    graded = grade(TOY, with_missing(EXAMPLES, {"n1": ["n1.png"]}), RIGHT)
    assert graded[1] == Graded(replace(EXAMPLES[1], missing=("n1.png",)), None, {})
    found = measured(TOY, graded)
    assert found["missing_media"] == {"n": 1, "first": ["n1"]}
    assert (found["metrics"][0]["n"], found["metrics"][0]["n_missing_media"]) == (2, 1)


def test_results_are_plain_json_and_nothing_is_null():
    found = measured(TOY, grade(TOY, with_missing(EXAMPLES, {e.id: ["x"] for e in EXAMPLES}), RIGHT))
    assert found["metrics"][0]["value"] is None and found["metrics"][0]["baselines"] == {}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_each_example_has_a_row_for_paired_comparisons():
    (row, *_) = items(grade(TOY, EXAMPLES, RIGHT))
    assert row == {
        "id": "n0", "cluster": "c0", "task": "", "flags": [], "prompt": prompt_hash(EXAMPLES[:1]), "missing": False,
        "parsed": {"answer": "A"}, "values": {"correct": 1.0},
    }  # fmt: skip


def test_the_prompt_hash_changes_with_the_wording_and_not_with_the_truth():
    asked = prompt_hash(EXAMPLES)
    assert prompt_hash([replace(EXAMPLES[0], prompt=Prompt(("?? 0",))), *EXAMPLES[1:]]) != asked
    assert prompt_hash([replace(EXAMPLES[0], truth={}), *EXAMPLES[1:]]) == asked
