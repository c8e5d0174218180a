"""What is illegal in tasks at any significance: wrong keys, candidates that look the same, splits that overlap."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from indirect_rlvr.data.folds import Floats
from indirect_rlvr.data.looks import Looks, same_picture
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, ProxyTask

SLACK = 1e-3
"""Share of r_min by which coordinates rounded to the lattice may come closer than it."""


def check_form(tasks: Sequence[ProxyTask]) -> None:
    """Raise DataError for a task, made elsewhere perhaps, of which no probe could make sense."""
    for task in tasks:
        k = len(task.question.candidates)
        if not k == len(task.labels) == len(task.candidate_records) == len(set(task.labels)):
            raise DataError(
                f"task `{task.id}` has {k} candidates, the labels {list(task.labels)} and "
                f"{len(task.candidate_records)} candidate records; expected one label and one record for each candidate"
            )
        if task.answer not in task.labels or task.split not in ("train", "test"):
            raise DataError(
                f"task `{task.id}` has the answer {task.answer!r} and the split {task.split!r}; expected one of "
                f"{list(task.labels)}, and 'train' or 'test'"
            )


def of_tasks(tasks: Sequence[ProxyTask], looks: Looks) -> Iterator[str]:
    """Tasks with a wrong answer key, the same record twice, or two candidates that are or look the same."""
    names: set[str] = set()
    for task in tasks:
        place = f"task `{task.id}`"
        if task.id in names:
            yield f"{place} comes twice"
        names.add(task.id)
        if task.candidate_records[task.labels.index(task.answer)] != task.query_record:
            yield f"{place}: the answer {task.answer} is not the record asked for"
        if len(set(task.candidate_records)) < len(task.candidate_records):
            yield f"{place}: a record is a candidate twice"
        yield from (f"{place}: {same}" for same in _identical(task, looks))


def _identical(task: ProxyTask, looks: Looks) -> Iterator[str]:
    known = [looks.of(view) for view in task.question.candidates]
    same = defaultdict(list)
    for label, look in zip(task.labels, known, strict=True):
        same[look.digest].append(label)
    for labels in same.values():
        if len(labels) > 1:
            yield f"candidates {' and '.join(labels)} are identical"
    for (one, a), (other, b) in combinations(zip(task.labels, known, strict=True), 2):
        if a.digest != b.digest and same_picture(a, b):
            yield f"candidates {one} and {other} look the same"


def of_sides(sides: Mapping[str, Sequence[ProxyTask]]) -> Iterator[str]:
    """Clusters, and records, that a train and a test task share."""
    train, test = sides["train"], sides["test"]
    for cluster in sorted({task.cluster for task in train} & {task.cluster for task in test}):
        yield f"cluster `{cluster}` has tasks in train and in test"
    used = [{record for task in own for record in task.candidate_records} for own in (train, test)]
    for record in sorted(used[0] & used[1]):
        yield f"record `{record}` is a candidate in train and in test"


def of_distances(tasks: Sequence[ProxyTask], nearest: Floats, neighbourhood: Neighbourhood) -> Iterator[str]:
    """Tasks two candidates of which are closer than r_min; `nearest` is the least distance in each, shape (tasks,)."""
    for task, distance in zip(tasks, nearest.tolist(), strict=True):
        if distance < neighbourhood.r_min * (1 - SLACK):
            yield (
                f"task `{task.id}`: two candidates are {distance:g} {neighbourhood.unit} apart, r_min is "
                f"{neighbourhood.r_min:g}"
            )
