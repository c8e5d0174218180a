"""What every test starts from: one thread, no network; set before anything imports torch."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

Processes = Callable[..., "list[subprocess.CompletedProcess[str]]"]


@pytest.fixture
def terminal() -> Iterator[None]:
    """SIGHUP as a process of a terminal has it, in what the test starts too; under nohup it would stay ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def in_processes() -> Iterator[Processes]:
    """Runs one Python command line for each process of a run that meets over loopback, to its end.

    The store by which they meet is the test's own, as it is the launcher's.
    """
    from torch.distributed import TCPStore

    all_running: list[subprocess.Popen[str]] = []

    def start(*commands: Sequence[str], folders: Sequence[Path | None] = ()) -> list[subprocess.CompletedProcess[str]]:
        store, running = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False), []
        there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
        for rank, command in enumerate(commands):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(len(commands))}
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", *command],
                env={**os.environ, **there, **own},
                cwd=folders[rank] if folders else None,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.append(process)
            all_running.append(process)
        said = [process.communicate(timeout=300) for process in running]
        return [
            subprocess.CompletedProcess(process.args, process.returncode, *texts)
            for process, texts in zip(running, said, strict=True)
        ]

    yield start
    for process in all_running:
        process.kill()
