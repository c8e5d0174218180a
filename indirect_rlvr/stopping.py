"""Ctrl-C and SIGTERM: an end at once, or within a training at its next boundary, with a checkpoint.

The first signal within a training asks for the end, the second one does not wait for it. Launchers and batch systems
may send the same SIGTERM twice, to a process and to its group: what follows at once counts as the first.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from indirect_rlvr import processes

SIGNALS = (signal.SIGINT, signal.SIGTERM)
TWICE = 5.0
"""Seconds after a first SIGTERM within which another one is the same."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, where Ctrl-C is a KeyboardInterrupt."""


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
    """Within the block SIGTERM raises Terminated; outside the main thread it changes nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def deferred() -> Iterator[Stop]:
    """Within the block the first Ctrl-C or SIGTERM is noted in the Stop; after it they raise again."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = [signal.getsignal(number) for number in SIGNALS]
    noted: float | None = None

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted is None:  # the stop itself may have been asked for by another process
            stop.signal, noted = number, time.monotonic()
        elif number == signal.SIGINT or time.monotonic() > noted + TWICE:
            _raise(number, frame)

    try:
        for number in SIGNALS:
            signal.signal(number, note)
        yield stop
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
