"""`rlvr eval`, `rlvr score` and `rlvr benchmarks`: arguments in, one function call, lines of text out."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from indirect_rlvr import processes
from indirect_rlvr.commands.launching import Nproc, started
from indirect_rlvr.errors import RlvrError

Domain = Annotated[str, typer.Option("--domain", "-d", help="Name of an installed domain.")]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="The folder with a folder NAME for each published benchmark.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]
Recipe = Annotated[
    str, typer.Option("--recipe", "-r", help="Whose held-out records to ask about, for a model of no run.")
]


def evaluate(
    domain: Domain,
    model: Annotated[str, typer.Option("--model", "-m", help="A model folder (of a run, too), a hub id, or a name.")],
    wanted: Annotated[
        str, typer.Option("--suite", metavar="NAMES", help="Suites and benchmarks, with commas between; or all.")
    ] = "all",
    data_root: DataRoot = None,
    backend: Annotated[
        Literal["transformers", "vllm", "openai-url"], typer.Option(help="Who runs it.")
    ] = "transformers",
    url: Annotated[str | None, typer.Option("--url", help="The server of --backend openai-url, up to /v1.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="A sample of so many examples of each.")] = None,
    controls: Annotated[
        str, typer.Option("--controls", help="blind (no images), shuffled (another's images), or both with a comma.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for answers; runs/evaluations/MODEL if not given.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of an answer; those of the run, or 2048.")
    ] = None,
    max_pixels: Annotated[int | None, typer.Option(min=1, help="A larger image is made smaller.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Prompts, or requests, at a time.")] = None,
    dtype: Annotated[Literal["float32", "bfloat16"] | None, typer.Option(help="Precision of the weights.")] = None,
    recipe: Recipe = "default",
    nproc: Nproc = 1,
    as_json: AsJson = False,
) -> None:
    """Ask a model target tasks and published benchmarks.

    They are those of a domain, and the answers are scored. Kill it and give the same command again: nothing is asked
    twice.

    \b
    rlvr eval --domain geo --model runs/geo/grpo
    rlvr eval --domain geo --model Qwen/Qwen2.5-VL-7B-Instruct --suite paper --data-root data --dtype bfloat16
    rlvr eval --domain geo --model runs/geo/grpo --nproc 8
    rlvr eval --domain geo --model my-model --suite geochain --data-root data --backend openai-url \\
        --url http://localhost:8000/v1 --limit 200 --controls blind,shuffled
    """
    from indirect_rlvr.evaluation import session
    from indirect_rlvr.reporting import evaluated

    if started(nproc):
        return
    processes.join()
    asking = session.Asking(backend, url, max_tokens, max_pixels, batch, dtype)
    found = session.evaluate(
        domain,
        model,
        wanted,
        out or Path("runs") / "evaluations" / session.folder_name(model),
        recipe_name=recipe,
        data_root=data_root,
        asking=asking,
        limit=limit,
        controls=[name.strip() for name in controls.split(",") if name.strip()],
        say=lambda line: typer.echo(line, err=True) if processes.is_first() else None,
    )
    processes.leave()
    if processes.is_first():
        _print(found, evaluated.results(found), as_json)
    if any(each["fault"] for each in found["not_asked"]):
        raise typer.Exit(RlvrError.exit_code)


def score(
    benchmark: Annotated[str, typer.Option("--benchmark", "-b", help="Name of a benchmark of an installed domain.")],
    predictions: Annotated[
        Path,
        typer.Option(
            "--predictions", "-p", metavar="FILE", help='JSON lines of {"id", "response"} or {"id", "parsed"}.'
        ),
    ],
    truth: Annotated[
        Path | None, typer.Option("--truth", help="The benchmark's folder itself, or a run for targets from records.")
    ] = None,
    data_root: DataRoot = None,
    convention: Annotated[str | None, typer.Option("--convention", help="Only the metrics of this convention.")] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", "-d", help="Where several installed domains have such a benchmark.")
    ] = None,
    recipe: Recipe = "default",
    as_json: AsJson = False,
) -> None:
    """Score what any system answered, without a model.

    What is wrong with the file (torn lines, unknown or repeated ids …) is counted and named.

    \b
    rlvr score --benchmark geochain --predictions answers.jsonl --data-root data
    rlvr score --benchmark higher-place --predictions answers.jsonl --truth runs/geo
    rlvr score --benchmark imageo-pcw --predictions answers.jsonl --truth pcw --convention official --json
    """
    from indirect_rlvr.evaluation import session
    from indirect_rlvr.reporting import evaluated

    owner = domain or session.domain_of(benchmark, recipe)
    found = session.score(owner, benchmark, predictions, truth, data_root, convention, recipe)
    _print(found, evaluated.scored(found), as_json)


def benchmarks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One benchmark, in full.")] = None,
    domain: Annotated[str | None, typer.Option("--domain", "-d", help="Name of an installed domain.")] = None,
    data_root: DataRoot = None,
    recipe: Recipe = "default",
) -> None:
    """List the benchmarks of the installed domains.

    The list has their sizes, licences, where they come from, and what is lacking here.

    \b
    rlvr benchmarks
    rlvr benchmarks --domain geo --data-root data
    rlvr benchmarks geochain --data-root data
    """
    from indirect_rlvr.domain import installed
    from indirect_rlvr.evaluation import session, suite
    from indirect_rlvr.reporting import evaluated

    if lost := suite.check_root(data_root):
        typer.echo(lost, err=True)
    owners = [domain] if domain else [session.domain_of(name, recipe)] if name else list(installed())
    places = [where for owner in owners for where in session.places(owner, data_root, recipe, name)]
    typer.echo(evaluated.benchmark(places[0]) if name else evaluated.benchmarks(places))


def _print(found: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else text)
