from pathlib import Path

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.evaluation.grade import grade, measured
from indirect_rlvr.types import Prompt, Response

EXAMPLES = [
    choice_example("one", "c1", Prompt(("?",)), ("A", "B"), "A", task="sea"),
    choice_example("two", "c2", Prompt(("?",)), ("A", "B"), "B", task="sea"),
    choice_example("three", "c3", Prompt(("?",)), ("A", "B", "C", "D"), "B", task="land", flags=("train city",)),
]


def made(**options):
    return choice_benchmark("toy", "which", lambda folder: EXAMPLES, **options)


def said(**texts):
    return {name: Response(text) for name, text in texts.items()}


def test_an_answer_that_is_no_label_is_refused():
    with pytest.raises(DataError, match=r"example `x`: the answer 'E' is none of the labels \['A', 'B'\]"):
        choice_example("x", "c", Prompt(("?",)), ("A", "B"), "E")


def test_what_cannot_be_read_is_wrong_and_counted():
    graded = grade(made(), EXAMPLES, said(one="<answer>A</answer>", two="hm"))
    (metric,) = made().metrics(graded)
    assert (metric.name, metric.value, metric.n, metric.n_parsed) == ("accuracy", pytest.approx(1 / 3), 3, 1)
    assert metric.baselines == {"chance": pytest.approx((0.5 + 0.5 + 0.25) / 3), "majority": pytest.approx(2 / 3)}


def test_sub_tasks_have_an_accuracy_each_and_a_macro_mean():
    benchmark = made(tasks=("sea", "land"))
    graded = grade(benchmark, EXAMPLES, said(one="<answer>A</answer>", two="<answer>B</answer>"))
    found = {(metric.name, metric.task): metric.value for metric in benchmark.metrics(graded)}
    assert found == {
        ("accuracy", ""): pytest.approx(2 / 3),
        ("accuracy", "sea"): 1.0,
        ("accuracy", "land"): 0.0,
        ("macro accuracy", ""): 0.5,
    }


def test_a_parser_of_its_own_is_used():
    benchmark = made(parse=lambda example, response: {"answer": response.text[-1:]}, parser_version="last letter")
    found = measured(benchmark, grade(benchmark, EXAMPLES, said(one="so A", two="so A", three="so B")))
    assert found["metrics"][0]["value"] == pytest.approx(2 / 3)
    assert found["parser_version"] == "last letter"


def test_flagged_examples_are_measured_apart():
    found = measured(made(), grade(made(), EXAMPLES, said(three="<answer>B</answer>")))
    split = found["flags"]["train city"]
    assert (split["n"], split["with"][0]["value"], split["without"][0]["value"]) == (1, 1.0, 0.0)


def test_held_out_examples_ignore_the_folder():
    assert list(made().examples(Path("anywhere"))) == EXAMPLES
