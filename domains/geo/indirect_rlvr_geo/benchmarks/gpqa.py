"""GPQA: graduate questions in biology, physics and chemistry without images, asked and read as simple-evals does.

The questions are gated and carry a canary: nothing here prints or stores them, an id is a row number, and the truth
of an example is a letter.
"""

import csv
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.types import Benchmark, Example, Prompt, Response, Source

VARIANTS = {"diamond": 198, "main": 448, "extended": 546}
REPEATS = 4
LETTERS = ("A", "B", "C", "D")
COLUMNS = ("Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
TEMPLATE = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.\n\n"
    "{question}\n\nA) {A}\nB) {B}\nC) {C}\nD) {D}"
)
_ANSWER = re.compile(r"(?i)Answer[ \t]*+:[ \t]*+\$?([A-D])\$?")


def benchmarks() -> list[Benchmark]:
    """GPQA diamond, main and extended; each question four times, with other orders of the options."""
    return [_benchmark(variant, size) for variant, size in VARIANTS.items()]


def examples(folder: Path, variant: str) -> Iterator[Example]:
    """Each question of `gpqa_VARIANT.csv` four times, the options in the orders that simple-evals draws.

    Raises DataError, without the text of any question, for a file that is not GPQA's.
    """
    rows = _rows(folder / f"gpqa_{variant}.csv")
    rng = Random(0)
    for repeat in range(REPEATS):
        for number, row in enumerate(rows):
            right, *wrong = (row[column] for column in COLUMNS[1:])
            options = [(right, *wrong)[place] for place in rng.sample(range(4), 4)]
            text = TEMPLATE.format(question=row["Question"], **dict(zip(LETTERS, options, strict=True)))
            name, answer = f"{variant}-{number:03d}", LETTERS[options.index(right)]
            yield choice_example(f"{name}-{repeat}", name, Prompt((text,)), LETTERS, answer)


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"answer": letter} of the first "Answer: X"; a small letter is kept as it is and then wrong, as in
    simple-evals."""
    found = _ANSWER.search(response.text)
    return None if found is None else {"answer": found[1]}


def _benchmark(variant: str, size: int) -> Benchmark:
    source = Source(
        homepage="https://huggingface.co/datasets/Idavidrein/gpqa",
        licence="CC BY 4.0; gated: do not publish the questions",
        size=f"{size} questions, {REPEATS} times each",
        layout=f"accept the terms on the hub and put gpqa_{variant}.csv into the folder",
        files=(f"gpqa_{variant}.csv",),
        revision=f"gpqa_{variant}.csv, {size} rows",
    )
    about = f"graduate science questions without images ({variant}); retention of general skill"
    return choice_benchmark(
        f"gpqa-{variant}", about, partial(examples, variant=variant), source=source, parse=parse
    )  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"`{path}` cannot be read as CSV ({type(error).__name__}); download it again") from None
    for number, row in enumerate(rows):
        lacking = [column for column in COLUMNS if not row.get(column)]
        if lacking:
            raise DataError(f"`{path}` row {number} has no `{lacking[0]}`; download the file again")
    return rows
