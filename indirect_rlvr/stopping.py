"""Ctrl-C, SIGTERM and SIGHUP: an end at once, or within a training at its next boundary, with a checkpoint.

The first signal within a training asks for the end, the second one does not wait for it. Launchers and batch systems
may send the same SIGTERM twice, to a process and to its group: what follows at once counts as the first. SIGHUP is what
a lost terminal sends; under nohup it stays without effect.
"""

import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from indirect_rlvr import processes

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TWICE = 5.0
"""Seconds after a first SIGTERM or SIGHUP within which another one is the same."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP, as `number` says, where Ctrl-C is a KeyboardInterrupt."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Stop:
    """Whether a signal has asked for the end, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def asked(self) -> bool:
        return self.signal is not None

    def shared(self) -> bool:
        """Whether any process was asked, which all then know; every process must ask."""
        heard = [signal for signal in processes.gathered(self.signal) if signal is not None]
        self.signal = heard[0] if heard else None
        return self.asked

    def raise_if_asked(self) -> None:
        """Raise what the signal would have raised, in every process; every process must ask."""
        if self.shared() and self.signal is not None:
            _raise(self.signal, None)


@contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise Terminated; outside the main thread it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with _handled(_raise, (signal.SIGTERM, signal.SIGHUP)):
        yield


@contextmanager
def deferred() -> Iterator[Stop]:
    """Within the block the first signal is noted in the Stop; after it they raise again."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    noted: float | None = None

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        _leave(number)
        if noted is None:  # the stop itself may have been asked for by another process
            stop.signal, noted = number, time.monotonic()
        elif number == signal.SIGINT or time.monotonic() > noted + TWICE:
            _raise(number, frame)

    with _handled(note, SIGNALS):
        yield stop


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals]) -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in numbers}
    if before.get(signal.SIGHUP) == signal.SIG_IGN:  # under nohup
        del before[signal.SIGHUP]
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _raise(number: int, frame: FrameType | None) -> None:
    _leave(number)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)


def _leave(number: int) -> None:
    """After SIGHUP what is said to a terminal goes nowhere: it is gone, and to write to it would fail."""
    if number != signal.SIGHUP:
        return
    with Path(os.devnull).open("w") as nowhere:
        for descriptor in (1, 2):
            with suppress(OSError):  # closed from the beginning
                if stat.S_ISCHR(os.fstat(descriptor).st_mode):
                    os.dup2(nowhere.fileno(), descriptor)
