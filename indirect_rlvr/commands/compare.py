"""`rlvr compare` and `rlvr transfer-matrix`: evaluation folders in, text and files out; no logic of its own."""

import json
from pathlib import Path
from typing import Annotated

import typer


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE_EVAL", help="What `rlvr eval` wrote for the base.")],
    trained: Annotated[Path, typer.Argument(metavar="TRAINED_EVAL", help="What it wrote for the trained model.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare two evaluations item by item.

    It says which target tasks improved.

    \b
    rlvr compare evaluations/base evaluations/geo-r1
    """
    from indirect_rlvr.evaluation import compare as comparison
    from indirect_rlvr.reporting.columns import columns

    found = comparison.compare(base, trained)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    shown = ("benchmark", "task", "n", "unit", "first", "second", "gain", "test", "p_holm", "verdict")
    typer.echo(columns([{name: row[name] for name in shown} for row in found["tasks"]]))
    typer.echo(found["statement"])
    for one in found["not_compared"]:
        typer.echo(f"not compared: {one['benchmark']} {one['task']}: {one['why']}")


def transfer_matrix(
    base: Annotated[Path, typer.Argument(metavar="BASE_EVAL", help="What `rlvr eval` wrote for the base.")],
    trained: Annotated[list[Path], typer.Argument(metavar="TRAINED_EVAL...", help="The same for each trained model.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for transfer-matrix.json, .md and .svg.")],
) -> None:
    """Write what each model gained on each target task.

    The matrix is written as JSON, table and heat map.

    \b
    rlvr transfer-matrix evaluations/base evaluations/geo evaluations/geo-zero --out matrix
    """
    from indirect_rlvr.evaluation.matrix import matrix
    from indirect_rlvr.reporting.matrix import write

    typer.echo("\n".join(map(str, write(matrix(base, trained), out))))
