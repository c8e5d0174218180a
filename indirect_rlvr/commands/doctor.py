"""`rlvr doctor`: arguments in, one function call of the package, text out."""

import json
from pathlib import Path
from typing import Annotated

import typer


def doctor(
    domain: Annotated[str | None, typer.Option("--domain", "-d", help="Also check what a run of it needs.")] = None,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="A recipe of the pack by name, or the path of a .toml file.")
    ] = "default",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value over the recipe; may be given again.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where runs go.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check the installation, and say what to do.

    Packages, GPU, disk, caches, threads, domains, and with --domain what a run needs of them.
    ✓ is well, – is worth knowing, ✗ would stop a run. Exit code 1 where there is a ✗. Nothing is changed.

    \b
    rlvr doctor
    rlvr doctor --domain geo --recipe geo-r1-7b-8xh100 --set records.prepared=data/records
    rlvr doctor --domain geo --recipe my/recipe.toml --json
    """
    from indirect_rlvr import doctor as checks

    found = checks.examine(out, domain, recipe, overrides or [])
    typer.echo(json.dumps(checks.as_json(found), indent=2, ensure_ascii=False) if as_json else checks.text(found))
    raise typer.Exit(1 if any(finding.state == "stops" for finding in found) else 0)
