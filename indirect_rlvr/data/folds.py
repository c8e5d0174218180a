"""Cross-validation by cluster: whoever answers a task has learnt from no task of the cluster it is filed under.

A task is filed under one cluster of its candidates, chosen by a hash and never by the answer: a fold of the tasks whose
*answer* lies in some clusters would tell the learner where the answer lies.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.errors import DataError
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
Fold = tuple[Places, Places]
Learner = Callable[[Places, Places], Floats]
"""Learns from the first rows; gives the log probability of each candidate of the second, shape (rows, K)."""

TIE = 1e-12
"""Log probabilities that differ by no more are equal."""

FOLDS_PER_CANDIDATE = 2
"""So that of sets whose K candidates all lie in other clusters six in ten are left to learn from, whatever K."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Log posteriors over candidates, shape (tasks, K): of each task by one who learnt from other clusters
    (`held_out`), and by one who learnt from all tasks (`seen`). `share` of the tasks is what the former learnt from."""

    held_out: Floats
    seen: Floats
    share: float

    @property
    def picked(self) -> Places:
        """The most probable candidate of each task, held out; of equally probable ones any, by a seeded coin: to take
        the first would make every probe that knows nothing a probe of the answer's position."""
        best = self.held_out >= self.held_out.max(axis=1, keepdims=True) - TIE
        coins = np.random.default_rng(0).random(best.shape)
        return np.asarray(np.where(best, coins, -1.0).argmax(axis=1), dtype=np.int64)


def make(tasks: Sequence[ProxyTask], cluster: Mapping[str, str]) -> list[Fold]:
    """(rows to learn from, rows to answer) of each fold; whole clusters, about as many tasks in each.

    `cluster` is that of each record; a record it does not hold is a cluster of its own. Learnt from are only tasks none
    of whose candidates lies in a cluster of the fold, so that the tasks of one set stay together. Raises DataError
    where that leaves nothing: one cluster, or sets that mix nearly all of them.
    """
    shown = [{cluster.get(name, f"record {name}") for name in task.candidate_records} for task in tasks]
    order = {name: keyed_rng(0, "fold", name).getrandbits(64) for name in sorted(set().union(*shown))}
    filed = [min(own, key=lambda name: order[name]) for own in shown]
    counts = Counter(filed)
    sizes = [0.0] * min(FOLDS_PER_CANDIDATE * len(tasks[0].labels), len(counts))
    fold_of: dict[str, int] = {}
    for name in sorted(order, key=lambda name: (-counts[name], order[name])):
        fold_of[name] = int(np.argmin(sizes))
        sizes[fold_of[name]] += counts[name] + len(tasks) / len(order)  # clusters under which nothing is filed as well
    touched = np.zeros((len(tasks), len(sizes)), dtype=bool)
    for row, own in enumerate(shown):
        touched[row, [fold_of[name] for name in own]] = True
    asked = np.array([fold_of[name] for name in filed])
    folds = [(np.flatnonzero(~touched[:, fold]), np.flatnonzero(asked == fold)) for fold in range(len(sizes))]
    if sum(len(learnt) for learnt, _ in folds) < len(tasks) / 2:
        raise DataError(
            f"the candidates of {len(tasks)} tasks lie in {len(order)} clusters and are so mixed that nothing can be "
            "learnt apart from what is asked; give more clusters, or sets within a cluster"
        )
    return folds


def cross_validate(learner: Learner, folds: Sequence[Fold]) -> Answered:
    """Ask a learner for every task, each time by one who learnt from the other folds."""
    everything = np.arange(sum(len(asked) for _, asked in folds))
    seen = learner(everything, everything)
    held_out = np.full(seen.shape, -np.log(seen.shape[1]))
    for learnt, asked in folds:
        if len(learnt):
            held_out[asked] = learner(learnt, asked)
    share = float(np.average([len(learnt) for learnt, _ in folds], weights=[len(asked) for _, asked in folds]))
    return Answered(held_out, seen, share / len(everything))
