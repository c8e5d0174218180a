import json

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.score import Prediction, read_predictions, score_predictions, summarise
from indirect_rlvr.types import ProxyTask, Question


def item(name, answer="B", cluster="place"):
    question = Question("?", (), (), {})
    return ProxyTask(name, cluster, "test", 0, question, ("A", "B", "C"), answer, "", ("a", "b", "c"))


def said(name, text, tokens=3, finished=True):
    return Prediction(name, text, tokens, finished)


def full(label):
    return f"<think>because</think><answer>{label}</answer>"


def test_a_missing_prediction_is_named():
    with pytest.raises(DataError, match="1 of 2 items have no prediction, the first is `two`; ask the model again"):
        score_predictions([item("one"), item("two")], [said("one", full("B"))])


def test_a_prediction_given_twice_is_named():
    with pytest.raises(DataError, match="prediction `one` is given twice"):
        score_predictions([item("one")], [said("one", full("B")), said("one", full("B"))])


def test_a_prediction_of_no_item_is_named():
    with pytest.raises(DataError, match="1 predictions belong to no item, the first is `three`"):
        score_predictions([item("one")], [said("one", full("B")), said("three", full("B"))])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([], "line 1 is not an object"),
        ({"id": 3, "text": "", "tokens": 1, "finished": True}, "line 1: `id` is 3, expected str"),
        ({"id": "a", "text": "", "tokens": "1", "finished": True}, "line 1: `tokens` is '1', expected int"),
        ({"id": "a", "text": "", "tokens": 1}, "line 1: `finished` is None, expected bool"),
    ],
)
def test_a_broken_row_names_file_line_and_field(tmp_path, row, expected):
    path = tmp_path / "proxy.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"proxy\.jsonl") as caught:
        read_predictions(path)
    assert expected in str(caught.value)


def test_no_scores_have_no_summary():
    with pytest.raises(DataError, match="no item was asked"):
        summarise([], [])


@pytest.mark.parametrize("text", ["", "B", "<answer>B", "<answer>A or B</answer>", "<answer>Z</answer>", "\ud800"])
def test_an_answer_that_cannot_be_read_is_wrong(text):
    (score,) = score_predictions([item("one")], [said("one", text)])
    assert (score.correct, score.answer) == (False, None)


def test_scores_come_in_the_order_of_the_items():
    predictions = [said("two", full("C")), said("one", full("B"))]
    scores = score_predictions([item("one"), item("two")], predictions)
    assert [(s.id, s.correct, s.answer) for s in scores] == [("one", True, "B"), ("two", False, "C")]


def test_a_right_answer_without_the_format_counts_as_right_but_not_as_formatted():
    (score,) = score_predictions([item("one")], [said("one", "<answer>B</answer>")])
    assert (score.correct, score.formatted) == (True, False)


def test_a_summary_counts_everything():
    items = [item(str(n), cluster=f"place {n // 2}") for n in range(4)]
    predictions = [
        said("0", full("B"), 10), said("1", full("A"), 20), said("2", "nothing", 30, finished=False),
        said("3", full("B"), 40),
    ]  # fmt: skip
    summary = summarise(items, score_predictions(items, predictions))
    assert (summary.accuracy, summary.n, summary.clusters) == (0.5, 4, 2)
    assert (summary.format_rate, summary.mean_completion_tokens) == (0.75, 25.0)
    assert (summary.unparsable, summary.unfinished) == (1, 1)
    assert summary.answer_histogram == {"A": 1, "B": 2, "C": 0, "none": 1}
    assert 0 <= summary.ci95[0] < 0.5 < summary.ci95[1] <= 1


def test_accuracy_among_the_answered_leaves_out_what_cannot_be_read():
    items = [item(str(n)) for n in range(4)]
    predictions = [said("0", full("B")), said("1", full("A")), said("2", "nothing"), said("3", "")]
    summary = summarise(items, score_predictions(items, predictions))
    assert summary.accuracy == 0.25
    assert summary.answered is not None
    assert (summary.answered.accuracy, summary.answered.n) == (0.5, 2)


def test_nobody_answered_leaves_nothing_to_be_accurate_about():
    items = [item("0")]
    assert summarise(items, score_predictions(items, [said("0", "nothing")])).answered is None
