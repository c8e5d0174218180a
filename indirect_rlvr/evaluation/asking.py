"""Puts prompts to a policy and keeps each answer as a line of a file: kill it and continue, and nothing is asked twice.

It knows no model: a policy is a function from prompts to answers. A file of answers is JSON lines, appended one by one;
a line that a kill or a full disk tore is recognised, dropped and asked again.
"""

import glob
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indirect_rlvr import processes
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation.backends.answers import Answer, Ask, frames_of
from indirect_rlvr.foreign import loads
from indirect_rlvr.progress import Progress
from indirect_rlvr.run import digest, disk_errors, make_folder, plain, write_text
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
    Raises RunError where the policy does not answer every prompt once, or the disk fails. Several processes share the
    questions as the policy divides them, and all return all rows.
    """
    rows = processes.by_first(lambda: _kept(path, {each.id: each.mark for each in queries}, keep_others))
    left = [each for each in queries if each.id not in rows]
    if not left:
        return rows
    policy = None if all(each.missing for each in left) else load()
    with _Book(path, rows, len(queries), label) as book:
        if processes.is_first():
            for each in left:
                if each.missing:
                    book.keep({"id": each.id, "missing": list(each.missing), "asked": each.mark})
        book.share()
        if policy:
            _answer_all(policy, queries, book, views)
    without = [each.id for each in left if each.id not in rows]
    if without:
        prompts = sum(not each.missing for each in left)
        raise RunError(
            f"the policy gave {prompts - len(without)} answers to {prompts} prompts; the first without one is "
            f"`{without[0]}`; what came is kept: give the same command again"
        )
    _settle(path, queries, rows, keep_others)
    return rows


def read(path: Path) -> tuple[list[Row], int]:
    """The readable rows of a file of answers, in order, and how many lines were torn; ([], 0) where there is no file.

    A row is readable when it is an object with texts `id` and `asked`, and either `text` or a list `missing`; and what
    it says besides of frames, tokens and the end is such.
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


class _Book:
    """The rows that are known, in memory and on disk: this process's new ones are in `path` if it is the first, else in
    a file beside it, so that a kill loses none."""

    def __init__(self, path: Path, rows: dict[str, Row], total: int, label: str) -> None:
        self.rows = rows
        self._path = path if processes.is_first() else _part(path, processes.rank())
        self._new: list[Row] = []
        self._progress = Progress(label, "answer", total, done=len(rows))

    def __enter__(self) -> "_Book":
        make_folder(self._path.parent)
        with disk_errors(self._path):
            self._stream = self._path.open("ab")
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.close()
        with self._stream, disk_errors(self._path):
            os.fsync(self._stream.fileno())

    def keep(self, row: Row) -> None:
        """Write down a new row."""
        with disk_errors(self._path):
            self._stream.write(_line(row).encode("utf-8"))
            self._stream.flush()
        self.rows[row["id"]] = row
        self._new.append(row)
        self._progress.advance()

    def share(self) -> None:
        """Know what the other processes wrote down; all of them have to come here."""
        self.rows.update((row["id"], row) for rows in processes.gathered(self._new) for row in rows)
        self._new.clear()
        self._progress.reach(len(self.rows))


def _answer_all(policy: Ask, queries: Sequence[Query], book: _Book, views: Path) -> None:
    """Ask until nothing is left; what cannot be shown is set apart once, when the policy first refuses."""
    refusal = None
    try:
        _pass(policy, queries, book, views)
    except DataError as error:
        refusal = error
    book.share()
    if not processes.any_of(refusal is not None):
        return
    left = [each for each in queries if each.id not in book.rows]
    broken = [(each, why) for each in left if (why := _problem(each.prompt, views))]
    if refusal is not None and not broken:
        raise refusal
    if processes.is_first():
        for each, why in broken:
            book.keep({"id": each.id, "missing": [why], "asked": each.mark})
    book.share()
    _pass(policy, queries, book, views)
    book.share()


def _pass(policy: Ask, queries: Sequence[Query], book: _Book, views: Path) -> None:
    """Put what can be shown to the policy and write down what it says to those that are not answered."""
    shown = [each for each in queries if not each.missing and "missing" not in book.rows.get(each.id, ())]
    answered = {index for index, each in enumerate(shown) if each.id in book.rows}
    if len(answered) == len(shown):
        return
    for index, answer in policy([each.prompt for each in shown], views, frozenset(answered)):
        if index in answered or not 0 <= index < len(shown):
            raise RunError(f"the policy gave prompt {index} of {len(shown)} a second answer, or there is no such one")
        answered.add(index)
        book.keep(_answer_row(shown[index], answer))


def _problem(prompt: Prompt, views: Path) -> str | None:
    from indirect_rlvr.evaluation.backends.pictures import problem

    return problem(prompt, views)


def _row(line: bytes) -> Row | None:
    try:
        row = loads(line.decode("utf-8-sig"), halves=True)
    except ValueError:
        return None
    if not (isinstance(row, dict) and isinstance(row.get("id"), str) and isinstance(row.get("asked"), str)):
        return None
    answers = isinstance(row.get("text"), str) or isinstance(row.get("missing"), list)
    counted = all(type(count) is int and count >= 0 for count in (row.get("tokens", 0), row.get("prompt_tokens", 0)))
    said = counted and isinstance(row.get("finished", True), bool) and frames_of(row.get("frames")) is not None
    return row if answers and said else None


def _kept(path: Path, marks: Mapping[str, str], keep_others: bool) -> dict[str, Row]:
    """The rows that answer what is asked now, those of processes that were killed among them. The file is rewritten,
    atomically, where lines have to come or go."""
    rows, torn = read(path)
    parts = sorted(path.parent.glob(glob.escape(_part(path, "").name) + "*"))
    rows += [row for part in parts for row in read(part)[0]]
    kept = {row["id"]: row for row in rows if marks.get(row["id"]) == row["asked"]}
    if parts:
        kept = {name: kept[name] for name in marks if name in kept}  # the order that `_settle` gives
    others = [row for row in rows if keep_others and row["id"] not in marks]
    unended = path.exists() and path.read_bytes()[-1:] not in (b"\n", b"")
    if parts or torn or unended or len(kept) + len(others) < len(rows):
        write_text(path, "".join(map(_line, [*others, *kept.values()])))
    for part in parts:
        part.unlink()
    return kept


def _settle(path: Path, queries: Sequence[Query], rows: Mapping[str, Row], keep_others: bool) -> None:
    """Of several processes the first writes all their rows into `path`, in the order of the questions."""
    if processes.count() == 1:
        return
    if processes.is_first():
        asked = {each.id for each in queries}
        others = [row for row in read(path)[0] if keep_others and row["id"] not in asked]
        write_text(path, "".join(map(_line, [*others, *(rows[each.id] for each in queries)])))
    processes.wait()
    if not processes.is_first():
        _part(path, processes.rank()).unlink()


def _part(path: Path, number: int | str) -> Path:
    return path.with_name(f".{path.name}.part-{number}")


def _answer_row(asked: Query, answer: Answer) -> Row:
    counted = {"prompt_tokens": answer.prompt_tokens} if answer.prompt_tokens else {}
    return {
        "id": asked.id, "text": answer.text, "frames": [list(frame) for frame in answer.frames],
        "tokens": answer.tokens, "finished": answer.finished, "asked": asked.mark, **counted,
    }  # fmt: skip


def _line(row: Row) -> str:
    """A row as one line of valid UTF-8: half a surrogate pair, which models do write, becomes its JSON escape."""
    text = json.dumps(row, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"
