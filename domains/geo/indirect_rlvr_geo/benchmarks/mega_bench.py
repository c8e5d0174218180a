"""MEGA-Bench's core tasks by rule metrics alone (arXiv 2410.10563): a task is the mean of its queries, core the mean of
its tasks.

A task whose fields need a judge, a network, running code or a metric that is not implemented here is not asked: its
examples name the reason where others name missing media, so it is counted and never skipped silently.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import STRICT, per_task, share
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source, View
from indirect_rlvr_geo.benchmarks.files import photo
from indirect_rlvr_geo.benchmarks.mega_bench_parsing import answer_string, json_object
from indirect_rlvr_geo.benchmarks.mega_bench_scores import SCORES
from indirect_rlvr_geo.benchmarks.truths import distinct
from indirect_rlvr_geo.benchmarks.unpacked import literal

SCORE = "score"
CORE_TASKS, OPEN_TASKS = 440, 65
PARSERS = ("json", "answer_string")
AGGREGATIONS = ("mean", "min")
COLUMNS = (
    "id", "task_name", "task_description", "global_media", "example_text", "example_media", "query_text", "query_media",
    "answer", "metric_info",
)  # fmt: skip
INTRODUCTION = "Demonstration example(s) of the task:"
INSTRUCTION = (
    'Answer the new question below. The last part of your response should be of the following format: "Answer: <YOUR '
    'ANSWER>" (without angle brackets) where YOUR ANSWER is your answer, following the same task logic and output '
    "format of the demonstration example(s). For your answer, do not output additional contents that violate the "
    "specified format. Think step by step before answering."
)
"""The release's wording with reasoning."""
_VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".wmv", ".flv", ".gif")
_PLACE = re.compile(r"<(?:image|video)>")

SOURCE = Source(
    homepage="https://huggingface.co/datasets/TIGER-Lab/MEGA-Bench",
    licence="Apache-2.0; media: many sources",
    size="6,531 queries of 440 core tasks (9.2 GB)",
    layout="the Parquet files of `core` as core/*.parquet, and data.zip unpacked to data/",
    files=("core/*.parquet",),
    revision="core, 6,531 queries",
)


def benchmarks() -> list[Benchmark]:
    """MEGA-Bench core."""
    return [
        Benchmark(
            name="mega-bench",
            description="hundreds of real tasks with images, scored by rules; retention of general skill",
            source=SOURCE,
            examples=examples,
            parse=parse,
            judge=judge,
            metrics=metrics,
            main=SCORE,
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each query of each task; raises DataError that names the query for a row that is not
    MEGA-Bench's."""
    rules: dict[str, Mapping[str, Any]] = {}
    seen: Counter[str] = Counter()
    for path in sorted((folder / "core").glob("*.parquet")):
        for row in _rows(path):
            where = f"`{path}` query `{row['id']}`"
            task = str(row["task_name"])
            if task not in rules:
                rules[task] = _rule(literal(row["metric_info"], dict, f"{where}: `metric_info`"), where)
            gold = literal(row["answer"], dict, f"{where}: `answer`")
            answer = {str(field): str(value) for field, value in gold.items()}
            parts, missing = _prompt(folder, row, where)
            problems = _problems(rules[task], answer)
            truth = {"answer": answer, **rules[task]}
            name, flags = distinct(str(row["id"]), seen)
            yield Example(name, task, Prompt(parts), truth, task, (*missing, *problems), flags)


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"fields": {field: answer}}; where JSON was expected and none is found every field is the whole response, as in
    the release, and "json" is False."""
    fields = list(example.truth["answer"])
    if not response.text.strip():
        return None
    if example.truth["parser"] == "answer_string":
        single = "\n" not in example.truth["answer"][fields[0]]
        return {"fields": {fields[0]: answer_string(response.text, single)}}
    found = json_object(response.text)
    if found is None:
        return {"fields": dict.fromkeys(fields, response.text), "json": False}
    return {"fields": {field: found[field] for field in fields if field in found}}


def judge(example: Example, parsed: Mapping[str, Any] | None) -> dict[str, float]:
    """{"score": in [0, 1]}: the weighted mean or the minimum over the fields; a field that is not answered is 0."""
    truth = example.truth
    said = parsed["fields"] if parsed else {}
    scores = {
        field: SCORES[truth["metrics"][field]](said[field], gold) if field in said else 0.0
        for field, gold in truth["answer"].items()
        if truth["metrics"].get(field) in SCORES
    }
    if not scores:
        return {SCORE: 0.0}
    if truth["aggregation"] == "min":
        return {SCORE: min(scores.values())}
    weights = {field: float(truth["weights"].get(field, 1)) for field in scores}
    total = sum(weights.values())
    return {SCORE: sum(scores[field] * weights[field] for field in scores) / total if total > 0 else 0.0}


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """The mean over tasks, whose name says how many of how many were asked, then each task."""
    tasks = tuple(dict.fromkeys(one.example.task for one in graded))
    found = per_task(graded, tasks, _score, value=SCORE)
    return [metric for metric in (found[-1:] + found[:-1]) if metric.n or metric.n_missing_media]


def overall(core: float, open_ended: float) -> float:
    """The leaderboard's overall score: the mean over all 505 tasks of their two groups' means."""
    return (CORE_TASKS * core + OPEN_TASKS * open_ended) / (CORE_TASKS + OPEN_TASKS)


def _score(graded: Sequence[Graded], task: str) -> Metric:
    return share(graded, SCORE, f"{STRICT}, rule metrics", task=task)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        table = pq.ParquetFile(path)
        lacking = [column for column in COLUMNS if column not in table.schema_arrow.names]
        if lacking:
            raise DataError(f"`{path}` has no column `{lacking[0]}`; expected MEGA-Bench's `core`: download it again")
        for batch in table.iter_batches(batch_size=256, columns=list(COLUMNS)):
            yield from batch.to_pylist()
    except (OSError, ValueError) as error:
        raise DataError(f"`{path}` cannot be read as Parquet: {error}; download it again") from error


def _rule(info: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        aggregation = info["aggregation"]
        return {
            "metrics": {str(field): str(name) for field, name in info["field_score_function"].items()},
            "aggregation": str(aggregation["function"]),
            "weights": {
                str(field): float(weight) for field, weight in (aggregation.get("field_weights") or {}).items()
            },
            "parser": str(info["response_parse_function"]),
            "auxiliary": sorted(map(str, info.get("global_aux_metrics") or {})),
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"{where}: `metric_info` is not as MEGA-Bench writes it ({error!r}); download it again"
        ) from None


def _problems(rule: Mapping[str, Any], answer: Mapping[str, str]) -> tuple[str, ...]:
    """What keeps a query from being scored here; () for nothing."""
    unknown = sorted({name for field in answer if (name := rule["metrics"].get(field, "none")) not in SCORES})
    found = [f"metric {name} is not computed offline" for name in unknown]
    found += [f"auxiliary metric {name} is not computed offline" for name in rule["auxiliary"]]
    if rule["parser"] not in PARSERS or (rule["parser"] == "answer_string" and len(answer) != 1):
        found.append(f"response parser {rule['parser']} is not implemented")
    if rule["aggregation"] not in AGGREGATIONS:
        found.append(f"aggregation {rule['aggregation']} is not implemented")
    return tuple(found)


def _prompt(folder: Path, row: Mapping[str, Any], where: str) -> tuple[tuple[str | View, ...], tuple[str, ...]]:
    """Task, demonstration, instruction and question in this order, media where the texts have their places."""
    parts: list[str | View] = []
    missing: list[str] = []
    for lead, text, media in (
        ("", "task_description", "global_media"),
        (f"\n\n{INTRODUCTION}\n", "example_text", "example_media"),
        (f"\n\n{INSTRUCTION}\n\n", "query_text", "query_media"),
    ):
        paths = row[media] if row[media] else []
        listed = [str(path) for path in literal(paths, list, f"{where}: `{media}`")]
        if lead and (row[text] or listed):
            parts.append(lead)
        more, lacking = _filled(folder, str(row[text] or ""), listed)
        parts += more
        missing += lacking
    return tuple(part for part in parts if part != ""), tuple(missing)


def _filled(folder: Path, text: str, paths: Sequence[str]) -> tuple[list[str | View], list[str]]:
    parts: list[str | View] = []
    missing: list[str] = []
    pieces = _PLACE.split(text)
    for number, piece in enumerate(pieces):
        parts.append(piece)
        for path in paths[number : number + 1] if number < len(pieces) - 1 else paths[number:]:
            view, lacking = photo(folder, path.removeprefix("./"), "figure")
            parts.append(view)
            missing += [f"{path}: videos are not read"] if path.lower().endswith(_VIDEOS) else lacking
    return parts, missing
