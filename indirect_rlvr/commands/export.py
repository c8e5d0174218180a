"""`rlvr export`: a run or a domain in, a folder for another trainer, an evaluation harness or the Hub out."""

import re
import shlex
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from indirect_rlvr.errors import ConfigError

Trainer = Literal["verl", "ms-swift", "verifiers"]
Harness = Literal["lmms-eval", "inspect"]
HARNESSES = ("lmms-eval", "inspect")
HUB = "hub"


def export(
    ecosystem: Annotated[Literal[Trainer, Harness, "hub"], typer.Argument(help="For whom.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_DOMAIN", help="For a trainer a run or a domain, for a harness a domain, for the Hub a run."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder, or an export to replace.")],
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", help="Folder or hub id of the model to train, if a term counts tokens.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="A recipe of the domain; `default` where not given.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value over the recipe; may be given again.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAMES", help="For a harness: suites and benchmarks; or all.")
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option("--data-root", help="For a harness: the folder with a folder for each benchmark.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="For a harness: a sample of so many examples of each.")
    ] = None,
    row: Annotated[str | None, typer.Option("--row", help="For the Hub: a row of the run, else the last.")] = None,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="For the Hub: what you know of the weights' licence.")
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option("--dataset", metavar="ID", help="For the Hub: a source of the records; again."),
    ] = None,
) -> None:
    """Write for another trainer, a harness, or the Hub.

    Trainers (verl and EasyR1, ms-swift, verifiers) get tasks and reward; harnesses (lmms-eval, inspect) target tasks;
    the Hub a row of an evaluated run with its model card; nothing is uploaded.

    \b
    rlvr export verl runs/geo --out exported/verl --tokenizer Qwen/Qwen2.5-VL-7B-Instruct
    rlvr export ms-swift template --out exported/swift --set tasks.train=500
    rlvr export inspect geo --out exported/inspect --suite paper --data-root data
    rlvr export hub runs/geo --out exported/hub --row geo-r1 --license apache-2.0
    """
    published = {"--row": row, "--license": licence, "--dataset": datasets}
    if ecosystem == HUB:
        others = {"--tokenizer": tokenizer, "--recipe": recipe, "--set": overrides, "--suite": suite}
        _refuse(ecosystem, {**others, "--data-root": data_root, "--limit": limit})
        _model(Path(source), out, row, licence, datasets or [])
    elif ecosystem in HARNESSES:
        _refuse(ecosystem, {"--tokenizer": tokenizer, "--set": overrides, **published})
        _tasks(cast(Harness, ecosystem), source, out, recipe or "default", suite or "all", data_root, limit)
    else:
        _refuse(ecosystem, {"--suite": suite, "--data-root": data_root, "--limit": limit, **published})
        _reward(cast(Trainer, ecosystem), source, out, tokenizer, recipe, overrides or [])


def _refuse(ecosystem: str, options: dict[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)} has no meaning for an export to {ecosystem}; leave it out")


def _reward(
    ecosystem: Trainer, source: str, out: Path, tokenizer: str | None, recipe: str | None, overrides: list[str]
) -> None:
    from indirect_rlvr.export import bundle, ms_swift, verifiers, verl

    write = {"verl": verl.export, "ms-swift": ms_swift.export, "verifiers": verifiers.export}[ecosystem]
    with bundle.source(source, recipe, overrides) as run:
        counts = write(run, out, tokenizer)
    typer.echo(f"made {out}: {counts.kept:,} {counts.unit}; docs/exports.md says how {ecosystem} reads it")


def _tasks(
    ecosystem: Harness, domain: str, out: Path, recipe: str, suite: str, data_root: Path | None, limit: int | None
) -> None:
    from indirect_rlvr.export import inspect, lmms_eval

    write = {"lmms-eval": lmms_eval.export, "inspect": inspect.export}[ecosystem]
    counts, left_out = write(domain, suite, out, recipe=recipe, data_root=data_root, limit=limit)
    for one in left_out:
        typer.echo(f"not exported: {one['name']}: {one['why']}", err=True)
    typer.echo(f"made {out}: {counts.kept:,} {counts.unit}; docs/exports.md says how {ecosystem} reads it")


def _model(run: Path, out: Path, row: str | None, licence: str | None, datasets: list[str]) -> None:
    from indirect_rlvr.export import hub

    counts = hub.export(run, out, row, licence, datasets)
    typer.echo(f"made {out}: {counts.kept:,} {counts.unit} of the model, README.md, recipe.toml, results.json")
    if named := hub.local_paths(out):
        typer.echo(f"note: recipe.toml names paths of this machine: {', '.join(named)}; see whether they may be public")
    if licence is None:
        typer.echo("note: the card says `license: unknown`; give --license once you know that of base model and data")
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", out.resolve().name).strip("-.") or "model"
    typer.echo(f"read README.md, then:\nhf upload YOUR_NAME/{name} {shlex.quote(str(out))} . --private")
