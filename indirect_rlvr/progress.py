"""How far a job is: a bar on a terminal; in a pipe or a file a line now and then, and nothing that redraws."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TextIO, TypeVar

import psutil
from tqdm import tqdm

from indirect_rlvr import processes

T = TypeVar("T")

EVERY = 30.0
"""Seconds between two lines, where that much is 1 % of the job or more."""
AT_LEAST = 600.0
"""Seconds after which a line comes however little was done."""

tqdm.monitor_interval = 0  # no thread to redraw a bar that stands still


class Progress:
    """`label`: so many of `total` units are done, where `total` is known; `done` of them were at the beginning.

    Writes to standard error, or to `stream`; of several processes the first one only. The rate counts only what was
    done since the beginning.
    """

    def __init__(
        self,
        label: str,
        unit: str,
        total: int | None = None,
        *,
        done: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._unit, self._total, self._start, self._done = label, unit, total, done, done
        self._stream, self._clock = stream or sys.stderr, clock
        self._began = self._said = clock()
        self._said_done = done
        self._bar: Any = None
        if self._stream.isatty() and processes.is_first():
            self._bar = tqdm(
                total=total, initial=done, desc=label, unit=unit, dynamic_ncols=True, leave=False, file=self._stream
            )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def reach(self, done: int, facts: Mapping[str, float] | None = None) -> None:
        """So much is done now; `facts` are shown beside it."""
        if self._bar is not None:
            self._bar.set_postfix({**(facts or {}), "memory": memory()}, refresh=False)
            self._bar.update(done - self._done)
        self._done = done
        now = self._clock()
        if self._bar is None and processes.is_first() and self._due(now):
            self._stream.write(self._line(now, facts or {}) + "\n")
            self._stream.flush()
            self._said, self._said_done = now, done

    def advance(self, by: int = 1, facts: Mapping[str, float] | None = None) -> None:
        """So much more is done."""
        self.reach(self._done + by, facts)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _due(self, now: float) -> bool:
        waited = now - self._said
        enough = self._total is None or (self._done - self._said_done) * 100 >= self._total
        return waited >= AT_LEAST or (waited >= EVERY and enough)

    def _line(self, now: float, facts: Mapping[str, float]) -> str:
        rate = (self._done - self._start) / (now - self._began) if now > self._began else 0.0
        of = f" of {self._total:,}" if self._total is not None else ""
        parts = [f"{self._label}: {self._done:,}{of} {self._unit}s", speed(rate, self._unit)]
        if self._total is not None and rate > 0:
            parts.append(f"{duration((self._total - self._done) / rate)} left")
        parts += [f"{name} {value:.4g}" for name, value in facts.items()]
        return ", ".join([*parts, f"memory {memory()}"])


def each(items: Iterable[T], label: str, unit: str, total: int | None = None) -> Iterator[T]:
    """The items, one by one, and how far it is."""
    with Progress(label, unit, total) as progress:
        for item in items:
            yield item
            progress.advance()


def facts(line: Mapping[str, Any]) -> dict[str, float]:
    """Of the metrics of a training step those to show: loss, reward, the mean of each of its terms, length."""
    terms = {key: key.split("/")[1] for key in line if key.startswith("rewards/") and key.endswith("/mean")}
    names = {"loss": "loss", "reward": "reward", **terms, "completions/mean_length": "mean_length"}
    return {name: line[key] for key, name in names.items() if isinstance(line.get(key), (int, float))}


def speed(rate: float, unit: str) -> str:
    """A rate in words, for example "2.5 steps/s", or "14 s/step" where it is below one a second."""
    if 0 < rate < 1:
        return f"{1 / rate:.3g} s/{unit}"
    return f"{rate:.3g} {unit}s/s"


def duration(seconds: float) -> str:
    """A time in words, for example "2 d 3 h", "1 h 05 min" or "40 s"."""
    minutes, hours = int(seconds // 60), int(seconds // 3600)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    return f"{minutes} min {int(seconds % 60):02} s" if minutes else f"{seconds:.0f} s"


def memory() -> str:
    """The memory of this process, in words."""
    return size(psutil.Process().memory_info().rss)


def size(count: float) -> str:
    """A number of bytes in words, for example "1.4 GB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def tell(line: str) -> None:
    """A line for people on standard error, above a bar that stands there."""
    tqdm.write(line, file=sys.stderr)
