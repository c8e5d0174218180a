"""Starts the processes of a run: on this machine through PyTorch's elastic launcher, or as a script for SLURM.

The processes are the same command without the options of this file; they learn who they are from the environment, as
under any other launcher. What ends one ends all, and the exit code is that of the first to fail.
"""

import logging
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.multiprocessing import (
    DefaultLogsSpecs,
    PContext,
    ProcessFailure,
    SignalException,
    start_processes,
)

from indirect_rlvr.errors import ConfigError, RunError

OPTIONS = ("--nproc", "--nodes", "--emit")
"""What is for the launcher, each with a value, and not for the processes."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HOST = "127.0.0.1"
AT_MOST = 1024
"""Processes of one machine."""
BOUNDARY = 3600
"""Seconds for which processes that were told to end may go on to the end of their step, to leave a checkpoint."""
AT_ONCE = 30
"""The same after a second signal."""
AT_A_TIME = 5
"""Seconds within which failures belong together; those that follow are of processes that were told to end."""
SLURM_NOTICE = 120
"""Seconds before its end at which SLURM tells a job."""
SLURM_PORT = 29500

SLURM = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={count}
#SBATCH --signal=TERM@{notice}
#SBATCH --requeue
#SBATCH --open-mode=append
# Give your site's --partition, --account, --time, --cpus-per-task and --mem here or to sbatch. The run folder has to be
# on a file system that all nodes see. A training stops with a checkpoint {notice} s before its time is over, if its
# step ends by then; submit the same script again, and it goes on.
set -euo pipefail
cd {here}
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT={shutdown}
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --kill-on-bad-exit=1 \\
    {python} -m torch.distributed.run --nnodes={nodes} --nproc-per-node={count} --max-restarts=0 \\
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first:{port}" \\
    -m indirect_rlvr {arguments}
"""


def require_possible(count: int) -> None:
    """Raise ConfigError where `count` processes cannot be started here: a launcher is at work already, or there are
    GPUs and fewer of them."""
    if "RANK" in os.environ or "WORLD_SIZE" in os.environ:
        raise ConfigError(
            f"--nproc {count} was given to one of the processes that a launcher has started (WORLD_SIZE is "
            f"{os.environ.get('WORLD_SIZE', 'not set')}); leave --nproc out: the launcher says how many there are"
        )
    gpus = torch.cuda.device_count()
    if gpus and count > gpus:
        raise ConfigError(
            f"--nproc {count} asks for {count} GPUs, one for each process, and this machine has {gpus}; give --nproc "
            f"{gpus}, with the batches of the recipe to match, or a machine with more"
        )


def start(arguments: Sequence[str], count: int) -> int:
    """Run `rlvr ARGUMENTS` in `count` processes on this machine to the end; returns the exit code of all of them.

    A signal goes to each process: after the first one they may come to the end of their step (`BOUNDARY`), after the
    second they have to end. Raises RunError where a process was killed.
    """
    logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.elastic.multiprocessing.redirects").setLevel(logging.CRITICAL)
    heeded = [number.name for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # not under nohup
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = ",".join(heeded)
    store = TCPStore(HOST, 0, is_master=True, wait_for_workers=False)
    command = (*_switches(), "-m", "indirect_rlvr", *arguments)
    with TemporaryDirectory(prefix="rlvr-") as logs:
        context = start_processes(
            name="rlvr",
            entrypoint=sys.executable,
            args=dict.fromkeys(range(count), command),
            envs={rank: _environment(rank, count, store.port) for rank in range(count)},
            logs_specs=DefaultLogsSpecs(log_dir=logs),
        )
        try:
            result = context.wait(period=0.1)
        except SignalException as error:
            return _end(context, error.sigval)
    assert result is not None  # without a timeout it waits for the end
    return _code(result.failures, count)


def without_own(arguments: Sequence[str]) -> list[str]:
    """The arguments for the processes: those without `OPTIONS`."""
    left: list[str] = []
    given = iter(arguments)
    for argument in given:
        if argument in OPTIONS:
            next(given, None)
        elif argument.partition("=")[0] not in OPTIONS:
            left.append(argument)
    return left


def slurm(arguments: Sequence[str], name: str, count: int, nodes: int) -> str:
    """An sbatch script that runs `rlvr ARGUMENTS` in `count` processes on each of `nodes` machines; nothing is run."""
    return SLURM.format(
        name=shlex.quote(name),
        nodes=nodes,
        count=count,
        notice=SLURM_NOTICE,
        shutdown=SLURM_NOTICE - 10,
        here=shlex.quote(str(Path.cwd())),
        python=shlex.quote(sys.executable),
        port=SLURM_PORT,
        arguments=shlex.join(arguments),
    )


def _switches() -> list[str]:
    """What was said to this Python; and modules are not looked for in the working folder, as for `rlvr` itself."""
    warnings = [part for given in sys.warnoptions for part in ("-W", given)]
    return ["-P", *(["-B"] if sys.dont_write_bytecode else []), *warnings]


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What PyTorch's launchers tell a process; the store it meets the others by is this process's own."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
    where = {"MASTER_ADDR": HOST, "MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": True}
    return {name: str(value) for name, value in {**own, **where}.items()}


def _end(context: PContext, number: signal.Signals) -> int:
    """Pass a signal on, and those that follow it; a closed terminal is like SIGTERM."""
    first, patience = number, BOUNDARY
    while True:
        try:
            context.close(signal.SIGTERM if number == signal.SIGHUP else number, patience)
            return 128 + first
        except SignalException as error:
            number, patience = error.sigval, AT_ONCE


def _code(failures: Mapping[int, ProcessFailure], count: int) -> int:
    """The exit code of the first process that failed, 0 if none did; raises RunError where it was killed."""
    if not failures:
        return 0
    began = next(iter(failures.values())).timestamp
    causes = [each for each in failures.values() if each.timestamp <= began + AT_A_TIME]
    for each in causes:
        if each.exitcode < 0 and each.exitcode != -signal.SIGTERM:
            raise RunError(
                f"process {each.local_rank} of {count} was ended by {signal.Signals(-each.exitcode).name}; if nobody "
                "did that, the machine's log says whether its memory was full. The same command continues where the "
                "run stopped"
            )
    return next((each.exitcode for each in causes if each.exitcode > 0), 128 + signal.SIGTERM)
