"""What hostile input may do: end in a result or in one of our errors, in time, and write inside its folder alone."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

from indirect_rlvr.errors import RlvrError

SECONDS = 20.0
"""Processor time after which an input hangs; every one of them takes milliseconds."""
LONGEST = 4000
"""Characters of a message at most."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGES = {"os.rename": ((0, 2), (1, 3)), "os.remove": ((0, 1),), "os.mkdir": ((0, 2),), "os.rmdir": ((0, 1),),
           "os.link": ((1, 3),), "os.symlink": ((1, 2),), "os.truncate": ((0, 0),),
           "shutil.rmtree": ((0, 1),)}  # fmt: skip
"""Events, and where in their arguments a path stands and the folder it is relative to."""
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"}


class Writes:
    """Every file that this process writes, makes, moves or removes, and every program or connection it starts."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.seen is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITING and isinstance(path, (str, bytes, os.PathLike)):
                self.seen.append(os.path.realpath(os.fsdecode(path)))
        elif event in CHANGES:
            self.seen += [_resolved(arguments[at], arguments[of]) for at, of in CHANGES[event]]
        elif event in PROGRAMS:
            self.seen.append(f"{event} {arguments}")


def _resolved(path: object, folder: object) -> str:
    """A path that may be relative to an open folder."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        return ""
    base = Path(f"/proc/self/fd/{folder}" if isinstance(folder, int) and folder >= 0 else ".")
    return os.path.realpath(base.resolve() / os.fsdecode(path))


WRITES = Writes()


def survives(call: Callable[[], object], folder: Path) -> object:
    """The result of `call`, or None where it refused its input; anything else it does is an AssertionError."""
    try:
        with watched(folder), limited():
            return call()
    except RlvrError as error:
        message = str(error)
        assert message.strip(), "an empty message"
        assert len(message) <= LONGEST, f"a message of {len(message)} characters: {message[:200]}"
        return None


@contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Fail where anything outside `folder` is written, but for what libraries keep in the temporary folder."""
    WRITES.seen = []
    try:
        yield
    finally:
        seen, WRITES.seen = WRITES.seen, None
    inside = os.path.realpath(folder)
    temporary = os.path.realpath(gettempdir()) + os.sep + "tmp"
    outside = [path for path in seen if path and not path.startswith((inside, temporary, "/dev/null", "/proc/self"))]
    assert not outside, f"written outside {folder}: {outside[:3]}"


@contextmanager
def limited() -> Iterator[None]:
    """Fail where the block takes more than SECONDS of processor time."""

    def hangs(*_: object) -> None:
        raise AssertionError(f"hangs: more than {SECONDS:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, hangs)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
