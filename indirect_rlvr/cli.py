"""`rlvr …`: arguments in, one function call of the package, lines of text out; no logic of its own.

A mistake of the user ends with its message alone on standard error and the exit code of its class.
"""

import json
import signal
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from indirect_rlvr import processes
from indirect_rlvr.commands import audit, compare, data, difficulty, doctor, evaluation, export, prepare, status
from indirect_rlvr.commands.launching import Nproc, started
from indirect_rlvr.errors import ConfigError, RlvrError
from indirect_rlvr.redaction import redacted_text
from indirect_rlvr.stopping import Terminated


class _Messages(TyperGroup):
    """Turns our errors into messages; everything else keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RlvrError as error:
            notes = getattr(error, "__notes__", [])
            raise typer.Exit(_say("\n".join([f"{_who()}{error}", *notes]), error.exit_code)) from error
        except KeyboardInterrupt as error:
            code = 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)
            said = "\nrlvr: interrupted; the same command continues where it stopped"
            raise typer.Exit(_say(said, code)) from error
        except Exception:
            processes.speaks(1)
            raise


class _OfDomain(TyperCommand):
    """A command without arguments; to one it answers with the option that a domain is given by."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.allow_extra_args = True
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            hint = "" if ctx.params.get("domain") else f"; a domain is given as --domain {rest[0]}"
            ctx.fail(f"Got unexpected extra argument ({' '.join(rest)}){hint}")
        return rest


def _say(message: str, code: int) -> int:
    """Say why this process fails, unless another one does or did; returns the exit code of all of them."""
    speaks, agreed = processes.speaks(code)
    if speaks:
        _tell(redacted_text(message), err=True)
    return agreed


def _tell(line: str, err: bool = False) -> None:
    """Say a line to whoever still listens: a terminal or a pipe that is gone ends no run."""
    with suppress(OSError):
        typer.echo(line, err=err)


def _who() -> str:
    return "rlvr: " if processes.is_first() else f"rlvr: process {processes.rank()}: "


app = typer.Typer(
    cls=_Messages,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
data.app.command("prepare")(prepare.prepare)
data.app.command("difficulty")(difficulty.difficulty)


def _domain_names(incomplete: str) -> list[str]:
    from indirect_rlvr.domain import installed

    return [name for name in installed() if name.startswith(incomplete)]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("indirect-rlvr"))
        raise typer.Exit


DomainName = Annotated[
    str | None, typer.Option("--domain", "-d", help="Name of an installed domain.", autocompletion=_domain_names)
]
RecipeName = Annotated[
    str, typer.Option("--recipe", "-r", help="A recipe of the pack by name, or the path of a .toml file.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value over the recipe; may be given again.")
]


reward = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look at the reward of a domain.")
app.add_typer(reward, name="reward")


@app.callback()
def rlvr(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Train a model on a question you can check, to get better at one you cannot, and measure whether it did.

    \b
    rlvr domains                  what is installed
    rlvr run --domain geo         train, measure, write runs/geo/report.html
    """


@app.command(cls=_OfDomain)
def run(
    domain: DomainName = None,
    recipe: RecipeName = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The run folder; runs/DOMAIN where not given.")
    ] = None,
    overrides: Overrides = None,
    first: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="Make this stage and all after it anew.")
    ] = None,
    last: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="Stop after this stage.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print recipe, stages and costs; do nothing.")] = False,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Go on with tasks that a shortcut can win; it is put on record.")
    ] = False,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="Make finished stages anew where recipe, packages or processes changed."),
    ] = False,
    nproc: Nproc = 1,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Machines of --emit, each with --nproc processes.")] = 1,
    emit: Annotated[
        Literal["slurm"] | None, typer.Option("--emit", help="Print a script that does this run there; do nothing.")
    ] = None,
) -> None:
    """Train on the proxy task, measure on the target tasks.

    The report is written at the end. Finished stages are kept, and training goes on from its newest checkpoint: the
    same command continues after an interruption, to the same bytes. torchrun and accelerate launch start it too, with
    -m indirect_rlvr.

    \b
    rlvr run --domain geo
    rlvr run --domain geo --set grpo.steps=20 --set grpo.trl.learning_rate=2e-5 --out runs/short
    rlvr run --domain geo --recipe my/recipe.toml --dry-run
    rlvr run --domain geo --from evaluate
    rlvr run --domain geo --until tasks
    rlvr run --domain geo --nproc 8
    rlvr run --domain geo --nproc 8 --nodes 4 --emit slurm > geo.sbatch
    """
    from indirect_rlvr import engine

    name = _chosen(domain)
    if nodes > 1 and emit is None and not dry_run:
        raise ConfigError(f"--nodes {nodes} needs --emit slurm: rlvr itself starts processes on this machine only")
    processes.join()
    prepared, recipe_name = engine.prepare(
        name,
        recipe,
        overrides or [],
        out or Path("runs") / name,
        allow_leaks=allow_leaks,
        accept_changes=accept_changes,
    )
    if dry_run:
        typer.echo(engine.plan(prepared, recipe_name, first, last, nproc * nodes))
    elif emit:
        from indirect_rlvr import launch

        engine.require_started(prepared, first, last, nproc * nodes)
        typer.echo(launch.slurm(launch.without_own(sys.argv[1:]), f"rlvr-{name}", nproc, nodes), nl=False)
    elif not started(nproc):
        engine.execute(prepared, recipe_name, first, last, _tell)
        processes.leave()


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON; write nothing.")] = False,
) -> None:
    """Write report.html and report.md of a run again.

    Only its files are read.

    \b
    rlvr report runs/geo
    rlvr report runs/geo --json
    """
    from indirect_rlvr.reporting import summary, write

    if as_json:
        typer.echo(json.dumps(summary.summary(folder), indent=2, ensure_ascii=False))
        return
    typer.echo("\n".join(map(str, write.write(folder))))


app.command()(audit.audit)
app.command()(status.status)
app.command()(doctor.doctor)


@app.command()
def domains() -> None:
    """List the installed domains with their hooks and recipes.

    \b
    rlvr domains
    """
    from indirect_rlvr import packs

    typer.echo(packs.table(packs.overview()))


@app.command()
def check(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="An installed domain.", autocompletion=_domain_names)],
    recipe: RecipeName = "default",
) -> None:
    """Check what every domain must satisfy.

    In seconds, without a model. Exit code 1 if anything fails.

    \b
    rlvr check template
    """
    from indirect_rlvr import checks

    results = checks.check(name, recipe)
    for result in results:
        typer.echo(f"{'✓' if result.ok else '✗'} {result.name}: {result.detail}")
    raise typer.Exit(0 if all(result.ok for result in results) else 1)


@reward.command("check")
def reward_check(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="An installed domain.", autocompletion=_domain_names)],
    rows: Annotated[int, typer.Option("--rows", min=1, help="Tasks to score on.")] = 20,
    recipe: RecipeName = "default",
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Score gold, wrong, empty and hostile completions.

    The tasks are real, and every reward term scores them.

    \b
    rlvr reward check template --rows 50
    rlvr reward check geo --json
    """
    from indirect_rlvr.reporting.columns import columns
    from indirect_rlvr.testing.rows import reward_table

    found = reward_table(name, rows, recipe)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else columns(found))


@app.command()
def rescore(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder; nothing in it is changed.")],
    recipe: Annotated[
        str | None, typer.Option("--recipe", "-r", help="Whose reward to take; the run's own where not given.")
    ] = None,
    overrides: Overrides = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="How many of the rollouts that moved most.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, whole texts included.")] = False,
) -> None:
    """Score saved rollouts again: old reward against new.

    The new reward is that of the installed code, of the recipe and of --set.

    \b
    rlvr rescore runs/geo
    rlvr rescore runs/geo --set reward.weights.length=0.5 --rows 20
    rlvr rescore runs/geo --recipe my/recipe.toml --json
    """
    from indirect_rlvr.evaluation import rescore as again
    from indirect_rlvr.reporting.rescored import table

    found = again.rescore(folder, recipe, overrides or [], rows)
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else table(found))


app.command("eval")(evaluation.evaluate)
app.command()(evaluation.score)
app.command()(evaluation.benchmarks)
app.command()(compare.compare)
app.command("transfer-matrix")(compare.transfer_matrix)
app.command()(export.export)


@app.command(cls=_OfDomain)
def prime(
    domain: DomainName = None,
    recipe: RecipeName = "default",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the weights; replaced when done.")] = Path(
        "primed"
    ),
    overrides: Overrides = None,
) -> None:
    """Make the tiny model that stands in for a pretrained one.

    Random weights, trained on the domain's generic skills.

    \b
    rlvr prime --domain geo --out domains/geo/indirect_rlvr_geo/primed
    rlvr prime --domain template --set model.prime.steps=50 --out /tmp/tiny
    """
    from indirect_rlvr import engine
    from indirect_rlvr.training import base

    prepared, _ = engine.prepare(_chosen(domain), recipe, overrides or [], out)
    base.make(prepared.recipe, base.skills(prepared.domain), out)
    typer.echo(f"made {out}")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new domain: lower case, a letter first.")],
    folder: Annotated[Path | None, typer.Argument(help="Where to put it; ./NAME where not given.")] = None,
) -> None:
    """Start a domain of your own.

    A copy of the template pack under a new name.

    \b
    rlvr new clinic
    pip install -e clinic
    rlvr check clinic
    """
    from indirect_rlvr import packs

    made = packs.create(name, folder or Path(name))
    typer.echo(f"made {made}; next: pip install -e {made} && rlvr check {name} && rlvr run --domain {name}")


def _chosen(domain: str | None) -> str:
    if domain is None:
        from indirect_rlvr.domain import installed

        names = ", ".join(installed()) or "none"
        raise ConfigError(f"which domain? give --domain NAME; installed domains: {names}")
    return domain
