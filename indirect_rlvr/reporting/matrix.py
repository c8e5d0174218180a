"""The transfer matrix for people: a Markdown table and a heat map as one self-contained SVG.

Target tasks go down and trained models across, because there are many of the first and few of the second.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.reporting.markdown import plain
from indirect_rlvr.reporting.markup import Html, element, visible
from indirect_rlvr.reporting.wording import number, p_value, percent, points
from indirect_rlvr.run import write_json, write_text

Cell = Mapping[str, Any]
NAME = 60
"""Characters of a name that are shown."""
LEFT, TOP, WIDE, HIGH = 330, 70, 130, 30
FULL = 0.5
"""The gain that has the full colour."""
UP, DOWN, INK = "#1b6ca8", "#b4531a", "#16191d"
KEY = (
    "Cells: items that got better minus items that got worse, in points of 100 (for right or wrong answers the gain in "
    "accuracy), with the 95 % interval. \\* p < 0.05, \\*\\* p < 0.01 after Holm's correction within the column, and "
    "an interval without zero. A cell without a figure was not measured."
)
STYLE = (
    "text{font:13px system-ui,'Segoe UI',Roboto,'Noto Sans',sans-serif;fill:" + INK + "}"
    ".name{font-weight:600}.small{font-size:10px}.plain{fill:#fff}"
)


def write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Write transfer-matrix.json, .md and .svg into `folder`; returns their paths. Raises RunError as the disk does."""
    paths = [folder / f"transfer-matrix.{ending}" for ending in ("json", "md", "svg")]
    write_json(paths[0], found)
    write_text(paths[1], markdown(found))
    write_text(paths[2], svg(found))
    return paths


def markdown(found: Mapping[str, Any]) -> str:
    """The matrix as a table, what the cells mean, each model's count, and what was not compared."""
    names = [plain(row["name"], NAME) for row in found["rows"]]
    lines = [f"| target task | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for index, task in enumerate(found["tasks"]):
        cells = [row["cells"][index] for row in found["rows"]]
        lines.append(f"| {plain(_task(task), NAME)} | {' | '.join(_words(cell) for cell in cells)} |")
    said = [f"- **{name}**: {row['statement']}" for name, row in zip(names, found["rows"], strict=True)]
    left = [
        f"- {name}: {plain(_task(one), NAME)} ({plain(one['why'], NAME)})"
        for name, row in zip(names, found["rows"], strict=True)
        for one in row["not_compared"]
    ]
    base = f"Base: {plain(found['base']['folder'], NAME)}."
    parts = ["# Transfer matrix", base, "\n".join(lines), KEY, "\n".join(said)]
    return "\n\n".join([*parts, *(["Not compared:\n\n" + "\n".join(left)] if left else [])]) + "\n"


def svg(found: Mapping[str, Any]) -> str:
    """The matrix as a picture: blue for a gain, orange for a loss, the figure and its interval in each cell."""
    rows, tasks = found["rows"], found["tasks"]
    width, height = LEFT + WIDE * len(rows) + 20, TOP + HIGH * len(tasks) + 40
    drawn = element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}", "width": width,
            "height": height, "role": "img", "aria-label": "Transfer matrix",
        },
        element("style", None, Html(STYLE)),
        element("rect", {"class": "plain", "width": width, "height": height}),
        *(_heading(index, row) for index, row in enumerate(rows)),
        *(_line(index, task, [row["cells"][index] for row in rows]) for index, task in enumerate(tasks)),
        element("text", {"class": "small", "x": 10, "y": height - 14}, "points of 100, 95 % interval; * p < 0.05, "
                "** p < 0.01 after Holm's correction within the column"),
    )  # fmt: skip
    return drawn + "\n"


def _heading(index: int, row: Mapping[str, Any]) -> Html:
    x = LEFT + WIDE * index + WIDE / 2
    count = f"{row['improved']} improved, {row['worse']} worse"
    return element(
        "g",
        None,
        element("text", {"class": "name", "x": x, "y": TOP - 32, "text-anchor": "middle"}, visible(row["name"], 18)),
        element("text", {"class": "small", "x": x, "y": TOP - 14, "text-anchor": "middle"}, count),
        element("title", None, visible(row["name"], NAME)),
    )


def _line(index: int, task: Mapping[str, str], cells: Sequence[Cell | None]) -> Html:
    y = TOP + HIGH * index
    name = element("text", {"x": LEFT - 10, "y": y + 19, "text-anchor": "end"}, visible(_task(task), 44))
    return element("g", None, name, *(_cell(LEFT + WIDE * at, y, cell) for at, cell in enumerate(cells)))


def _cell(x: float, y: float, cell: Cell | None) -> Html:
    box: dict[str, object] = {"x": x + 1, "y": y + 1, "width": WIDE - 2, "height": HIGH - 2, "rx": 3}
    if cell is None:
        box |= {"fill": "none", "stroke": "#c9ced4", "stroke-dasharray": "3 3"}
        return element("g", None, element("rect", box), element("title", None, "not measured"))
    strength = min(1.0, abs(cell["gain"]) / FULL)
    box |= {"fill": UP if cell["gain"] >= 0 else DOWN, "fill-opacity": round(0.08 + 0.47 * strength, 3)}
    middle = x + WIDE / 2
    return element(
        "g",
        None,
        element("rect", box),
        element("text", {"x": middle, "y": y + 14, "text-anchor": "middle"}, f"{points(cell['gain'])}{_mark(cell)}"),
        element("text", {"class": "small", "x": middle, "y": y + 25, "text-anchor": "middle"}, _ends(*cell["ci95"])),
        element("title", None, _told(cell)),
    )


def _words(cell: Cell | None) -> str:
    return "" if cell is None else f"{points(cell['gain'])}{_mark(cell)} ({_ends(*cell['ci95'])})".replace("*", "\\*")


def _told(cell: Cell) -> str:
    """The whole cell in words, for whoever hovers or listens."""
    words = {"km": "median {} km before, {} km after", "points": "{} points before, {} after"}
    figures = (
        f"{percent(cell['first'])} before, {percent(cell['second'])} after"
        if cell["unit"] == "share"
        else words[cell["unit"]].format(number(cell["first"]), number(cell["second"]))
    )
    return (
        f"{_task(cell)}, {cell['main']}: {figures}; {points(cell['gain'])} points "
        f"({_ends(*cell['ci95'])}), n = {cell['n']}, {cell['test']} p {p_value(cell['p_value'])}, corrected "
        f"{p_value(cell['p_holm'])}: {cell['verdict']}"
    )


def _mark(cell: Cell) -> str:
    if cell["verdict"] == "no measurable change":
        return ""
    return " **" if cell["p_holm"] < 0.01 else " *"


def _ends(low: float, high: float) -> str:
    return f"{points(low)} to {points(high)}"


def _task(named: Mapping[str, Any]) -> str:
    return f"{named['benchmark']}: {named['task']}" if named["task"] else str(named["benchmark"])
