"""One run at a time in one folder: the second is refused with the name of the first.

The lock is the operating system's, so it ends with its process, however that ends: a lock file that is left behind
after a crash or a power cut locks nobody out.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from indirect_rlvr.errors import RunError
from indirect_rlvr.foreign import loads
from indirect_rlvr.redaction import redacted_text
from indirect_rlvr.run import disk_errors, make_folder, write_json

LOCK, OWNER = ".lock", ".owner.json"


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process while the block runs; the folder is made where it is missing.

    Raises RunError that names process, host and start of whoever holds it.
    """
    make_folder(folder)
    with disk_errors(folder):
        lock = FileLock(folder / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunError(
                f"`{folder}` is in use by {owner(folder)}; wait for it, stop it, or choose another folder with --out"
            ) from error
    try:
        write_json(folder / OWNER, _self())
        yield
    finally:
        with suppress(OSError):  # a folder that turned read-only must not hide what stopped the run
            (folder / OWNER).unlink(missing_ok=True)
        lock.release()


def owner(folder: Path) -> str:
    """Whoever holds the folder, or held it last without an end, in words; "another process" where that is not known."""
    try:
        found = loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {found['pid']} on {found['host']} since {found['since']} (`{found['command']}`)"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def began(process: psutil.Process) -> float:
    """When a process began, in seconds after the machine did: the same whatever is done to the clock."""
    return float(round(process.create_time() - psutil.boot_time(), 2))


def _self() -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "host": platform.node(),
        "began": began(psutil.Process()),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": redacted_text(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]))[:200],
    }
