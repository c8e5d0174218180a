"""`rlvr data difficulty`: arguments in, one function call of the package, text out."""

import json
from pathlib import Path
from typing import Annotated

import typer


def difficulty(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with finished tasks.")],
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="PATH", help="A model folder, or a .jsonl file of rollouts or predictions."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE.svg", help="Draw them too.")] = None,
) -> None:
    """Show accuracy against difficulty.

    It is that of every evaluated row of a run, or of one model.

    \b
    rlvr data difficulty runs/geo --out difficulty.svg
    rlvr data difficulty runs/geo --model runs/other/grpo
    rlvr data difficulty runs/geo --model runs/geo/grpo/rollouts.jsonl --json
    """
    from indirect_rlvr.evaluation.difficulty import against
    from indirect_rlvr.reporting.difficulty import picture, text
    from indirect_rlvr.run import write_text

    found = against(folder, model)
    if out is not None:
        write_text(out, picture(found) + "\n")
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text(found))
