"""Puts prompts to a policy and keeps each answer as a line of a file: kill it and continue, and nothing is asked twice.

It knows no model: a policy is a function from prompts to answers. A file of answers is JSON lines, appended one by one;
a line that a kill or a full disk tore is recognised, dropped and asked again.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation.backends.answers import Answer, Ask
from indirect_rlvr.progress import Progress
from indirect_rlvr.run import digest, disk_errors, plain, write_text
from indirect_rlvr.types import Prompt, View

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Policy:
    """Something that answers. `load` is called at most once, and only where something is still to be asked;
    `fingerprint` changes whenever the answers would: weights, sampling limits, pixel caps."""

    model: str
    fingerprint: str
    load: Callable[[], Ask]


@dataclass(frozen=True, slots=True)
class Query:
    """One prompt to be answered; `mark` is a digest of all that the answer depends on, by which it is known again.

    One with `missing` media is not asked; that it was not is written down.
    """

    id: str
    prompt: Prompt
    mark: str
    missing: tuple[str, ...] = ()


def query(policy: Policy, name: str, prompt: Prompt, data: object = "", missing: tuple[str, ...] = ()) -> Query:
    """A prompt with its mark: policy, id, prompt, and `data`, which stands for what the prompt's image paths hold."""
    return Query(name, prompt, digest([policy.fingerprint, name, plain(prompt), data])[:16], missing)


def ask(
    load: Callable[[], Ask], path: Path, queries: Sequence[Query], views: Path, label: str, keep_others: bool = False
) -> dict[str, Row]:
    """Ask what `path` does not answer yet, and write each answer as it comes; returns the rows by id.

    A line is {"id", "text", "frames", "tokens", "finished", "asked"}, with "prompt_tokens" where they are known, or
    {"id", "missing", "asked"} where media are missing or broken; `asked` is the mark. Lines of another mark are
    dropped, and those of prompts that are not asked now too, unless `keep_others`.
    Raises RunError where the policy does not answer every prompt once, or the disk fails.
    """
    rows = _kept(path, {each.id: each.mark for each in queries}, keep_others)
    left = {each.id: each for each in queries if each.id not in rows}
    if not left:
        return rows
    policy = None if all(each.missing for each in left.values()) else load()
    with _appending(path) as stream, Progress(label, "answer", len(queries), done=len(rows)) as progress:

        def keep(row: Row) -> None:
            with disk_errors(path):
                stream.write(_line(row).encode("utf-8"))
                stream.flush()
            del left[row["id"]]
            rows[row["id"]] = row
            progress.advance()

        for each in [each for each in left.values() if each.missing]:
            keep({"id": each.id, "missing": list(each.missing), "asked": each.mark})
        if policy:
            _answer_all(policy, queries, rows, left, views, keep)
        with disk_errors(path):
            os.fsync(stream.fileno())
    return rows


def read(path: Path) -> tuple[list[Row], int]:
    """The readable rows of a file of answers, in order, and how many lines were torn; ([], 0) where there is no file.

    A row is readable when it is an object with texts `id` and `asked`, and either `text` or a list `missing`.
    """
    if not path.exists():
        return [], 0
    lines = [line for line in path.read_bytes().split(b"\n") if line]
    rows = [row for line in lines if (row := _row(line)) is not None]
    return rows, len(lines) - len(rows)


def image_sizes(prompt: Prompt, views: Path) -> list[int]:
    """The size in bytes of each image of a prompt, -1 where there is none: what stands for the images in a mark."""
    paths = [views / part.content for part in prompt.parts if isinstance(part, View) and part.modality == "image"]
    return [path.stat().st_size if path.is_file() else -1 for path in paths]


def _answer_all(
    policy: Ask,
    queries: Sequence[Query],
    rows: Mapping[str, Row],
    left: Mapping[str, Query],
    views: Path,
    keep: Callable[[Row], None],
) -> None:
    """Ask until nothing is left; what cannot be shown is set apart once, when the policy first refuses."""
    try:
        _pass(policy, _showable(queries, rows), left, views, keep)
    except DataError:
        broken = {each.id: why for each in left.values() if (why := _problem(each.prompt, views))}
        if not broken:
            raise
        for name, why in broken.items():
            keep({"id": name, "missing": [why], "asked": left[name].mark})
        _pass(policy, _showable(queries, rows), left, views, keep)


def _showable(queries: Sequence[Query], rows: Mapping[str, Row]) -> list[Query]:
    return [each for each in queries if not each.missing and "missing" not in rows.get(each.id, ())]


def _pass(
    policy: Ask, queries: Sequence[Query], left: Mapping[str, Query], views: Path, keep: Callable[[Row], None]
) -> None:
    answered = {index for index, each in enumerate(queries) if each.id not in left}
    if len(answered) == len(queries):
        return
    known = frozenset(answered)
    for index, answer in policy([each.prompt for each in queries], views, known):
        if index in answered or not 0 <= index < len(queries):
            raise RunError(f"the policy gave prompt {index} of {len(queries)} a second answer, or there is no such one")
        answered.add(index)
        keep(_answer_row(queries[index], answer))
    if len(answered) < len(queries):
        first = next(each.id for index, each in enumerate(queries) if index not in answered)
        raise RunError(
            f"the policy gave {len(answered) - len(known)} answers to {len(queries) - len(known)} prompts; the first "
            f"without one is `{first}`; what came is kept: give the same command again"
        )


def _problem(prompt: Prompt, views: Path) -> str | None:
    from indirect_rlvr.evaluation.backends.pictures import problem

    return problem(prompt, views)


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("asked"), str)):
        return None
    return row if isinstance(row.get("text"), str) or isinstance(row.get("missing"), list) else None


def _kept(path: Path, marks: Mapping[str, str], keep_others: bool) -> dict[str, Row]:
    """The rows that answer what is asked now. The file is rewritten, atomically, where lines have to go."""
    rows, torn = read(path)
    kept = {row["id"]: row for row in rows if marks.get(row["id"]) == row["asked"]}
    others = [row for row in rows if keep_others and row["id"] not in marks]
    unended = path.exists() and path.read_bytes()[-1:] not in (b"\n", b"")
    if torn or unended or len(kept) + len(others) < len(rows):
        write_text(path, "".join(map(_line, [*others, *kept.values()])))
    return kept


def _answer_row(asked: Query, answer: Answer) -> Row:
    counted = {"prompt_tokens": answer.prompt_tokens} if answer.prompt_tokens else {}
    return {
        "id": asked.id, "text": answer.text, "frames": [list(frame) for frame in answer.frames],
        "tokens": answer.tokens, "finished": answer.finished, "asked": asked.mark, **counted,
    }  # fmt: skip


def _appending(path: Path) -> IO[bytes]:
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")


def _line(row: Row) -> str:
    """A row as one line of valid UTF-8: half a surrogate pair, which models do write, becomes its JSON escape."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"
