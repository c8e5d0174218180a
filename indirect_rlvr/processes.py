"""Which of the processes of a run this one is, and how they wait for each other; a run alone is process 0 of 1.

Launchers (torchrun, accelerate, SLURM with either) say so in the environment, by the names PyTorch reads. Nothing here
imports torch for a process that is alone.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from indirect_rlvr.errors import RlvrError, RunError

T = TypeVar("T")
PATIENCE = timedelta(days=2)
"""How long a process waits for the first one, which may be mining or writing while the others have nothing to do."""
ARRIVAL = timedelta(minutes=30)
"""How long the processes that are there wait for the last one at the beginning."""
GRACE = 3.0
"""Seconds for which another process that fails lets the first one speak, which mostly fails of the same."""
FAILURE = "failure"

_store: Any = None
"""What the processes share beside their group: it still answers when one of them is gone."""
_is_alone = False


def rank() -> int:
    """The number of this process among all, from 0 on."""
    return 0 if _is_alone else int(os.environ.get("RANK", "0"))


def count() -> int:
    """Processes of the run, over all machines."""
    return 1 if _is_alone else int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def alone() -> Iterator[None]:
    """Within the block this process is number 0 of 1: for what the first one does while the others wait for it."""
    global _is_alone
    before, _is_alone = _is_alone, True
    try:
        yield
    finally:
        _is_alone = before


def local_rank() -> int:
    """The number of this process among those of its machine, from 0 on: it has the GPU of that number."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_first() -> bool:
    """Whether this is the process that writes what all share."""
    return rank() == 0


def join() -> None:
    """Meet the other processes, and take this one's GPU where there are some; nothing alone, or a second time.

    Raises RunError where they do not all come, or there are more processes than GPUs on this machine.
    """
    global _store
    if count() == 1:
        return
    import torch
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if torch.distributed.is_initialized():
        return
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
        _take_gpu(torch.cuda.device_count())
        torch.cuda.set_device(local_rank())
    try:
        _store, number, size = next(rendezvous("env://", timeout=ARRIVAL))
        within = PrefixStore("group", _store)
        torch.distributed.init_process_group(backend, store=within, rank=number, world_size=size, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:  # torch.distributed.DistError is a RuntimeError
        raise RunError(
            f"process {rank()} of {count()} did not meet the others: {error}; see that the launcher's "
            "MASTER_ADDR and MASTER_PORT can be reached from every machine, and that it starts them all"
        ) from error


def leave() -> None:
    """Part from the others at the end of a run that went well.

    They meet at the store last: of three processes one may be through with waiting for the group while the others are
    not, and would break their connections by going. The first one goes after the others: it may hold the store.
    """
    global _store
    if count() == 1:
        return
    import torch

    wait()
    _store.set(f"through {rank()}", "")
    _store.wait([f"through {each}" for each in range(count())], ARRIVAL)
    torch.distributed.destroy_process_group()
    _store.set(f"gone {rank()}", "")
    if is_first():
        _store.wait([f"gone {each}" for each in range(count())], ARRIVAL)
    _store = None


def end(ended: SystemExit) -> NoReturn:
    """End this process as `ended` says.

    One of several ends at once after what was registered for the end: threads of PyTorch's that are still there when
    Python takes itself apart abort it now and then, after a run that went well ("terminate called without an active
    exception").
    """
    if count() == 1 or not isinstance(ended.code, int | None):
        raise ended
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended.code or 0)


def wait() -> None:
    """Go on when every process has come here."""
    if count() > 1:
        gathered(None)


def agreed(value: T) -> T:
    """The first process's value, for all; JSON-like values only."""
    if count() == 1:
        return value
    import torch

    held = [value]
    with losses():
        torch.distributed.broadcast_object_list(held, src=0, device=torch.device("cpu"))
    return held[0]


def by_first(do: Callable[[], T]) -> T:
    """What `do` gives in the first process, which alone does it, for all; an RlvrError there is raised in all."""
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
    with losses():
        torch.distributed.all_gather_object(held, value)
    return held


@contextmanager
def losses() -> Iterator[None]:
    """Within the block a broken connection to another process is a RunError that says what happened."""
    try:
        yield
    except RuntimeError as error:
        if count() == 1 or not _is_loss(error):
            raise
        raise RunError(
            "another process of the run ended; finished stages and the newest checkpoint are kept: the same command "
            "continues there"
        ) from error


def speaks(code: int) -> tuple[bool, int]:
    """Whether this process, which fails with exit code `code`, is the one that says why, and the code of all of them.

    The first one speaks where it fails too, else whichever fails before the others.
    """
    if _store is None:
        return True, code
    try:
        until = time.monotonic() + (0.0 if is_first() else GRACE)
        while time.monotonic() < until and not _store.check([FAILURE]):
            time.sleep(0.05)
        mine = f"{rank()} {code}"
        said = _store.compare_set(FAILURE, "", mine).decode()
        return said == mine, int(said.split()[1])
    except RuntimeError:  # whoever held the store is gone
        return True, code


def _is_loss(error: RuntimeError) -> bool:
    import torch

    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error) or "closed by peer" in str(error)


def _take_gpu(there: int) -> None:
    if local_rank() >= there:
        raise RunError(
            f"process {rank()} is number {local_rank()} of its machine, which has {there} GPUs, counted from 0: start "
            "at most as many processes as there are GPUs"
        )
