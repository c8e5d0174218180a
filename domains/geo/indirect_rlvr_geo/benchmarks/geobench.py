"""GEOBench-VLM (arXiv 2411.19325): multiple choice on one image (17 tasks) and on two dates (5 tasks).

Each record is asked once for each paraphrase of its question, as in the released scripts. How several answers become
one score is published nowhere, so both natural readings are reported: the mean over paraphrases, and the majority vote.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.choice import CORRECT, choice_example, judge_label
from indirect_rlvr.evaluation.metrics import asked, chance, majority, per_task, share
from indirect_rlvr.rewards.parsing import parse_choice
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, View
from indirect_rlvr_geo.benchmarks import geobench_boxes
from indirect_rlvr_geo.benchmarks.boxes_in_text import answer_part
from indirect_rlvr_geo.benchmarks.files import json_rows, photo

SINGLE_TASKS = (
    "Aircraft Classification",
    "Building Counting",
    "Crop Classification",
    "Disaster Classification",
    "Fire Risk Assessment",
    "General Aircraft Counting",
    "General Vehicle Counting",
    "Land Use Classification",
    "Marine Debris Counting",
    "Scene Classification",
    "Ship Classification",
    "Specific Aircraft Counting",
    "Specific Vehicle Counting",
    "Spatial Relationship",
    "Tree Health Assessment",
    "Trees Counting",
    "Water Bodies Counting",
)
"""The tasks whose unweighted mean is the published average."""
MEAN, VOTE = "mean over paraphrases", "majority vote over paraphrases, ties to the first answer given"
PROMPT = (
    "For the given the Multiple Choice Question Answer below, analyze the question and answer strictly from one of the "
    "options below. Strictly answer the choice only. No additional text. Provide only the letter (A., B., C., D. or "
    "E.) corresponding to the correct answer for the multiple-choice question given. {description}\n{question}\n"
    "Options: {options}"
)
_FIELDS = ("image_path", "prompts", "options", "options_list", "ground_truth_option", "task")
_LEADING = re.compile(r"\W{0,20}([A-Z])(?:[.):\]*]|\s*$)")


def benchmarks() -> list[Benchmark]:
    """Multiple choice on one image and on two, referring detection and referring segmentation.

    Captioning is not among them: no formula of its scores was released.
    """
    return [
        _choice("geobench-vlm", "Single", SINGLE_TASKS, "3,211 questions in 17 tasks (1.3 GB)"),
        _choice("geobench-vlm-temporal", "Temporal", (), "questions on two dates in 5 tasks (1.18 GB)"),
        *geobench_boxes.benchmarks(),
    ]


def _choice(name: str, part: str, tasks: Sequence[str], size: str) -> Benchmark:
    return Benchmark(
        name=name,
        description="multiple choice on " + ("one overhead image" if part == "Single" else "images of two dates"),
        source=geobench_boxes.source(part, size),
        examples=partial(examples, part=part),
        parse=parse,
        judge=judge_label,
        metrics=partial(metrics, tasks=tuple(tasks)),
        main=CORRECT,
        tasks=tuple(tasks) or ("",),
    )


def examples(folder: Path, part: str) -> Iterator[Example]:
    """One example for each paraphrase of each record of a part; its cluster is what images it shows.

    Raises DataError for a record that lacks a field or any wording, or whose right letter is none of its options.
    """
    path = folder / part / "qa.json"
    for number, row in enumerate(json_rows(path, _FIELDS)):
        labels = list(ascii_uppercase[: len(row["options_list"])])
        answer = str(row["ground_truth_option"]).strip(" .")
        if answer not in labels or not isinstance(row["prompts"], list) or not row["prompts"]:
            raise DataError(
                f"`{path}` record {number}: answer {answer!r} of the options {labels}, wordings "
                f"{row['prompts']!r:.80}; expected one of the options and a list of wordings: download it again"
            )
        parts, missing = _images(folder, part, row["image_path"])
        for paraphrase, question in enumerate(row["prompts"]):
            text = PROMPT.format(
                description=row.get("cls_description") or "", question=question, options=row["options"]
            )
            yield choice_example(
                f"{part}-{number}-{paraphrase}",
                str(row["image_path"]),
                Prompt((*parts, text)),
                labels,
                answer,
                task=str(row["task"]),
                missing=missing,
                truth={"record": number},
            )


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"answer": letter} of the answer tag, or of the whole text without one.

    What clearly chooses one option counts, as in the rewards; else a letter at the very start that punctuation closes,
    which is the first letter of the released reading without taking the "A" of "A ship" or "Answer" for one.
    """
    labels, answer = example.truth["labels"], answer_part(response.text)
    label = parse_choice(answer, labels)
    if label is None:
        leading = _LEADING.match(answer[:200].lstrip())
        label = leading[1] if leading and leading[1] in labels else None
    return None if label is None else {"answer": label}


def metrics(graded: Sequence[Graded], tasks: Sequence[str]) -> list[Metric]:
    """Accuracy over all records, of each task and their unweighted mean, under both readings of paraphrases.

    Without `tasks` those in the file are averaged; a task in the file that is none of `tasks` has its own accuracy and
    is not averaged. Records whose images are missing are counted, not scored.
    """
    by_record: dict[int, list[Graded]] = defaultdict(list)
    for one in graded:
        by_record[one.example.truth["record"]].append(one)
    records = [_record(answers) for answers in by_record.values()]
    there = sorted({one.example.task for one in records})
    averaged = tuple(tasks) or tuple(there)
    found = []
    for convention in (MEAN, VOTE):
        accuracy = partial(_accuracy, convention=convention)
        found += [accuracy(records, ""), *per_task(records, averaged, accuracy, value=convention)]
        for task in there:
            if task not in averaged:
                found.append(accuracy([one for one in records if one.example.task == task], task))
    return found


def _record(answers: Sequence[Graded]) -> Graded:
    """The answers to all paraphrases of one record as one: it is parsed where any of them is."""
    first = answers[0]
    said = [one for one in answers if one.parsed is not None]
    votes = Counter(str(one.parsed.get("answer")) for one in said if one.parsed is not None)
    chosen = votes.most_common(1)[0][0] if votes else None
    mean = sum(one.values.get(CORRECT, 0.0) for one in answers) / len(answers)
    values = {MEAN: mean, VOTE: float(chosen == first.example.truth["answer"])}
    return Graded(first.example, said[0].parsed if said else None, values)


def _accuracy(records: Sequence[Graded], task: str, convention: str) -> Metric:
    truths = [one.example.truth for one in asked(records)]
    baselines = {
        "chance": chance([len(truth["labels"]) for truth in truths]),
        "majority": majority([truth["answer"] for truth in truths]),
    }
    return share(
        records, convention, convention, name="accuracy", task=task, baselines=baselines if truths else {}
    )  # fmt: skip


def _images(folder: Path, part: str, paths: object) -> tuple[tuple[str | View, ...], tuple[str, ...]]:
    """The parts of the prompt before its text, and which images are missing; of several dates the first and last."""
    if not isinstance(paths, list) or not paths:
        view, missing = _image(folder, part, paths)
        return (view,), missing
    (before, gone), (after, lost) = _image(folder, part, paths[0]), _image(folder, part, paths[-1])
    opening = "The following images show the condition before and after the event."
    return (opening, "This is the 'pre' image:", before, "This is the 'post' image:", after), (*gone, *lost)


def _image(folder: Path, part: str, path: object) -> tuple[View, tuple[str, ...]]:
    """Paths are relative to the folder that holds the part; some releases leave the part out."""
    name = str(path)
    return photo(folder, name if name.startswith(f"{part}/") else f"{part}/{name}")
