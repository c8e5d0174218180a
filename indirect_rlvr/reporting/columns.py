"""Rows as aligned columns of text, for a terminal."""

from collections.abc import Mapping, Sequence

from indirect_rlvr.reporting.markup import visible

CELL = 100
"""Characters of a foreign text in a column."""


def columns(rows: Sequence[Mapping[str, object]]) -> str:
    """A heading and one line for each row, numbers to the right; "" without rows.

    The columns are the keys of the first row. Control characters of foreign text are made visible, None is a dash, and
    numbers with a fraction have four places.
    """
    if not rows:
        return ""
    heads = list(rows[0])
    cells = [heads, *([_cell(row.get(head)) for head in heads] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(heads))]
    right = [all(isinstance(row.get(head), int | float | None) for row in rows) for head in heads]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in cells
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{round(value, 4) + 0.0:.4f}"  # no minus before a zero
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return one_line(str(value))


def one_line(text: str) -> str:
    """A foreign text for a terminal: on one line, cut, nothing hidden."""
    return visible(" ".join(text.split()), CELL)
