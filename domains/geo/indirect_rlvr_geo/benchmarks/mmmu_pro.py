"""MMMU-Pro: MMMU's questions with ten options, as text with figures ("standard") and as one screenshot ("vision").

The official reading is kept with its defects (`mmmu_parsing.choice_pro`): "I think" chooses option I.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.choice import CORRECT, accuracy, judge_label
from indirect_rlvr.evaluation.metrics import asked, per_task, share
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source, View
from indirect_rlvr_geo.benchmarks.files import photo
from indirect_rlvr_geo.benchmarks.mmmu_parsing import choice_pro
from indirect_rlvr_geo.benchmarks.truths import distinct
from indirect_rlvr_geo.benchmarks.unpacked import interleaved, letters, lines, literal

SETTINGS = ("standard", "vision")
EXPECTED_RANDOM = "official_random, expected"
_LAST_LINE = (
    "The last line of your response should be of the following format: 'Answer: $LETTER' (without quotes) where LETTER "
    "is one of options. Think step by step before answering."
)
PROMPTS = {
    "standard": f"Answer the preceding multiple choice question. {_LAST_LINE}",
    "vision": f"Write out the multiple-choice question in the image and then solve it. {_LAST_LINE}",
}
"""The official wording with reasoning ("cot")."""

SOURCE = Source(
    homepage="https://huggingface.co/datasets/MMMU/MMMU_Pro",
    licence="Apache-2.0",
    size="1,730 questions in each of two settings",
    layout=(
        "download the Parquet files of `standard (10 options)` and `vision`, then `python -m "
        "indirect_rlvr_geo.benchmarks.unpack DATA_ROOT/mmmu-pro/standard.jsonl FILES` and the same for vision.jsonl"
    ),
    files=tuple(f"{setting}.jsonl" for setting in SETTINGS),
    revision="test, 2 × 1,730 questions",
)


def benchmarks() -> list[Benchmark]:
    """MMMU-Pro; its two settings are the sub-tasks, and their mean is the score of the paper."""
    return [
        Benchmark(
            name="mmmu-pro",
            description="college questions with figures and ten options, as text and as screenshots",
            source=SOURCE,
            examples=examples,
            parse=parse,
            judge=judge_label,
            metrics=metrics,
            main=CORRECT,
            tasks=SETTINGS,
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each question and setting; an id is "SETTING-ID"."""
    seen: Counter[str] = Counter()
    for setting in SETTINGS:
        path = folder / f"{setting}.jsonl"
        for row in lines(path, ("id", "options", "answer", *(("question",) if setting == "standard" else ("image",)))):
            where = f"`{path}` question `{row['id']}`"
            options = letters(literal(row["options"], list, f"{where}: `options`"))
            if row["answer"] not in options:
                raise DataError(f"{where}: the answer {row['answer']!r} is none of {list(options)}; unpack it again")
            parts, missing = _parts(folder, setting, row, options)
            truth = {"answer": row["answer"], "labels": list(options), "options": options}
            name, flags = distinct(f"{setting}-{row['id']}", seen)
            yield Example(name, str(row["id"]), Prompt(parts), truth, setting, missing, flags)


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"answer": letter} by the official rules, None where they draw at random."""
    letter = choice_pro(response.text, example.truth["options"])
    return None if letter is None else {"answer": letter}


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Accuracy in each setting and their mean, failures as wrong, and what the unseeded official draws give on
    average."""
    found = per_task(graded, SETTINGS, accuracy, value=CORRECT)
    drawn = [replace(one, values={CORRECT: _drawn(one)}) for one in graded]
    found += per_task(drawn, SETTINGS, _expected, value=CORRECT)
    return [metric for metric in found if metric.n or metric.n_missing_media]


def _expected(graded: Sequence[Graded], task: str) -> Metric:
    counts = [len(one.example.truth["labels"]) for one in asked(graded)]
    beside = {"chance": fmean(1 / count for count in counts)} if counts else {}
    return share(graded, CORRECT, EXPECTED_RANDOM, name="accuracy", task=task, baselines=beside)


def _drawn(one: Graded) -> float:
    return one.values.get(CORRECT, 0.0) if one.parsed is not None else 1 / len(one.example.truth["labels"])


def _parts(
    folder: Path, setting: str, row: Mapping[str, Any], options: Mapping[str, str]
) -> tuple[tuple[str | View, ...], tuple[str, ...]]:
    if setting == "vision":
        view, missing = photo(folder, row["image"], "figure")
        return (view, f" {PROMPTS[setting]}"), missing
    listed = "\n".join(f"{letter}. {option}" for letter, option in options.items())
    return interleaved(folder, f"{row['question']}\n{listed}\n{PROMPTS[setting]}", row)
