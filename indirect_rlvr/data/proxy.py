"""Make proxy tasks of candidate sets: which member is asked for, in which order candidates stand, where the answer is.

All three are keyed choices made after the set, so none can carry the answer; positions are balanced exactly.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from string import ascii_uppercase
from typing import Any, Protocol

from indirect_rlvr.data import stored
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import MEND, keyed_rng, plain, read_jsonl, write_jsonl
from indirect_rlvr.types import CandidateSet, ProxyTask, Question, Record, Split


class TaskMaker(Protocol):
    """The one thing asked of a domain here; `indirect_rlvr.domain.Domain` is one."""

    def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
        """The question of one candidate set with `query` as the record asked for."""


def make_tasks(
    domain: TaskMaker,
    sets: Sequence[CandidateSet],
    records: Sequence[Record],
    *,
    queries_per_set: int,
    limit: Mapping[Split, int],
    seed: int,
) -> list[ProxyTask]:
    """At most `limit[split]` tasks of each split: every set is asked once before any is asked again.

    Within a split each answer position comes equally often, give or take one. Raises DataError for a question that
    is not legal: not one view for each candidate, no query, no wording, or two candidates that look the same.
    """
    by_id = {record.id: record for record in records}
    tasks: list[ProxyTask] = []
    for split in sorted(limit):
        asked = _asked([s for s in sets if s.split == split], queries_per_set, seed)[: limit[split]]
        sizes = sorted({len(candidates.members) for candidates, _ in asked})
        if any(size not in range(2, len(ascii_uppercase) + 1) for size in sizes) or len(sizes) > 1:
            raise DataError(f"candidate sets of the {split} split have {sizes} members; expected one K from 2 to 26")
        places = [number % sizes[0] for number in range(len(asked))]
        keyed_rng(seed, "places", split).shuffle(places)
        tasks += [
            _task(domain, candidates, query, place, by_id, seed)
            for (candidates, query), place in zip(asked, places, strict=True)
        ]
    return tasks


def _asked(sets: list[CandidateSet], queries_per_set: int, seed: int) -> list[tuple[CandidateSet, str]]:
    """(set, record asked for) in the order tasks are taken."""
    small = min((len(candidates.members) for candidates in sets), default=queries_per_set)
    if not 1 <= queries_per_set <= small:
        raise DataError(f"`tasks.queries_per_set` is {queries_per_set}; expected 1 to K, and K is {small}")
    order = sorted(sets, key=lambda s: (keyed_rng(seed, "tasks", s.id).getrandbits(64), s.id))
    queries = {s.id: _queries(s, queries_per_set, seed) for s in order}
    return [(s, queries[s.id][turn]) for turn in range(queries_per_set) for s in order if turn < len(queries[s.id])]


def _queries(candidates: CandidateSet, count: int, seed: int) -> list[str]:
    """The members to ask for, in order; of an anchor's ring the anchor alone."""
    if candidates.anchor:
        return [candidates.anchor]
    return keyed_rng(seed, "queries", candidates.id).sample(sorted(candidates.members), count)


def shortage(tasks: Sequence[ProxyTask], limit: Mapping[Split, int]) -> str:
    """In words, which splits have fewer tasks than `limit` asks for; "" where none has."""
    found = Counter(task.split for task in tasks)
    short = [f"{found[side]:,} of {wanted:,} {side} tasks" for side, wanted in limit.items() if found[side] < wanted]
    reason = "the records give no more candidate sets; raise tasks.queries_per_set, or load more records"
    return f"{' and '.join(short)}: {reason}" if short else ""


def _task(
    domain: TaskMaker, candidates: CandidateSet, query: str, place: int, by_id: Mapping[str, Record], seed: int
) -> ProxyTask:
    name = f"{candidates.id}-{query}"
    shown = sorted(member for member in candidates.members if member != query)
    keyed_rng(seed, "order", name).shuffle(shown)
    shown.insert(place, query)
    question = domain.make_task(by_id[query], [by_id[member] for member in shown])
    _check_legal(question, name, len(shown))
    labels = tuple(ascii_uppercase[: len(shown)])
    return ProxyTask(
        id=name,
        cluster=by_id[query].cluster,
        split=candidates.split,
        level=candidates.level,
        question=replace(question, facts=_as_stored(question.facts, name)),
        labels=labels,
        answer=labels[place],
        query_record=query,
        candidate_records=tuple(shown),
    )


def _check_legal(question: object, name: str, k: int) -> None:
    place = f"`make_task` for task `{name}`"
    if not isinstance(question, Question):
        raise DataError(f"{place} gave {type(question).__name__}; expected a Question")
    if not isinstance(question.text, str) or not question.text.strip() or not question.query:
        raise DataError(
            f"{place} gave the wording {question.text!r} and {len(question.query)} query views; expected both"
        )
    if len(question.candidates) != k:
        raise DataError(
            f"{place} gave {len(question.candidates)} candidate views; expected one for each of the {k} records"
        )
    seen = Counter((view.modality, view.content) for view in question.candidates)
    (_, content), times = seen.most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{place} shows the candidate {content[:60]!r} {times} times, so there is more than one right answer; "
            "add a key or r_min to the neighbourhood that keeps such records apart, or load them once"
        )
    copied = [view.content for view in question.query if (view.modality, view.content) in seen]
    if copied:
        raise DataError(
            f"{place} shows the query {copied[0][:60]!r} among the candidates too; show views of different kinds"
        )


def _as_stored(facts: Mapping[str, object], name: str) -> dict[str, Any]:
    """The facts as JSON gives them back, so that a task in memory equals the task read from its file."""
    try:
        stored: dict[str, Any] = json.loads(json.dumps(plain(facts), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DataError(f"`make_task` for task `{name}` gave facts that JSON cannot hold: {error}") from error
    return stored


def permuted(task: ProxyTask, seed: int) -> ProxyTask:
    """The same task with its candidates in another keyed order, never the same one; the answer's label follows.

    `id` and `question.facts` stay as they are: the first so that results pair up, the second because only the domain
    knows which facts follow the order; so do not check facts against it.
    """
    places = list(range(len(task.labels)))
    rng = keyed_rng(seed, "permuted", task.id)
    order = places
    while order == places:
        order = rng.sample(places, len(places))
    return replace(
        task,
        question=replace(task.question, candidates=tuple(task.question.candidates[i] for i in order)),
        candidate_records=tuple(task.candidate_records[i] for i in order),
        answer=task.labels[order.index(task.labels.index(task.answer))],
    )


def without_query(task: ProxyTask) -> ProxyTask:
    """The same task with no query view: whoever still beats 1/K uses a shortcut."""
    return replace(task, question=replace(task.question, query=()))


def save(path: Path, tasks: Sequence[ProxyTask]) -> int:
    """Write one task per line, atomically; returns their number."""
    return write_jsonl(path, tasks)


def read(path: Path) -> list[ProxyTask]:
    """The tasks that `save` wrote, equal to what they were; raises DataError that names file and line."""
    tasks = []
    for number, row in enumerate(read_jsonl(path), 1):
        try:
            tasks.append(stored.task(row))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"`{path}` line {number} is not a task: {type(error).__name__}: {error!s:.300}; {MEND}"
            ) from error
    return tasks
