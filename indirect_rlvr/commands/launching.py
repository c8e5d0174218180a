"""The option --nproc of the commands that several processes can do together."""

import sys
from typing import Annotated

import typer

Nproc = Annotated[
    int, typer.Option("--nproc", min=1, max=1024, help="So many processes on this machine, each with a GPU of its own.")
]


def started(count: int) -> bool:
    """Do this command in `count` processes to the end; False, and nothing done, where one process is asked for.

    Raises typer.Exit with their exit code where they fail.
    """
    if count == 1:
        return False
    from indirect_rlvr import launch

    launch.require_possible(count)
    code = launch.start(launch.without_own(sys.argv[1:]), count)
    if code:
        raise typer.Exit(code)
    return True
