"""Probes that must not win: each answers proxy tasks from the candidates, the nuisance, the wording or the position
alone, never from the query. What they win is a shortcut."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize
from scipy.special import log_softmax

from indirect_rlvr.data.records import open_image
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask, View

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

THUMBNAIL = 8
"""Side, in pixels, of what the learned probe sees of an image."""

PENALTIES = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e4)
"""Ridge penalties on standardised features, of which two-fold cross-validation on the train tasks picks one."""


def answers(tasks: Sequence[ProxyTask]) -> Places:
    """Index of the right candidate of each task."""
    return np.array([task.labels.index(task.answer) for task in tasks], dtype=np.int64)


def position(train: Sequence[ProxyTask], test: Sequence[ProxyTask]) -> Places:
    """Sees nothing: always the place that is right most often in train."""
    ((place, _),) = Counter(answers(train).tolist()).most_common(1)
    return np.full(len(test), place, dtype=np.int64)


def wording(train: Sequence[ProxyTask], test: Sequence[ProxyTask]) -> Places:
    """Sees the wording alone: naive Bayes from the words of the question to the place of the answer."""
    k = len(train[0].labels)
    places = answers(train).tolist()
    tasks_K = np.bincount(places, minlength=k).astype(np.float64)
    counts: dict[str, Floats] = {}
    for task, place in zip(train, places, strict=True):
        for word in set(task.question.text.split()):
            counts.setdefault(word, np.zeros(k))[place] += 1
    unseen = np.zeros(k)
    picked = []
    for task in test:
        scores_K = np.log(tasks_K + 1)
        for word in sorted(set(task.question.text.split())):
            scores_K = scores_K + np.log((counts.get(word, unseen) + 1) / (tasks_K + 2))
        picked.append(int(scores_K.argmax()))
    return np.array(picked, dtype=np.int64)


def distances(points: Floats) -> Floats:
    """Distances between the candidates of each task, shape (tasks, K, K), from points (tasks, K, dimensions)."""
    tasks, k, _ = points.shape
    apart = np.zeros((tasks, k, k))
    for one, other in combinations(range(k), 2):
        apart[:, one, other] = apart[:, other, one] = np.linalg.norm(points[:, one] - points[:, other], axis=1)
    return apart


def ranked(values: Floats, rank: int) -> Places:
    """The candidate whose value has this rank (0 smallest, -1 largest), values of shape (tasks, K)."""
    return np.asarray(np.argsort(values, axis=1, kind="stable")[:, rank], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Learned:
    """What the learned probe made of the test tasks: log posterior over candidates, shape (tasks, K)."""

    log_posterior: Floats

    @property
    def picked(self) -> Places:
        """The most probable candidate of each task."""
        return np.asarray(self.log_posterior.argmax(axis=1), dtype=np.int64)

    @property
    def entropy(self) -> float:
        """Mean entropy of the posterior, in nats; log K where it knows nothing."""
        return float(-(np.exp(self.log_posterior) * self.log_posterior).sum(axis=1).mean())


def learned(train: Sequence[ProxyTask], test: Sequence[ProxyTask], folder: Path) -> Learned:
    """Sees the candidates alone: a softmax over them, linear in simple features of each relative to its set.

    Images give an 8 x 8 thumbnail and the mean and spread of each channel; texts give their length and histogram of
    bytes. The distance of each feature from the set's mean is a feature too, so that "the middle one" can be learned.
    """
    x = _features([*train, *test], folder)
    spread = x[: len(train)].std(axis=(0, 1))
    useful = spread > 1e-9
    x = x[:, :, useful] / spread[useful]
    x_train, x_test, y = x[: len(train)], x[len(train) :], answers(train)
    weights = _fit(x_train, y, _penalty(train, x_train, y))
    return Learned(log_softmax(x_test @ weights, axis=1))


def _features(tasks: Sequence[ProxyTask], folder: Path) -> Floats:
    """Shape (tasks, K, features), each relative to the mean of its set."""
    views = list(dict.fromkeys(view for task in tasks for view in task.question.candidates))
    row = {view: number for number, view in enumerate(views)}
    table = np.array([_view_features(view, folder) for view in views])
    table = table[:, np.ptp(table, axis=0) > 0]
    raw = table[np.array([[row[view] for view in task.question.candidates] for task in tasks])]
    relative = raw - raw.mean(axis=1, keepdims=True)
    away = np.abs(relative)
    return np.concatenate([relative, away - away.mean(axis=1, keepdims=True)], axis=2)


def _view_features(view: View, folder: Path) -> Floats:
    """One layout for both modalities, so that a set may mix them: thumbnail, moments, log length, bytes."""
    image, text = np.zeros(3 * THUMBNAIL**2 + 6), np.zeros(257)
    if view.modality == "image":
        picture = open_image(folder, view.content)
        pixels = np.asarray(picture, dtype=np.float64).reshape(-1, 3) / 255
        small = picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        image = np.concatenate([np.asarray(small, dtype=np.float64).ravel() / 255, pixels.mean(0), pixels.std(0)])
    else:
        content = view.content.encode()
        histogram = np.bincount(np.frombuffer(content, dtype=np.uint8), minlength=256) / max(1, len(content))
        text = np.concatenate([[np.log1p(len(content))], histogram])
    return np.concatenate([image, text])


def _penalty(train: Sequence[ProxyTask], x: Floats, y: Places) -> float:
    """The penalty of least cross-entropy on tasks whose set was not fitted; tasks of one set stay together."""
    fold = np.array([keyed_rng(0, "fold", min(task.candidate_records)).getrandbits(1) for task in train], dtype=bool)
    if fold.all() or not fold.any():
        return PENALTIES[-1]
    losses = []
    for penalty in PENALTIES:
        halves = ((fold, ~fold), (~fold, fold))
        losses.append(sum(_loss(x[held] @ _fit(x[fit], y[fit], penalty), y[held]) * held.sum() for fit, held in halves))
    return PENALTIES[int(np.argmin(losses))]


def _loss(logits: Floats, y: Places) -> float:
    return float(-log_softmax(logits, axis=1)[np.arange(len(y)), y].mean())


def _fit(x: Floats, y: Places, penalty: float) -> Floats:
    """Ridge-penalised weights of the softmax over candidates, x of shape (tasks, K, features)."""
    start = np.zeros(x.shape[2])
    if not start.size:  # the candidates look all the same to these features
        return start
    flat, rows = x.reshape(-1, x.shape[2]), np.arange(len(y))

    def objective(weights: Floats) -> tuple[float, Floats]:
        log_p = log_softmax((flat @ weights).reshape(x.shape[:2]), axis=1)
        residual = np.exp(log_p)
        residual[rows, y] -= 1
        loss = -log_p[rows, y].mean() + penalty / 2 * weights @ weights
        return float(loss), flat.T @ residual.ravel() / len(y) + penalty * weights

    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 100})
    return np.asarray(found.x, dtype=np.float64)
