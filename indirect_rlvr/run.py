"""The run folder: its manifest, its files written atomically, its keyed randomness.

Every file of a run is JSON, JSON lines, an image or safetensors; nothing is pickled. A stage is complete when the
manifest says so, and the manifest is replaced atomically, so a torn stage is never taken for a finished one.
"""

import dataclasses
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.foreign import loads

MANIFEST = "manifest.json"
IDENTITY = "identity.json"
"""What a training depends on, in its folder until it is marked as finished."""
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR)
"""Errors of the disk, not of ours: full, over a quota or limit, read-only, not permitted, a file for a folder."""

MEND = "mend it, or write it again (what a stage of a run made: `rlvr run` with --from and that stage)"
"""What to do about a file that cannot be read; it may be the user's own, so nobody is told to delete it."""


def keyed_rng(seed: int, *key: object) -> Random:
    """A generator that depends on (seed, key) alone, so that any single item can be rebuilt alone."""
    text = "\x1f".join(str(part) for part in (seed, *key))
    return Random(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big"))


def digest(value: object) -> str:
    """SHA-256 of a JSON-serialisable value, in hexadecimal; equal values give equal digests."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes in hexadecimal; of a folder: of its file names and their digests, in order of name."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest([[file.relative_to(path).as_posix(), file_digest(file)] for file in files])
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a failing disk into one message: full, read-only or not permitted."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK:
            raise
        raise RunError(
            f"cannot write `{path}`: {error.strerror or error}; free space or choose another folder with --out, "
            "then give the same command again: finished stages are kept"
        ) from error


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it where they are missing.

    Raises RunError where the disk is full, read-only or not permitted, or no folder can be made there, as in /proc.
    """
    with disk_errors(folder):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileNotFoundError as error:
            raise PermissionError(errno.EPERM, "no folder can be made there") from error


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: all of it or nothing.

    Raises RunError where the disk is full, read-only or not permitted.
    """
    beside = _beside(path)
    make_folder(path.parent)
    with disk_errors(path):
        try:
            with beside.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically; NaN and infinities are refused."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[object]) -> int:
    """Write one JSON value per line, atomically; returns the number of lines."""
    lines = [json.dumps(plain(row), ensure_ascii=False, allow_nan=False) for row in rows]
    write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)


def read_json(path: Path) -> Any:
    """Read a JSON file; raises DataError that names the file where it is missing or not JSON."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read `{path}` as JSON: {error}; {MEND}") from error


def read_jsonl(path: Path) -> list[Any]:
    """Read JSON lines; raises DataError that names the file, and the line that is not JSON or beyond `foreign`."""
    rows = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                try:
                    rows.append(loads(line))
                except ValueError as error:
                    raise DataError(f"`{path}` line {number} is not JSON: {error}; {MEND}") from error
    except OSError as error:
        raise DataError(
            f"cannot read `{path}`: {error.strerror}; run the stage that writes it first, or mend the path"
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"`{path}` is not UTF-8: {error}; {MEND}") from error
    return rows


def plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as plain JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """A new empty folder that takes the place of `path` only when the block ends well."""
    beside = _beside(path)
    with disk_errors(path):
        shutil.rmtree(beside, ignore_errors=True)
    make_folder(beside)
    try:
        yield beside
        with disk_errors(path):
            if path.exists():
                shutil.rmtree(path)
            beside.replace(path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in `folder`; for whoever holds it alone."""
    for path in list(folder.rglob(".*")):
        if not re.fullmatch(r"\..+\.[0-9]+", path.name):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Remove from a training's folder what it could still be gone on from; for whoever has marked it as finished."""
    identity = folder / IDENTITY
    if identity.is_file():
        for checkpoint in folder.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
        identity.unlink()


def _beside(path: Path) -> Path:
    """Where `path` is written before it takes its name: hidden, beside it, of this process alone."""
    return path.with_name(f".{path.name}.{os.getpid()}")
