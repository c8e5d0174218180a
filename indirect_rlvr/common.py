"""What the processes of a run must have in common before the first stage: command, recipe, packages, run folder.

One process alone has it all in common with itself.
"""

import os
import platform
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from indirect_rlvr import manifest, processes
from indirect_rlvr.config import Recipe
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.redaction import redacted
from indirect_rlvr.run import digest, write_text

SEEN = ".seen"
THEIRS = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")
"""What accelerate's launcher sets where its own configuration shards models."""
SECONDS = 90.0
"""How long a file may take to be seen on another machine: network file systems remember for up to a minute that
something was not there."""


def require_same(recipe: Recipe, pack: str, command: Sequence[object]) -> None:
    """Raise ConfigError, on every process, where one was given another recipe or command or has other packages, or
    where the launcher wants to shard models by itself.

    `pack` is the distribution of the domain, `command` the rest of what was given.
    """
    if processes.count() == 1:
        return
    for name in THEIRS:
        if os.environ.get(name, "").lower() in ("true", "1"):
            raise ConfigError(
                f"the launcher sets {name}, by its own configuration; say how models are sharded in `[parallel]` of "
                "the recipe, and start the processes with torchrun, rlvr run --nproc, or accelerate launch --multi_gpu"
            )
    mine = {f"`{name}` of the recipe": digest(value) for name, value in redacted(recipe.model_dump()).items()}
    mine |= {"the command": digest(command), "Python": platform.python_version()} | manifest.versions(pack)
    everyone = processes.gathered((platform.node(), mine))
    for number, (host, theirs) in enumerate(everyone):
        other = sorted(name for name in {*theirs, *everyone[0][1]} if theirs.get(name) != everyone[0][1].get(name))
        if other:
            raise ConfigError(
                f"process {number} on {host} differs from process 0 on {everyone[0][0]} in {', '.join(other):.500}; "
                "give the same command on every machine, with the same packages installed"
            )


def require_shared(folder: Path) -> None:
    """Raise RunError, on every process, where one of them does not see what the first writes into `folder`."""
    if processes.count() == 1:
        return
    path = folder / SEEN
    word = processes.agreed(secrets.token_hex(8))
    if processes.is_first():
        write_text(path, word)
    processes.wait()
    everyone = processes.gathered((platform.node(), _sees(path, word)))
    if processes.is_first():
        path.unlink()
    blind = sorted({host for host, sees in everyone if not sees})
    if blind:
        raise RunError(
            f"`{folder}` on {', '.join(blind)} is not the folder of that name on {everyone[0][0]}, where the first "
            "process runs; give --out a folder on a file system that every machine mounts at the same place"
        )


def _sees(path: Path, word: str) -> bool:
    until = time.monotonic() + SECONDS
    while True:
        try:
            if path.read_text(encoding="utf-8") == word:
                return True
        except OSError:
            pass
        if time.monotonic() >= until:
            return False
        time.sleep(0.1)
