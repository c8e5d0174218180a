"""`rlvr data prepare`: arguments in, one hook of the domain, lines of text out."""

from pathlib import Path
from typing import Annotated

import typer

from indirect_rlvr.errors import ConfigError


def prepare(
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="An installed domain.")],
    source: Annotated[str, typer.Option("--source", help="The data set's layout, by the domain's name for it.")],
    root: Annotated[Path, typer.Option("--root", help="The folder of the data set; nothing in it is changed.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the records and their manifest.")],
    limit: Annotated[int, typer.Option(min=0, help="At most so many pairs; 0 is all.")] = 0,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, a setting of the preparation; may be given again.")
    ] = None,
) -> None:
    """Make records of a data set as it was published.

    They are checked, de-duplicated and split. The same command continues after an interruption.

    \b
    rlvr data prepare geo --source cv-cities --root data/CV-Cities --out data/pairs
    rlvr data prepare geo --source cv-cities --root data/CV-Cities --out data/small --limit 1600 --set max_pixels=262144
    rlvr data prepare geo --source table --root photos --set table=photos.csv --out data/photos
    """
    from indirect_rlvr.domain import load_domain

    pack = load_domain(domain, {})
    typer.echo(pack.prepare(source, root, out, limit, dict(map(_setting, options or [])), typer.echo))


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set `{text}` is not of the form key=value, for example max_pixels=262144")
    return key.strip(), value.strip()
