"""`rlvr audit`: arguments in, one function call of the package, text out."""

import json
from pathlib import Path
from typing import Annotated

import typer


def audit(
    path: Annotated[Path, typer.Argument(metavar="RUN_OR_TASKS", help="A run folder, or a .jsonl file of tasks.")],
    views: Annotated[
        Path | None,
        typer.Option("--records", metavar="FOLDER", help="Where images and records.jsonl lie; ./records if not given."),
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", "-d", help="An installed domain, for tasks that are not in a run.")
    ] = None,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Report findings and put on record that they were overridden.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole audit as JSON.")] = False,
) -> None:
    """See whether tasks can be won without the query.

    Shortcut probes, splits and controls need no model. audit.json is written beside the tasks. Exit code 1 where they
    leak or are not legal.

    \b
    rlvr audit runs/geo
    rlvr audit made/elsewhere/tasks.jsonl --records made/elsewhere --json
    """
    from indirect_rlvr.audit_run import audit_path, summary

    report = audit_path(path, views, domain, allow_leaks, lambda line: typer.echo(line, err=True))
    typer.echo(json.dumps(report, indent=2, ensure_ascii=False) if as_json else summary(report))
