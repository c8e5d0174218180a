"""Tasks have one right answer, balanced positions, an order that tells nothing, and come back from disk unchanged."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.data.proxy import make_tasks, permuted, read, save, without_query
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import CandidateSet, ProxyTask, Question, Record, Split, View

STEADY = settings(deadline=None, derandomize=True, max_examples=50)
MANY: Mapping[Split, int] = {"train": 10_000, "test": 10_000}


class Codes:
    """Which code belongs to the note?"""

    def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
        return Question(
            text="Which code belongs to the note?",
            query=(query.views["note"],),
            candidates=tuple(candidate.views["code"] for candidate in candidates),
            facts={"query": dict(query.facts), "ages": tuple(candidate.facts["age"] for candidate in candidates)},
        )


def world(sets: int, k: int, split: Split = "train") -> tuple[list[CandidateSet], list[Record]]:
    records = [
        Record(
            id=f"{split}{i}",
            cluster=f"{split}-c{i % 7}",
            views={"note": View("note", "text", f"note {i}"), "code": View("code", "text", f"code {i}")},
            facts={"age": i},
            split=split,
        )
        for i in range(sets * k)
    ]
    members = [tuple(record.id for record in records[i * k : (i + 1) * k]) for i in range(sets)]
    return [CandidateSet(f"{split}-s{i}", split, 0, own) for i, own in enumerate(members)], records


def tasks_of(
    sets: int = 10, k: int = 4, queries: int = 2, limit: Mapping[Split, int] = MANY, seed: int = 0
) -> list[ProxyTask]:
    train, test = world(sets, k), world(sets, k, "test")
    return make_tasks(Codes(), train[0] + test[0], train[1] + test[1], queries_per_set=queries, limit=limit, seed=seed)


def make(domain: object) -> list[ProxyTask]:
    sets, records = world(3, 4)
    return make_tasks(domain, sets, records, queries_per_set=1, limit={"train": 9}, seed=0)  # type: ignore[arg-type]


class Changed(Codes):
    """The toy domain with some fields of its question replaced."""

    def __init__(self, **changes: object) -> None:
        self.changes = changes

    def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
        return replace(super().make_task(query, candidates), **self.changes)  # type: ignore[arg-type]


SAME = View("code", "text", "0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": " "}, "gave the wording ' ' and 1 query views; expected both$"),
        ({"query": ()}, "gave the wording 'Which code belongs to the note[?]' and 0 query views; expected both$"),
        ({"candidates": (SAME,)}, "gave 1 candidate views; expected one for each of the 4 records$"),
        ({"candidates": (SAME,) * 4}, "shows the candidate '0' 4 times, so there is more than one right answer; add a"),
        (
            {"query": (SAME,), "candidates": (SAME, *(View("code", "text", c) for c in "abc"))},
            "'0' among the candidates",
        ),
        ({"facts": {"h": math.inf}}, "gave facts that JSON cannot hold: Out of range float values"),
        ({"facts": {"h": {1}}}, "gave facts that JSON cannot hold: Object of type set"),
    ],
)
def test_an_illegal_question_is_refused_by_task(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=f"^`make_task` for task `train-s[0-2]-train[0-9]+` .*{message}"):
        make(Changed(**changes))


def test_what_is_no_question_is_refused() -> None:
    class Nothing:
        def make_task(self, query: Record, candidates: Sequence[Record]) -> None:
            return None

    with pytest.raises(DataError, match=r"gave NoneType; expected a Question$"):
        make(Nothing())


@pytest.mark.parametrize("queries", [0, 5])
def test_more_queries_than_members_are_refused(queries: int) -> None:
    with pytest.raises(DataError) as raised:
        tasks_of(k=4, queries=queries)
    assert str(raised.value) == f"`tasks.queries_per_set` is {queries}; expected 1 to K, and K is 4"


def test_sets_of_different_size_are_refused() -> None:
    (three, some), (four, more) = world(2, 3), world(2, 4)
    with pytest.raises(DataError, match=r"^candidate sets of the train split have \[3, 4\] members; expected one K"):
        make_tasks(Codes(), [*three, *four], [*some, *more], queries_per_set=1, limit=MANY, seed=0)


@STEADY
@given(
    sets=st.integers(1, 12),
    k=st.integers(2, 7),
    queries=st.integers(1, 2),
    limit=st.integers(1, 30),
    seed=st.integers(0, 99),
)
def test_every_task_is_legal_and_positions_are_balanced(sets: int, k: int, queries: int, limit: int, seed: int) -> None:
    tasks = tasks_of(sets, k, queries, {"train": limit, "test": 2 * limit}, seed)
    for split, most in (("train", limit), ("test", 2 * limit)):
        own = [task for task in tasks if task.split == split]
        assert len(own) == min(most, sets * queries)
        counts = Counter(task.answer for task in own)
        assert max(counts.values()) - min(counts[label] for label in own[0].labels) <= 1
    for task in tasks:
        right = task.labels.index(task.answer)
        assert len(task.labels) == len(task.question.candidates) == len(set(task.candidate_records)) == k
        assert task.candidate_records[right] == task.query_record
        assert task.question.candidates[right].content.split()[1] == task.question.query[0].content.split()[1]
        assert task.cluster == f"{task.split}-c{int(task.query_record.removeprefix(task.split)) % 7}"
    assert len({task.id for task in tasks}) == len(tasks)


def test_tasks_do_not_depend_on_the_order_of_sets_and_records() -> None:
    sets, records = world(9, 4)
    one = make_tasks(Codes(), sets, records, queries_per_set=2, limit=MANY, seed=3)
    assert make_tasks(Codes(), sets[::-1], records[::-1], queries_per_set=2, limit=MANY, seed=3) == one


def test_every_set_is_asked_once_before_any_is_asked_again() -> None:
    tasks = tasks_of(sets=10, queries=2, limit={"train": 13})
    counts = Counter(task.id.rsplit("-", 1)[0] for task in tasks)
    assert sorted(counts.values()) == [1] * 7 + [2] * 3


def test_the_place_of_a_member_in_its_set_does_not_tell_whether_it_is_asked_for() -> None:
    tasks = tasks_of(sets=1500, k=4, queries=1, limit={"train": 1500})
    places = Counter(int(task.query_record.removeprefix("train")) % 4 for task in tasks)
    assert all(abs(places[place] - 375) < 4 * (1500 * 3 / 16) ** 0.5 for place in range(4))


def test_the_order_of_the_wrong_candidates_is_random() -> None:
    tasks = [task for task in tasks_of(sets=600, k=3, queries=1) if task.answer == "A"]
    ascending = sum(task.candidate_records[1] < task.candidate_records[2] for task in tasks)
    assert abs(ascending / len(tasks) - 0.5) < 4 * (0.25 / len(tasks)) ** 0.5


@STEADY
@given(k=st.integers(2, 6), seed=st.integers(0, 500))
def test_a_permuted_task_is_another_order_of_the_same_with_the_same_right_candidate(k: int, seed: int) -> None:
    (task,) = tasks_of(1, k, 1, {"train": 1}, seed)
    other = permuted(task, seed)
    assert other.candidate_records != task.candidate_records
    shown = dict(zip(task.candidate_records, task.question.candidates, strict=True))
    assert dict(zip(other.candidate_records, other.question.candidates, strict=True)) == shown
    assert other.candidate_records[other.labels.index(other.answer)] == task.query_record
    assert (other.id, other.labels, permuted(task, seed)) == (task.id, task.labels, other)


def test_the_control_without_query_keeps_everything_else() -> None:
    (task,) = tasks_of(1, 4, 1, {"train": 1})
    bare = without_query(task)
    assert bare.question.query == ()
    assert replace(bare, question=replace(bare.question, query=task.question.query)) == task


def test_tasks_come_back_as_they_were(tmp_path: Path) -> None:
    tasks = tasks_of()
    assert save(tmp_path / "tasks.jsonl", tasks) == len(tasks) == 40
    assert read(tmp_path / "tasks.jsonl") == tasks


def test_a_damaged_file_of_tasks_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(DataError, match=r"tasks.jsonl` line 1 is not a task: KeyError: 'question'; mend it"):
        read(tmp_path / "tasks.jsonl")
