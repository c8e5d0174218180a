"""Which of the processes of a run this one is, and how they wait for each other; a run alone is process 0 of 1.

Launchers (torchrun, accelerate, SLURM with either) say so in the environment, by the names PyTorch reads. Nothing here
imports torch for a process that is alone.
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from indirect_rlvr.errors import RlvrError

T = TypeVar("T")
PATIENCE = timedelta(days=2)
"""How long a process waits for the first one, which may be mining or writing while the others have nothing to do."""


def rank() -> int:
    """The number of this process among all, from 0 on."""
    return int(os.environ.get("RANK", "0"))


def count() -> int:
    """Processes of the run, over all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this is the process that writes what all share."""
    return rank() == 0


def join() -> None:
    """Meet the other processes; nothing alone, or a second time."""
    if count() == 1:
        return
    import torch

    if not torch.distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, timeout=PATIENCE)


def wait() -> None:
    """Go on when every process has come here."""
    if count() > 1:
        agreed(None)


def agreed(value: T) -> T:
    """The first process's value, for all; JSON-like values only."""
    if count() == 1:
        return value
    import torch

    held = [value]
    torch.distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
    return held[0]


def by_first(do: Callable[[], T]) -> T:
    """What `do` gives in the first process, which alone does it, for all: plain values or frozen data of ours. An
    RlvrError that it raises is raised in all."""
    if count() == 1:
        return do()
    done: T | None = None
    failed: RlvrError | None = None
    if is_first():
        try:
            done = do()
        except RlvrError as error:
            failed = error
    given, raised = agreed((done, failed))
    if raised is not None:
        raise raised
    return given  # type: ignore[return-value]


def any_of(value: bool) -> bool:
    """Whether it is so in any process; every process must ask."""
    return any(gathered(value))


def gathered(value: T) -> list[T]:
    """Every process's value, in order of rank, for all; JSON-like values only."""
    if count() == 1:
        return [value]
    import torch

    held: list[T] = [value] * count()
    torch.distributed.all_gather_object(held, value)
    return held
