"""Scores responses that any system produced, without a model: what is wrong with the file is counted and named."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation import suite
from indirect_rlvr.evaluation.backends.answers import frames_of
from indirect_rlvr.evaluation.grade import MAX_RESPONSE, SHOWN, grade, measured, with_missing
from indirect_rlvr.evaluation.suite import Place
from indirect_rlvr.types import Benchmark, Example, Graded, Response, View

MAX_LINE = 16 * 2**20
"""A line with more bytes is not read."""


@dataclass(slots=True)
class Predictions:
    """What a file holds: raw responses, fields that were read elsewhere, what could not be asked, and its faults.

    `faults` maps what is wrong to places (ids, or "line 3").
    """

    responses: dict[str, Response] = field(default_factory=dict)
    parsed: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def __contains__(self, name: str) -> bool:
        return name in self.responses or name in self.parsed or name in self.missing


def score(where: Place, file: Path, convention: str | None = None) -> dict[str, Any]:
    """Every metric of a benchmark for the responses in `file`, and what was wrong with them.

    `where` holds the benchmark's truth. An example without a line counts as answered with nothing; images that are not
    here do not matter. `convention` keeps the metrics of one convention. Raises DataError where the truth or the file
    cannot be read at all or answer no example, ConfigError for a convention that the benchmark does not have.
    """
    suite.refuse_absent([where])
    ready, benchmark = suite.ready(where, None, 0), where.benchmark
    if ready.fault:
        raise DataError(ready.fault)
    found = read(file)
    examples = [_as_asked(example, found) for example in ready.examples]
    _check_against(examples, found)
    if examples and not any(example.id in found for example in examples):
        raise DataError(
            f"`{file}` answers no example of `{benchmark.name}`: its ids are like {_first(found)!r}, those of the "
            f"benchmark like {examples[0].id!r}; give the benchmark that was asked"
        )
    graded = _with_parsed(benchmark, grade(benchmark, examples, found.responses), found)
    results = measured(benchmark, graded)
    results["metrics"] = _of_convention(benchmark, results["metrics"], convention)
    faults = {what: {"n": len(at), "first": at[:SHOWN]} for what, at in sorted(found.faults.items()) if at}
    n = len(found.responses) + len(found.parsed)
    return results | {"predictions": str(file), "n_responses": n, "faults": faults}


def read(path: Path) -> Predictions:
    """Read lines of {"id", "response"} (raw text; `rlvr eval` itself writes "text"), {"id", "parsed"} (fields) or
    {"id", "missing"} (the system could not be asked); "frames" may say at which (width, height) it saw each image.

    The first line of an id counts. Raises DataError where the file cannot be opened or has no usable line.
    """
    found = Predictions()
    try:
        for number, line in _lines(path):
            _take(found, line, f"line {number}")
    except OSError as error:
        raise DataError(f"cannot read `{path}`: {error.strerror or error}") from error
    if not (found.responses or found.parsed or found.missing):
        faults = "; ".join(f"{what}: {len(at)}" for what, at in found.faults.items()) or "it is empty"
        raise DataError(f'`{path}` has no usable line ({faults}); a line is {{"id": "…", "response": "…"}}')
    return found


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Each line with its number, None for one that is too long."""
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE + 1):
            number += 1
            if len(line) <= MAX_LINE:
                if line.strip():
                    yield number, line
                continue
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE)
            yield number, None


def _take(found: Predictions, line: bytes | None, place: str) -> None:
    if line is None:
        found.faults[f"a line of more than {MAX_LINE:,} bytes"].append(place)
        return
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        found.faults["not JSON (torn?)"].append(place)
        return
    name = row.get("id") if isinstance(row, dict) else None
    if isinstance(name, int) and not isinstance(name, bool):
        name = str(name)
    if not isinstance(name, str):
        found.faults["no id"].append(place)
        return
    name = name.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair becomes "?"
    if name in found:
        found.faults["an id that came before (its first line counts)"].append(name)
    elif isinstance(text := row.get("response", row.get("text")), str):
        frames = frames_of(row.get("frames"))
        if frames is None:
            found.faults["frames that are no list of [width, height] (taken as unknown)"].append(name)
        found.responses[name] = Response(text, frames or ())
    elif isinstance(row.get("parsed"), dict):
        found.parsed[name] = row["parsed"]
    elif isinstance(row.get("missing"), list):
        found.missing[name] = [str(each) for each in row["missing"]] or ["not said what"]
    else:
        given = row.get("response", row.get("text")) is not None
        what = "response is not text" if given else "neither response nor parsed"
        found.faults[f"{what} (counts as no answer)"].append(name)
        found.responses[name] = Response("")


def _first(found: Predictions) -> str:
    return next(iter((*found.responses, *found.parsed, *found.missing)))[:80]


def _as_asked(example: Example, found: Predictions) -> Example:
    """Whether media are missing here says nothing of the system that answered; its own file does."""
    return with_missing([example], {example.id: found.missing.get(example.id, ())})[0]


def _check_against(examples: Sequence[Example], found: Predictions) -> None:
    """Ids are the benchmark's, a text is not too long to be read, and frames are one for each image."""
    known = {example.id for example in examples}
    given = [*found.responses, *found.parsed, *found.missing]
    found.faults["an id that the benchmark does not have"] += [name for name in given if name not in known]
    lacking = [example.id for example in examples if example.id not in found]
    found.faults["no line for an example (counts as no answer)"] += lacking
    for example in examples:
        response = found.responses.get(example.id, Response(""))
        if len(response.text) > MAX_RESPONSE:
            what = f"a response of more than {MAX_RESPONSE:,} characters (counts as no answer)"
            found.faults[what].append(example.id)
        if response.frames and len(response.frames) != _images(example):
            found.faults["frames that are not one for each image of the prompt (taken as unknown)"].append(example.id)
            found.responses[example.id] = Response(response.text)


def _images(example: Example) -> int:
    return sum(isinstance(part, View) and part.modality == "image" for part in example.prompt.parts)


def _with_parsed(benchmark: Benchmark, graded: Sequence[Graded], found: Predictions) -> list[Graded]:
    """Those with given fields, judged by them; fields that cannot be judged count as no answer and are named."""
    out = []
    for one in graded:
        if one.example.id not in found.parsed:
            out.append(one)
            continue
        fields = found.parsed[one.example.id]
        try:
            values = benchmark.judge(one.example, fields)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            values = {"": math.nan}
        if all(map(math.isfinite, values.values())):
            out.append(Graded(one.example, fields, values))
        else:
            found.faults["fields that cannot be judged (count as no answer)"].append(one.example.id)
            out.append(one)
    return out


def _of_convention(benchmark: Benchmark, metrics: list[dict[str, Any]], convention: str | None) -> list[dict[str, Any]]:
    known = list(dict.fromkeys(metric["convention"] for metric in metrics))
    if convention is not None and convention not in known:
        raise ConfigError(f"benchmark `{benchmark.name}` has no convention `{convention}`; it has: {', '.join(known)}")
    return [metric for metric in metrics if convention in (None, metric["convention"])]
