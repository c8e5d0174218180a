"""Scores predictions without a model: what a policy wrote, read again from its file, against the right answers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.stats import accuracy_interval
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.run import read_jsonl
from indirect_rlvr.types import ProxyTask

NONE = "none"
"""The key of the answer histogram that counts completions without a usable answer."""
LONGEST = 2**32
"""Tokens of a prediction at most."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """One completion as it is stored: `tokens` is its length, `finished` is False where the token limit cut it."""

    id: str
    text: str
    tokens: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Score:
    """One prediction, judged. `answer` is the label chosen, or None where none could be read: that counts as wrong."""

    id: str
    cluster: str
    correct: bool
    answer: str | None
    formatted: bool
    tokens: int
    finished: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """Accuracy among the items that got a usable answer: what is left when a broken format is set aside."""

    accuracy: float
    ci95: tuple[float, float]
    n: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A set of scores as metrics; rates are in [0, 1], `ci95` is clustered (`stats.accuracy_interval`).

    `accuracy` counts an item without a usable answer as wrong; `answered` leaves it out, None where none is left.
    """

    accuracy: float
    ci95: tuple[float, float]
    n: int
    clusters: int
    format_rate: float
    mean_completion_tokens: float
    unparsable: int
    unfinished: int
    answer_histogram: Mapping[str, int]
    answered: Answered | None


def read_predictions(path: Path) -> list[Prediction]:
    """Read a file of predictions, one {"id", "text", "tokens", "finished"} on each line; other keys are ignored.

    Raises DataError that names file and line.
    """
    return [_prediction(row, f"`{path}` line {number}") for number, row in enumerate(read_jsonl(path), 1)]


def score_predictions(items: Sequence[ProxyTask], predictions: Iterable[Prediction]) -> list[Score]:
    """Judge each item's prediction, in the order of `items`; predictions may come in any order.

    Correct means that the last answer tag holds the right label by the same parser the reward uses.
    Raises DataError where a prediction is missing, given twice or belongs to no item.
    """
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.id in by_id:
            raise DataError(f"prediction `{prediction.id}` is given twice; keep one completion for each id")
        by_id[prediction.id] = prediction
    missing = [item.id for item in items if item.id not in by_id]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(items)} items have no prediction, the first is `{missing[0]}`; ask the model again"
        )
    unknown = sorted(by_id.keys() - {item.id for item in items})
    if unknown:
        raise DataError(f"{len(unknown)} predictions belong to no item, the first is `{unknown[0]}`; wrong task file?")
    return [_score(item, by_id[item.id]) for item in items]


def summarise(items: Sequence[ProxyTask], scores: Sequence[Score]) -> Summary:
    """The metrics of a set of scores; raises DataError where it is empty."""
    if not scores:
        raise DataError("there is nothing to summarise: no item was asked; raise the number of evaluation tasks")
    n = len(scores)
    labels = dict.fromkeys(label for item in items for label in item.labels)
    chosen = Counter(NONE if score.answer is None else score.answer for score in scores)
    return Summary(
        accuracy=sum(score.correct for score in scores) / n,
        ci95=accuracy_interval([score.correct for score in scores], [score.cluster for score in scores]),
        n=n,
        clusters=len({score.cluster for score in scores}),
        format_rate=sum(score.formatted for score in scores) / n,
        mean_completion_tokens=sum(score.tokens for score in scores) / n,
        unparsable=chosen[NONE],
        unfinished=sum(not score.finished for score in scores),
        answer_histogram={label: chosen[label] for label in (*labels, NONE)},
        answered=_answered([score for score in scores if score.answer is not None]),
    )


def _answered(scores: Sequence[Score]) -> Answered | None:
    if not scores:
        return None
    right = [score.correct for score in scores]
    interval = accuracy_interval(right, [score.cluster for score in scores])
    return Answered(sum(right) / len(right), interval, len(right))


def _score(item: ProxyTask, prediction: Prediction) -> Score:
    answer = parse_answer(prediction.text, item.labels)
    return Score(
        id=item.id,
        cluster=item.cluster,
        correct=answer == item.answer,
        answer=answer,
        formatted=has_format(prediction.text),
        tokens=prediction.tokens,
        finished=prediction.finished,
    )


def _prediction(row: object, place: str) -> Prediction:
    if not isinstance(row, dict):
        raise DataError(f"{place} is not an object; expected id, text, tokens and finished")
    for name, kind in (("id", str), ("text", str), ("tokens", int), ("finished", bool)):
        if not isinstance(row.get(name), kind):
            raise DataError(f"{place}: `{name}` is {row.get(name)!r:.80}, expected {kind.__name__}")
    if not 0 <= row["tokens"] <= LONGEST:
        raise DataError(f"{place}: `tokens` is {row['tokens']!r:.80}, expected 0 to {LONGEST}")
    return Prediction(row["id"], row["text"], row["tokens"], row["finished"])
