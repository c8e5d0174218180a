"""The page's building blocks: sections, tables that turn into cards on a phone, and folded parts."""

from collections.abc import Sequence
from dataclasses import dataclass

from indirect_rlvr.reporting.markup import Html, element


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and a CSS class for its cells ("num" aligns figures)."""

    heading: str
    style: str = ""


def section(anchor: str, heading: str, *children: str) -> Html:
    """A part of the page with a heading that the contents line links to."""
    return element("section", {"id": anchor}, element("h2", None, heading), *children)


def paragraph(*children: str, style: str | None = None) -> Html:
    """A paragraph of text."""
    return element("p", {"class": style}, *children)


def table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], style: str = "") -> Html:
    """A table whose first column names the row; `caption` is read out and printed above it.

    Roles are spelt out because cards on a narrow screen would otherwise lose them.
    """
    head = [element("th", {"scope": "col", "role": "columnheader", "class": c.style}, c.heading) for c in columns]
    body = [element("tr", {"role": "row"}, *_cells(columns, row)) for row in rows]
    inner = element(
        "table",
        {"role": "table", "class": style},
        element("caption", None, caption),
        element("thead", {"role": "rowgroup"}, element("tr", {"role": "row"}, *head)),
        element("tbody", {"role": "rowgroup"}, *body),
    )
    return element("div", {"class": "scroll", "tabindex": 0, "role": "region", "aria-label": caption}, inner)


def folded(summary: str, *children: str, opened: bool = False, style: str | None = None) -> Html:
    """Something long behind one line."""
    return element("details", {"open": opened, "class": style}, element("summary", None, summary), *children)


def model_style(model: str, models: Sequence[str]) -> str:
    """The CSS class that colours a row: by its place, the last row always in the leading colour."""
    if model == models[-1]:
        return "m-last"
    return f"m-{min(models.index(model), 2)}"


def _cells(columns: Sequence[Column], row: Sequence[str]) -> list[Html]:
    first, *rest = zip(columns, row, strict=True)
    name = element("th", {"scope": "row", "role": "rowheader", "class": first[0].style}, first[1])
    cells = [
        element("td", {"role": "cell", "class": column.style, "data-label": column.heading}, cell)
        for column, cell in rest
    ]
    return [name, *cells]
