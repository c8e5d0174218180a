"""What the audit's probes see and how they learn: from ranks, from features, from words; never from semantics."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.special import log_softmax

from indirect_rlvr.data import logit
from indirect_rlvr.data.folds import Floats, Learner, Places
from indirect_rlvr.data.looks import COLOUR, Look, Looks
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask, Record

COMPONENTS = 16
"""Principal components of thumbnails (or of histograms of bytes) that the learned probe sees."""

WORDS = 2000
"""Words that the wording probe knows: the most frequent ones that do not stand in every task."""


def answers(tasks: Sequence[ProxyTask]) -> Places:
    """Index of the right candidate of each task."""
    return np.array([task.labels.index(task.answer) for task in tasks], dtype=np.int64)


def distances(points: Floats) -> Floats:
    """Distances between the candidates of each task, shape (tasks, K, K), from points (tasks, K, dimensions)."""
    tasks, k, _ = points.shape
    apart = np.zeros((tasks, k, k))
    for one, other in combinations(range(k), 2):
        apart[:, one, other] = apart[:, other, one] = np.linalg.norm(points[:, one] - points[:, other], axis=1)
    return apart


def from_centre(points: Floats) -> Floats:
    """Distance of each candidate from the mean of its set, shape (tasks, K), from points (tasks, K, dimensions)."""
    return np.asarray(np.linalg.norm(points - points.mean(axis=1, keepdims=True), axis=2), dtype=np.float64)


def coins(tasks: Sequence[ProxyTask]) -> Floats:
    """Numbers that break ties between candidates, keyed by task, shape (tasks, K); the index must not break them."""
    return np.array([[rng.random() for _ in task.labels] for task in tasks for rng in [keyed_rng(0, "tie", task.id)]])


def ranks(values: Floats, ties: Floats) -> Places:
    """The rank of each candidate's value in its set, 0 the smallest, shape (tasks, K)."""
    order = np.lexsort((ties, values), axis=1)
    ranked = np.empty_like(order)
    np.put_along_axis(ranked, order, np.arange(values.shape[1])[None, :], axis=1)
    return ranked


def differs(values: Floats) -> bool:
    """Whether a number tells candidates of a set apart in any task."""
    return bool((np.ptp(values, axis=1) > 0).any())


def by_rank(ranked: Places, right: Places) -> Learner:
    """Learns how often the answer has which rank."""
    k = ranked.shape[1]
    of_answer = ranked[np.arange(len(right)), right]

    def learn(learnt: Places, asked: Places) -> Floats:
        share = (np.bincount(of_answer[learnt], minlength=k) + 1) / (len(learnt) + k)
        return np.asarray(np.log(share)[ranked[asked]])

    return learn


def by_features(x: Floats, right: Places) -> Learner:
    """Learns a conditional logit on features of shape (tasks, K, features)."""
    start = logit.fit(x, right)

    def learn(learnt: Places, asked: Places) -> Floats:
        whole = len(learnt) == len(x)
        return logit.log_posterior(x[asked], start if whole else logit.fit(x[learnt], right[learnt], start))

    return learn


def by_words(texts: Sequence[str], right: Places, k: int) -> Learner:
    """Learns by naive Bayes from the words of a text to the place of the answer."""
    has = _words(texts)

    def learn(learnt: Places, asked: Places) -> Floats:
        places = np.eye(k)[right[learnt]]
        tasks_K = places.sum(axis=0)
        counts = np.asarray(has[learnt].T @ places)
        likelihood = np.log((counts + 1) / (tasks_K + 2))
        return np.asarray(log_softmax(has[asked] @ likelihood + np.log(tasks_K + 1), axis=1))

    return learn


def _words(texts: Sequence[str]) -> csr_array:
    """Which words a text has, shape (texts, words); words of every text are left out."""
    own = [set(text.split()) for text in texts]
    counts = Counter(word for words in own for word in words)
    useful = sorted((w for w, n in counts.items() if n < len(texts)), key=lambda word: (-counts[word], word))[:WORDS]
    column = {word: number for number, word in enumerate(useful)}
    at = [(row, column[word]) for row, words in enumerate(own) for word in words if word in column]
    rows, columns = np.array(at, dtype=np.int64).reshape(-1, 2).T
    return csr_array((np.ones(len(at)), (rows, columns)), shape=(len(texts), len(useful)))


def relative(raw: Floats) -> Floats:
    """Features relative to their set, and how far each is from its set's mean, so that "the middle one" can be learnt.

    Shape (tasks, K, features) gives (tasks, K, at most twice as many), standardised; what never differs is left out.
    """
    from_mean = raw - raw.mean(axis=1, keepdims=True)
    away = np.abs(from_mean)
    x = np.concatenate([from_mean, away - away.mean(axis=1, keepdims=True)], axis=2)
    spread = x.std(axis=(0, 1))
    return np.asarray(x[:, :, spread > 1e-9] / spread[spread > 1e-9])


def shown(tasks: Sequence[ProxyTask], looks: Looks) -> Floats:
    """Principal components of what the candidates show, shape (tasks, K, components)."""
    views = list(dict.fromkeys(view for task in tasks for view in task.question.candidates))
    row = {view: number for number, view in enumerate(views)}
    table = np.array([looks.of(view).shown for view in views])
    table = table[:, np.ptp(table, axis=0) > 0]
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    _, axes = np.linalg.eigh(table.T @ table)
    reduced = table @ axes[:, ::-1][:, :COMPONENTS]
    return np.asarray(reduced[np.array([[row[view] for view in task.question.candidates] for task in tasks])])


def mentions(tasks: Sequence[ProxyTask], by_id: Mapping[str, Record]) -> Floats:
    """How many facts of each candidate stand in the wording, as whole words, in either case, shape (tasks, K)."""
    used = {name for task in tasks for name in task.candidate_records}
    facts = {name: {" ".join(_plain_words(str(v))) for v in by_id[name].facts.values()} - {""} for name in used}
    said = {text: f" {' '.join(_plain_words(text))} " for text in {task.question.text for task in tasks}}
    return np.array(
        [
            [sum(f" {value} " in said[task.question.text] for value in facts[name]) for name in task.candidate_records]
            for task in tasks
        ],
        dtype=np.float64,
    )


def likeness(tasks: Sequence[ProxyTask], looks: Looks, of: str) -> Floats:
    """How little each candidate's picture differs from the query's, shape (tasks, K): in `colour` (mean channels and
    contrast) or in the `pixels` of a thumbnail, each standardised over all queries and over all candidates, so that two
    kinds of views can be compared. All 0 where some query or candidate is no picture."""
    pairs = [(task.question.query[:1], task.question.candidates) for task in tasks]
    if not all(query and all(v.modality == "image" for v in (*query, *shown)) for query, shown in pairs):
        return np.zeros((len(tasks), len(tasks[0].labels)))
    part = _colour if of == "colour" else _pixels
    queries = _standard(np.array([part(looks.of(query[0])) for query, _ in pairs]))
    shown = _standard(np.array([[part(looks.of(view)) for view in views] for _, views in pairs]))
    return np.asarray(-np.linalg.norm(shown - queries[:, None], axis=2))


def _standard(values: Floats) -> Floats:
    """Each feature, in the last dimension, with mean 0 and spread 1; what never differs becomes 0."""
    axes = tuple(range(values.ndim - 1))
    spread = values.std(axis=axes)
    return np.asarray((values - values.mean(axis=axes)) / np.where(spread > 1e-9, spread, np.inf))


def _colour(look: Look) -> Floats:
    return look.nuisance[COLOUR]


def _pixels(look: Look) -> Floats:
    return look.shown


def _plain_words(text: str) -> list[str]:
    """Lower-case words of letters and digits, with points and signs between them."""
    return re.findall(r"\w+(?:[.+-]\w+)*", text.lower())
