"""MMMU's validation set, 900 college questions with figures: does a model keep what it could do before?

Answers are read by the official rules (`mmmu_parsing`); where those draw an answer at random, ours is wrong by default
and the drawn one a convention of its own.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import STRICT, asked, majority, share
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.mmmu_parsing import choice, open_correct, predictions
from indirect_rlvr_geo.benchmarks.truths import distinct
from indirect_rlvr_geo.benchmarks.unpacked import interleaved, letters, lines, literal

FILE = "validation.jsonl"
CORRECT, DRAWN = "correct", "drawn"
OFFICIAL_RANDOM = "official_random"
SEED = 42
DOMAINS: Mapping[str, tuple[str, ...]] = {
    "Art and Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health and Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy",
        "Public_Health",
    ),
    "Humanities and Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech and Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power",
        "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
SUBJECTS = tuple(sorted(subject for subjects in DOMAINS.values() for subject in subjects))
"""In the official order, in which the random answers are drawn."""
_DOMAIN_OF = {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}

SOURCE = Source(
    homepage="https://huggingface.co/datasets/MMMU/MMMU",
    licence="Apache-2.0",
    size="900 questions of 30 subjects",
    layout=(
        "download the 30 subjects' validation Parquet files, then `python -m indirect_rlvr_geo.benchmarks.unpack "
        "DATA_ROOT/mmmu/validation.jsonl MMMU/*/validation-*.parquet`"
    ),
    files=(FILE,),
    revision="validation, 900 questions",
)


def benchmarks() -> list[Benchmark]:
    """MMMU by domain; all its numbers are weighted by question, as the official script's."""
    return [
        Benchmark(
            name="mmmu",
            description="college questions with figures in 30 subjects; retention of general skill",
            source=SOURCE,
            examples=examples,
            parse=parse,
            judge=judge,
            metrics=metrics,
            main=CORRECT,
            tasks=tuple(DOMAINS),
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each question, by subject in the official order and by number."""
    rows = lines(folder / FILE, ("id", "question", "options", "answer", "question_type"))
    seen: Counter[str] = Counter()
    for row in sorted(rows, key=lambda row: place(str(row["id"]))):
        where = f"`{folder / FILE}` question `{row['id']}`"
        options = letters(literal(row["options"], list, f"{where}: `options`"))
        answer = row["answer"] if options else literal_or_text(row["answer"])
        if options and answer not in options:
            raise DataError(f"{where}: the answer {answer!r} is none of {list(options)}; unpack the data set again")
        parts, missing = interleaved(folder, _text(str(row["question"]), options), row)
        truth = {"answer": answer, "options": options}
        subject = subject_of(str(row["id"]))
        name, flags = distinct(str(row["id"]), seen)
        yield Example(name, name, Prompt(parts), truth, _DOMAIN_OF[subject], missing, flags)


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"answer": letter} of a question with options, {"predictions": […]} of an open one."""
    if example.truth["options"]:
        letter = choice(response.text, example.truth["options"])
        return None if letter is None else {"answer": letter}
    return {"predictions": predictions(response.text)} if response.text.strip() else None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> dict[str, float]:
    """{"correct": 0 or 1} by the official rules."""
    gold = example.truth["answer"]
    if parsed is None:
        return {CORRECT: 0.0}
    if example.truth["options"]:
        return {CORRECT: float(parsed["answer"] == gold)}
    return {CORRECT: float(open_correct([gold] if isinstance(gold, str) else gold, parsed["predictions"]))}


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Accuracy over all questions, strict and with the official random answers, then strict by domain and subject."""
    drawn = _drawn(graded)
    found = [_accuracy(graded, ""), share(drawn, DRAWN, OFFICIAL_RANDOM, name="accuracy", baselines=_lines(graded))]
    found += [_accuracy([one for one in graded if one.example.task == domain], domain) for domain in DOMAINS]
    by_subject = {subject: [one for one in graded if subject_of(one.example.id) == subject] for subject in SUBJECTS}
    found += [_accuracy(ones, subject) for subject, ones in by_subject.items()]
    return [metric for metric in found if metric.n or metric.n_missing_media]


def subject_of(name: str) -> str:
    """The subject in an id such as "validation_Art_Theory_12"; raises DataError where there is none."""
    subject = name.partition("_")[2].rpartition("_")[0]
    if subject not in _DOMAIN_OF:
        raise DataError(f"question `{name}`: no subject of MMMU in its id; expected validation_SUBJECT_NUMBER")
    return subject


def place(name: str) -> tuple[int, int]:
    """Where a question stands in the official order: subject, number."""
    number = name.rpartition("_")[2]
    return SUBJECTS.index(subject_of(name)), int(number) if number.isdecimal() else 0


def literal_or_text(answer: object) -> str | list[str]:
    """The gold of an open question: one text, or several written as a Python list."""
    if isinstance(answer, list) or (isinstance(answer, str) and answer.startswith("[")):
        return [str(one) for one in literal(answer, list, "an open question's `answer`")]
    return str(answer)


def _drawn(graded: Sequence[Graded]) -> list[Graded]:
    """The same with "drawn": unread choices are drawn as the official script draws them, in its order."""
    rng = Random(SEED)
    found = []
    for one in sorted(graded, key=lambda one: place(one.example.id)):
        correct = one.values.get(CORRECT, 0.0)
        options = one.example.truth["options"]
        if one.parsed is None and options and not one.example.missing:
            correct = float(rng.choice(list(options)) == one.example.truth["answer"])
        found.append(replace(one, values={DRAWN: correct}))
    return found


def _accuracy(graded: Sequence[Graded], task: str) -> Metric:
    return share(graded, CORRECT, STRICT, name="accuracy", task=task, baselines=_lines(graded))


def _lines(graded: Sequence[Graded]) -> dict[str, float]:
    """Chance and the most frequent answer; an open question is never guessed."""
    truths = [one.example.truth for one in asked(graded)]
    if not truths:
        return {}
    guessed = sum(1 / len(truth["options"]) for truth in truths if truth["options"])
    return {"chance": guessed / len(truths), "majority": majority([str(truth["answer"]) for truth in truths])}


def _text(question: str, options: Mapping[str, str]) -> str:
    if not options:
        return f"{question}\n\nAnswer the question using a single word or phrase."
    listed = "\n".join(f"({letter}) {option}" for letter, option in options.items())
    return f"{question}\n\n{listed}\n\nAnswer with the option's letter from the given choices directly."
