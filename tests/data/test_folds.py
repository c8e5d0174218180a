"""Nobody learns from a task that shares a cluster with what is asked."""

from collections.abc import Sequence

import numpy as np
import pytest

from indirect_rlvr.data.folds import Floats, Places, cross_validate, make
from indirect_rlvr.data.probes import by_rank, ranks
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import ProxyTask, Question, View


def task(number: int, members: Sequence[str]) -> ProxyTask:
    """A task whose query, the first member, lies in the cluster of its name."""
    views = tuple(View("tile", "text", name) for name in members)
    question = Question("Which?", (View("note", "text", members[0]),), views, {})
    labels = tuple("ABCDE"[: len(members)])
    return ProxyTask(str(number), f"c{members[0]}", "train", 0, question, labels, "A", members[0], tuple(members))


def world(tasks: int, records: int, seed: int = 0) -> list[ProxyTask]:
    rng = np.random.default_rng(seed)
    return [task(n, [str(r) for r in rng.choice(records, 3, replace=False)]) for n in range(tasks)]


@pytest.mark.parametrize(
    "tasks",
    [
        [task(n, ["0", "a"]) for n in range(9)],
        [task(n, [str(n % 3), str((n + 1) % 3), str((n + 2) % 3)]) for n in range(30)],
    ],
    ids=["one cluster", "sets that mix all clusters"],
)
def test_clusters_that_cannot_be_kept_apart_are_refused(tasks: list[ProxyTask]) -> None:
    with pytest.raises(
        DataError, match=r"so mixed that nothing can be learnt apart from what is asked; give more clusters"
    ):
        make(tasks, {"0": "c0", "1": "c1", "2": "c2", "a": "c0"})


def test_every_task_is_asked_once_and_shares_no_cluster_with_what_was_learnt_from() -> None:
    tasks = world(400, 150)
    cluster = {str(record): f"c{record}" for record in range(150)}
    folds = make(tasks, cluster)
    assert len(folds) == 2 * 3
    assert sorted(row for _, asked in folds for row in asked.tolist()) == list(range(400))
    for learnt, asked in folds:
        assert 40 < len(asked) < 100
        assert len(learnt) > 400 * (5 / 6) ** 3 - 60
        known = {cluster[name] for row in learnt.tolist() for name in tasks[row].candidate_records}
        for row in asked.tolist():
            assert not {cluster[name] for name in tasks[row].candidate_records} <= known
            assert tasks[row].id not in {tasks[other].id for other in learnt.tolist()}


def test_sets_within_a_cluster_share_none_with_what_was_learnt_from() -> None:
    tasks = [task(n, [f"{n % 40}-{i}" for i in range(3)]) for n in range(400)]
    cluster = {f"{place}-{i}": f"c{place}" for place in range(40) for i in range(3)}
    for learnt, asked in make(tasks, cluster):
        assert {row % 40 for row in asked.tolist()}.isdisjoint({row % 40 for row in learnt.tolist()})


def test_the_fold_of_a_task_does_not_depend_on_its_answer() -> None:
    tasks = world(300, 150)
    cluster = {str(record): f"c{record}" for record in range(150)}
    turned = [task(n, [*t.candidate_records[1:], t.candidate_records[0]]) for n, t in enumerate(tasks)]
    pairs = zip(make(tasks, cluster), make(turned, cluster), strict=True)
    assert all((a == c).all() and (b == d).all() for (a, b), (c, d) in pairs)


def test_a_number_that_only_tells_clusters_apart_wins_nothing() -> None:
    """Each member is asked once, and a number that is large in some clusters and small in others says nothing."""
    rng, hits = np.random.default_rng(0), []
    for _ in range(40):
        sets = [rng.choice(200, 5, replace=False) for _ in range(100)]
        tasks = [task(5 * n + i, [str(r) for r in np.roll(own, -i)]) for n, own in enumerate(sets) for i in range(5)]
        values = np.array([[int(name) % 20 + rng.random() for name in t.candidate_records] for t in tasks])
        right = rng.integers(5, size=len(tasks))
        moved = np.array([np.roll(row, place) for row, place in zip(values, right, strict=True)])
        learner = by_rank(ranks(moved, moved), right)
        answered = cross_validate(learner, make(tasks, {str(record): f"c{record % 20}" for record in range(200)}))
        hits.append(int((answered.picked == right).sum()))
    assert np.mean(hits) < 103
    assert np.std(hits) < (500 * 0.2 * 0.8) ** 0.5  # a binomial's; folds by the answer's cluster give twice that


def test_a_learner_gets_only_what_it_may_know() -> None:
    tasks = world(300, 120)
    folds = make(tasks, {str(record): f"c{record}" for record in range(120)})
    calls: list[tuple[list[int], list[int]]] = []

    def learner(learnt: Places, asked: Places) -> Floats:
        calls.append((learnt.tolist(), asked.tolist()))
        return np.log(np.full((len(asked), 3), 1 / 3))

    answered = cross_validate(learner, folds)
    assert min(np.bincount(answered.picked, minlength=3)) > 75  # who knows nothing picks no position more often
    assert calls[0] == (list(range(300)), list(range(300)))
    assert calls[1:] == [(learnt.tolist(), asked.tolist()) for learnt, asked in folds]
    assert 0 < answered.share < 5 / 6


def test_a_record_nobody_knows_is_a_cluster_of_its_own() -> None:
    assert len(make(world(400, 150), {})) == 6
