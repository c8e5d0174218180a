"""RSVQA: questions about satellite images (LR, Sentinel-2) and aerial images (HR, USGS), answered in a word.

A third party measured the published Geo-R1 33 points below its base here: does overhead skill survive the training?
Numbers count by the classes of the authors' model: five ranges of counts in LR, of areas in HR; HR counts are exact.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import STRICT, asked, majority, per_task, share
from indirect_rlvr.rewards.parsing import parse_choice
from indirect_rlvr.rewards.quantities import normal_text, parse_number
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.files import json_file, photo
from indirect_rlvr_geo.benchmarks.short_answers import stated

CORRECT = "correct"
WORDS: Mapping[str, tuple[str, ...]] = {
    "presence": ("yes", "no"), "comp": ("yes", "no"), "rural_urban": ("rural", "urban")
}  # fmt: skip
"""The types of question that are answered with one of two words."""
WITHOUT_NUMBERS = "strict, without count and area"
"""The convention of GeoChat and others since."""
_NEEDED = {
    "questions": ("type", "question", "img_id", "answers_ids"), "answers": ("answer",), "images": ()
}  # fmt: skip
_UNITS = {"": 1.0, "m2": 1.0, "m^2": 1.0, "sqm": 1.0, "square metres": 1.0, "square meters": 1.0}
_EDGES = (10, 100, 1000)


@dataclass(frozen=True, slots=True)
class Edition:
    """One of the published test sets: the start of its file names, its folder of images, its types."""

    name: str
    files: str
    images: str
    types: tuple[str, ...]
    size: str
    record: str


EDITIONS = (
    Edition(
        "rsvqa-lr", "LR_split_test", "Images_LR", ("rural_urban", "presence", "count", "comp"),
        "10,004 questions on images of 256 × 256", "6344334",
    ),
    Edition(
        "rsvqa-hr", "USGS_split_test", "Data", ("presence", "comp", "count", "area"),
        "test set 1, images of 512 × 512", "6344367",
    ),
    Edition(
        "rsvqa-hr-philadelphia", "USGS_split_test_phili", "Data", ("presence", "comp", "count", "area"),
        "test set 2, a city of its own, images of 512 × 512", "6344367",
    ),
)  # fmt: skip


def benchmarks() -> list[Benchmark]:
    """RSVQA LR, and HR's two test sets."""
    return [_benchmark(edition) for edition in EDITIONS]


def examples(folder: Path, edition: Edition) -> Iterator[Example]:
    """One example for each active question of an active image.

    Raises DataError that names the file for a question without its image or answer. Images and answers are looked up by
    id: the files hold inactive records of nothing but their id.
    """
    questions, answers, images = (_active(folder, edition, part) for part in ("questions", "answers", "images"))
    seen = {name: photo(folder, f"{edition.images}/{name}.tif") for name in images}
    for name, row in questions.items():
        where = f"`{edition.files}_questions.json` question {name}"
        if row["type"] not in edition.types:
            raise DataError(f"{where} is of type {row['type']!r}; expected {', '.join(edition.types)}")
        answer = answers.get((row["answers_ids"] or [None])[0])
        if row["img_id"] not in seen or answer is None:
            raise DataError(f"{where} has no active image or answer; download the three files of one release again")
        view, missing = seen[row["img_id"]]
        gold = reading(row["type"], str(answer["answer"]))
        if gold is None:
            raise DataError(f"{where}: the answer {answer['answer']!r} is none of type {row['type']}")
        truth = {"answer": str(answer["answer"]), "class": in_class(edition.name, row["type"], gold)}
        prompt = Prompt((view, f" {row['question']} {_instruction(row['type'])}"))
        yield Example(f"{edition.name}-{name}", f"{row['img_id']}", prompt, truth, row["type"], missing)


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"answer": word or number}."""
    text = stated(response.text)
    found = None if text is None else reading(example.task, text)
    return None if found is None else {"answer": found}


def judge(example: Example, parsed: Mapping[str, Any] | None, edition: Edition) -> dict[str, float]:
    """ "correct": the same class; for numbers "exact" too: the same number."""
    if parsed is None:
        return {CORRECT: 0.0} | ({} if example.task in WORDS else {"exact": 0.0})
    values = {CORRECT: float(in_class(edition.name, example.task, parsed["answer"]) == example.truth["class"])}
    if example.task not in WORDS:
        values["exact"] = float(parsed["answer"] == reading(example.task, example.truth["answer"]))
    return values


def metrics(graded: Sequence[Graded], edition: Edition) -> list[Metric]:
    """Accuracy over all questions and its mean over the types, both also without counts and areas, then each type."""
    found = per_task(graded, edition.types, _accuracy, value=CORRECT)
    words = [one for one in graded if one.example.task in WORDS]
    some = per_task(words, [task for task in edition.types if task in WORDS], _accuracy, value=CORRECT)
    numbers = [one for one in graded if one.example.task not in WORDS]
    overall = [
        _accuracy(graded, ""),
        *(replace(m, convention=WITHOUT_NUMBERS) for m in (_accuracy(words, ""), some[-1])),
    ]
    exact = [
        share([one for one in numbers if one.example.task == task], "exact", "exact number", name="accuracy", task=task)
        for task in edition.types
        if task not in WORDS
    ]
    return [metric for metric in (*overall, found[-1], *found[:-1], *exact) if metric.n or metric.n_missing_media]


def reading(kind: str, text: str) -> str | float | None:
    """The word of a question with two words, or the number, in square metres for areas; None for anything else."""
    if kind in WORDS:
        return parse_choice(text, WORDS[kind])
    plain = normal_text(text)
    return None if plain is None else parse_number(plain, _UNITS if kind == "area" else {"": 1.0})


def in_class(name: str, kind: str, value: str | float) -> str:
    """The class of an answer as the authors' encoder forms it: the word, the number, or the range it falls into."""
    if isinstance(value, str) or (kind == "count" and name != "rsvqa-lr"):
        return str(value)
    if value <= 0:
        return "0"
    below = 0
    for edge in _EDGES:
        if value <= edge:
            return f"between {below} and {edge}"
        below = edge
    return f"more than {below}"


def _benchmark(edition: Edition) -> Benchmark:
    parts = tuple(f"{edition.files}_{part}.json" for part in ("questions", "answers", "images"))
    source = Source(
        homepage="https://rsvqa.sylvainlobry.com",
        licence="CC BY 4.0",
        size=edition.size,
        layout=f"{', '.join(parts)} and {edition.images}/NUMBER.tif from zenodo.org/records/{edition.record}",
        files=parts,
        revision=f"Zenodo {edition.record}",
    )
    return Benchmark(
        name=edition.name,
        description="one-word questions about overhead images: presence, comparison, counts, areas, rural or urban",
        source=source,
        examples=partial(examples, edition=edition),
        parse=parse,
        judge=partial(judge, edition=edition),
        metrics=partial(metrics, edition=edition),
        main=CORRECT,
        tasks=edition.types,
    )


def _active(folder: Path, edition: Edition, part: str) -> dict[Any, dict[str, Any]]:
    """id → record of every active record of one of the three files."""
    path = folder / f"{edition.files}_{part}.json"
    found = json_file(path)
    rows = found.get(part) if isinstance(found, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "id" in row for row in rows):
        raise DataError(f"`{path}` has no list `{part}` of records with an id; download it again")
    repeated = [name for name, times in Counter(row["id"] for row in rows).items() if times > 1]
    if repeated:
        raise DataError(f"`{path}` has {len(repeated)} ids more than once, {repeated[0]} first; download it again")
    active = {row["id"]: row for row in rows if row.get("active")}
    for name, row in active.items():
        lacking = [key for key in _NEEDED[part] if key not in row]
        if lacking:
            raise DataError(f"`{path}` record {name} has no `{lacking[0]}`; download it again")
    return active


def _instruction(kind: str) -> str:
    wanted = {"count": "a number", "area": "a number of square metres"}.get(kind, " or ".join(WORDS.get(kind, ())))
    return f"Reason between <think> and </think>, then give only {wanted}, between <answer> and </answer>."


def _accuracy(graded: Sequence[Graded], task: str) -> Metric:
    truths = [one.example.truth["class"] for one in asked(graded)]
    beside = {"majority": _majority(graded)} if truths else {}
    return share(graded, CORRECT, STRICT, name="accuracy", task=task, baselines=beside)


def _majority(graded: Sequence[Graded]) -> float:
    """What the most frequent answer of each type gets, over all examples."""
    by_type: dict[str, list[str]] = {}
    for one in asked(graded):
        by_type.setdefault(one.example.task, []).append(one.example.truth["class"])
    total = sum(len(answers) for answers in by_type.values())
    return sum(majority(answers) * len(answers) for answers in by_type.values()) / total
