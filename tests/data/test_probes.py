"""Each way of learning finds what it is made for; ties and words of every text say nothing."""

import numpy as np

from indirect_rlvr.data import probes
from indirect_rlvr.types import ProxyTask, Question, Record, View


def test_ranks_count_from_the_smallest_and_ties_fall_by_coin() -> None:
    values = np.array([[3.0, 1.0, 2.0], [5.0, 5.0, 5.0]])
    ties = np.array([[0.0, 0.0, 0.0], [0.3, 0.1, 0.2]])
    assert probes.ranks(values, ties).tolist() == [[2, 0, 1], [2, 0, 1]]


def test_a_number_that_is_the_same_for_all_candidates_tells_nothing() -> None:
    assert not probes.differs(np.array([[1.0, 1.0], [2.0, 2.0]]))
    assert probes.differs(np.array([[1.0, 1.0], [2.0, 3.0]]))


def test_the_rank_of_the_answer_is_learnt_from_some_and_used_on_others() -> None:
    rng = np.random.default_rng(0)
    ranked = np.array([rng.permutation(4) for _ in range(60)])
    right = np.argmax(ranked == 2, axis=1)
    found = probes.by_rank(ranked, right)(np.arange(40), np.arange(40, 60))
    assert found.argmax(axis=1).tolist() == right[40:].tolist()


def test_words_of_every_text_say_nothing_and_others_do() -> None:
    right = np.arange(100) % 2
    texts = [f"which tile {'left' if place else 'right'}" for place in right]
    found = probes.by_words(texts, right, 2)(np.arange(50), np.arange(50, 100))
    assert (found.argmax(axis=1) == right[50:]).all()
    blind = probes.by_words(["which tile"] * 100, right, 2)(np.arange(50), np.arange(50, 100))
    assert np.allclose(blind, np.log(0.5))


def test_the_middle_one_can_be_learnt_from_relative_features() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(400, 3, 1))
    right = np.argsort(raw[:, :, 0], axis=1)[:, 1]
    learn = probes.by_features(probes.relative(raw), right)
    assert (learn(np.arange(300), np.arange(300, 400)).argmax(axis=1) == right[300:]).mean() > 0.8


def task(text: str) -> ProxyTask:
    views = (View("tile", "text", "a"), View("tile", "text", "b"))
    return ProxyTask("t", "c", "train", 0, Question(text, (), views, {}), ("A", "B"), "A", "a", ("a", "b"))


def test_metadata_counts_as_mentioned_only_as_whole_words() -> None:
    by_id = {
        "a": Record("a", "c", {}, {"city": "Cape Town", "height": 1.5}),
        "b": Record("b", "c", {}, {"city": "Cape", "height": 1}),
    }
    assert probes.mentions([task("Is it in CAPE TOWN, at 1.5 m?")], by_id).tolist() == [[2.0, 1.0]]
    assert probes.mentions([task("The landscape is 1.50 m high.")], by_id).tolist() == [[0.0, 0.0]]


def test_a_long_text_of_points_is_read_in_linear_time() -> None:
    by_id = {name: Record(name, "c", {}, {"x": "y"}) for name in "ab"}
    long = task("." * 300_000 + "-+" * 300_000 + " y")  # a quadratic reader takes hours
    assert probes.mentions([long], by_id).tolist() == [[1.0, 1.0]]
