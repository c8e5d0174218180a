"""A probe of a domain's own: what the audit is told to try beside its own probes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.types import ProxyTask

SEMANTICS = "semantics"
"""What an oracle sees; it is reported beside the probes and never refused."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A number for each candidate, in their order; the audit learns which of its ranks is right, across clusters.

    `sees` says in a word or two what the numbers are made of. They must not be made of what decides the answer, unless
    `sees` is "semantics": that is the pack's oracle, which shows what can be won. `measure` gets the folder of images.
    """

    name: str
    sees: str
    measure: Callable[[ProxyTask, Path], Sequence[float]]
