"""`rlvr status`: arguments in, one function call of the package, text out."""

import json
from pathlib import Path
from typing import Annotated

import typer


def status(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; nothing in it is changed.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show how far a run is, while it runs and after.

    Stages, steps, rate, time left, rewards, memory, disk.

    \b
    rlvr status runs/geo
    watch rlvr status runs/geo
    """
    from indirect_rlvr.reporting import status as reporting

    found = reporting.status(folder)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else reporting.text(found))
