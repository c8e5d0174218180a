"""All that the probes may look at, over one set of tasks, and the list of them in the order they are reported."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from indirect_rlvr.data import probes
from indirect_rlvr.data.folds import Floats, Learner, Places
from indirect_rlvr.data.looks import NUISANCES, Looks
from indirect_rlvr.data.places import nuisances, points
from indirect_rlvr.data.probe import Probe
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, ProxyTask, Record

TOGETHER = "all nuisance together"
LEARNED = "learned"
RAW_PIXELS = "raw pixels"


@dataclass(frozen=True)
class Panel:
    """Tasks of one K and what is known of their candidates; `by_id` may be empty, then nothing is but their views."""

    tasks: Sequence[ProxyTask]
    by_id: Mapping[str, Record]
    near: Neighbourhood
    looks: Looks
    own: Sequence[Probe]

    def learners(self) -> Iterator[tuple[str, str, Learner]]:
        """(name, what it sees, how it learns) of each probe that has anything to see."""
        yield "answer index", "position", probes.by_rank(self.index, self.right)
        yield from self.worded()
        columns = list(self.columns())
        for name, sees, values in (*columns, *((probe.name, probe.sees, self.measured(probe)) for probe in self.own)):
            if probes.differs(values):
                yield name, sees, probes.by_rank(probes.ranks(values, self.coins), self.right)
        x = probes.relative(np.stack([values for _, sees, values in columns if sees == "nuisance"], axis=2))
        if x.shape[2]:
            yield TOGETHER, "nuisance", probes.by_features(x, self.right)
        x = probes.relative(self.shown)
        if x.shape[2]:
            yield LEARNED, "candidates", probes.by_features(x, self.right)

    def worded(self) -> Iterator[tuple[str, str, Learner]]:
        """Probes that see the text of the question alone."""
        texts = [task.question.text for task in self.tasks]
        lengths = [f"{len(text)}" for text in texts]
        for name, said in (("wording", texts), ("prompt length", lengths)):
            if len(set(said)) > 1:
                yield name, "text", probes.by_words(said, self.right, self.k)

    def columns(self) -> Iterator[tuple[str, str, Floats]]:
        """(name, what it is made of, a number for each candidate)."""
        known = [[self.looks.of(view) for view in task.question.candidates] for task in self.tasks]
        nuisance = np.array([[look.nuisance for look in looks] for looks in known])
        for number, name in enumerate(NUISANCES):
            yield name, "nuisance", nuisance[:, :, number]
        if self.near.nuisance is not None and self.by_id:
            yield "the domain's nuisance", "nuisance", self.table(nuisances(self.used, self.near))
        if self.positions is not None:
            yield "spatial centre", "candidates", probes.from_centre(self.positions)
        if self.shown.shape[2]:
            yield "typicality", "candidates", probes.from_centre(self.shown)
        if self.by_id:
            yield (
                "mentioned metadata",
                "text and metadata",
                probes.mentions(self.tasks, {record.id: record for record in self.used}),
            )
        for part in ("colour", "pixels"):
            yield f"likeness of {part}", RAW_PIXELS, probes.likeness(self.tasks, self.looks, part)

    def measured(self, probe: Probe) -> Floats:
        """The numbers of a pack's own probe, checked."""
        rows = []
        for task in self.tasks:
            try:
                row = np.asarray(probe.measure(task, self.looks.folder), dtype=np.float64)
            except Exception as error:
                error.add_note(f"in probe `{probe.name}` of the domain, at task `{task.id}`")
                raise
            if row.shape != (len(task.labels),) or not np.isfinite(row).all():
                raise DataError(
                    f"probe `{probe.name}` gave {row.tolist()} for task `{task.id}`; expected {len(task.labels)} "
                    "finite numbers, one for each candidate"
                )
            rows.append(row)
        return np.array(rows)

    def table(self, values: Floats) -> Floats:
        """A value of each used record as values of the candidates, shape (tasks, K, ...)."""
        row = {record.id: number for number, record in enumerate(self.used)}
        return np.asarray(values[np.array([[row[name] for name in task.candidate_records] for task in self.tasks])])

    @property
    def k(self) -> int:
        """Candidates of each task."""
        return len(self.tasks[0].labels)

    @cached_property
    def used(self) -> list[Record]:
        names = sorted({name for task in self.tasks for name in task.candidate_records})
        missing = [name for name in names if name not in self.by_id]
        if missing:
            raise DataError(
                f"{len(missing)} candidates are no known record, the first is `{missing[0]}`; give the records that "
                "the tasks were made of, or none"
            )
        return [self.by_id[name] for name in names]

    @cached_property
    def positions(self) -> Floats | None:
        if self.near.position is None or not self.by_id:
            return None
        return self.table(points(self.used, self.near))

    @cached_property
    def medoid(self) -> Places | None:
        """The candidate with the least sum of distances to the others, which nobody has to learn to pick."""
        if self.positions is None:
            return None
        spread = probes.distances(self.positions).sum(axis=2)
        return np.asarray(probes.ranks(spread, self.coins).argmin(axis=1), dtype=np.int64)

    @cached_property
    def shown(self) -> Floats:
        return probes.shown(self.tasks, self.looks)

    @cached_property
    def right(self) -> Places:
        return probes.answers(self.tasks)

    @cached_property
    def coins(self) -> Floats:
        return probes.coins(self.tasks)

    @cached_property
    def index(self) -> Places:
        return np.tile(np.arange(self.k), (len(self.tasks), 1))
