"""Ends modules that are commands of their own (`python -m …`) as `rlvr` ends: a count, or one line of what is wrong."""

import sys
from collections.abc import Callable, Sequence

from indirect_rlvr.errors import RlvrError


def command(main: Callable[[Sequence[str]], int], what: str) -> None:
    """Give `main` the arguments of the command line, and say how many of `what` it made; exits with 1 where it raises
    an error of ours."""
    try:
        print(f"{main(sys.argv[1:])} {what}")
    except RlvrError as error:
        sys.exit(f"{type(error).__name__}: {error}")
