"""Accuracy against difficulty as a table of text and as one self-contained SVG picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from indirect_rlvr.reporting.blocks import model_style
from indirect_rlvr.reporting.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, ticks
from indirect_rlvr.reporting.markup import Html, element
from indirect_rlvr.reporting.wording import interval, number, percent

TITLE, LEGEND, ASIDE, COLUMNS = 34.0, 22.0, 4.0, 2
AWAY = {"low": "easier →", "high": "harder →"}
"""What the right end of an axis means where tasks are hard at this end of a measure."""

Found = Mapping[str, Any]


def text(found: Found) -> str:
    """One table for each measure: a line for each model and bin, hardest end named, intervals of 95 %."""
    parts = [f"chance {percent(found['chance'])}"]
    for name, measure in found["measures"].items():
        lines = [f"{name}: {measure['about']}; hard where it is {measure['hard']}"]
        width = max(len(model) for model in measure["models"])
        for model, bins in measure["models"].items():
            for part in bins:
                span = number(part["low"])
                span += "" if part["low"] == part["high"] else f" to {number(part['high'])}"
                accuracy = f"{percent(part['accuracy']):>7} ({interval(part['ci95'])})"
                lines.append(f"  {model:{width}}  {span:18} {accuracy:24} {part['n']:,} answers")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def picture(found: Found) -> Html:
    """One panel for each measure: accuracy with its 95 % interval for each model, and chance as a dashed line.

    The same bytes for the same figures; without script and without request.
    """
    models = list(dict.fromkeys(model for measure in found["measures"].values() for model in measure["models"]))
    styles = {model: model_style(model, models) for model in models}
    panels = list(found["measures"].items())
    columns = min(COLUMNS, len(panels))
    width, height = columns * WIDTH, -(-len(panels) // columns) * (TITLE + HEIGHT) + LEGEND * len(models) + 10
    style = files("indirect_rlvr.reporting").joinpath("page.css").read_text(encoding="utf-8")
    said = "Accuracy against difficulty: " + "; ".join(name for name, _ in panels)
    return element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "chart",
            "viewBox": f"0 0 {width:g} {height:g}",
            "font-family": "system-ui, sans-serif",
            "role": "img",
            "aria-label": said,
        },
        element("style", None, Html(style)),
        element("rect", {"width": "100%", "height": "100%", "style": "fill: var(--paper)"}),
        *(
            _panel(name, measure, found["chance"], styles, (at % columns * WIDTH, at // columns * (TITLE + HEIGHT)))
            for at, (name, measure) in enumerate(panels)
        ),
        *(_key(model, styles[model], height - LEGEND * (len(models) - at)) for at, model in enumerate(models)),
    )


@dataclass(frozen=True, slots=True)
class _Axes:
    """From a measure's value, and an accuracy in [0, 1], to a place in the panel."""

    left: float
    right: float

    def x(self, value: float) -> float:
        share = (value - self.left) / (self.right - self.left)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def y(self, share: float) -> float:
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)


def _panel(name: str, measure: Found, chance: float, styles: Mapping[str, str], corner: tuple[float, float]) -> Html:
    ends = [end for bins in measure["models"].values() for part in bins for end in (part["low"], part["high"])]
    marks = ticks(min(ends), max(ends))
    axes = _Axes(marks[0], marks[-1])
    y = axes.y(chance)
    dashes = "stroke: var(--muted); stroke-dasharray: 4 3"
    return element(
        "g",
        {"transform": f"translate({corner[0]:g},{corner[1] + TITLE:g})"},
        element("text", {"x": LEFT, "y": -16, "font-weight": "600"}, f"{name}, {AWAY[measure['hard']]}"),
        element("text", {"x": LEFT, "y": -2, "style": "font-size: 10px"}, measure["about"]),
        *(_level(axes, share / 4) for share in range(5)),
        *(_mark(axes, value) for value in marks),
        element("line", {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y, "style": dashes}),
        *(part for model, bins in measure["models"].items() for part in _line(axes, model, styles, bins)),
    )


def _line(axes: _Axes, model: str, styles: Mapping[str, str], bins: Sequence[Found]) -> list[Html]:
    """A model's bins in the middle of their values, joined, each with its interval and a title for the pointer; models
    stand a little apart, so that none hides another's interval."""
    style, aside = styles[model], ASIDE * (list(styles).index(model) - (len(styles) - 1) / 2)
    places = [(round(axes.x((part["low"] + part["high"]) / 2) + aside, 2), part) for part in bins]
    path = " ".join(f"{x:g},{axes.y(part['accuracy']):g}" for x, part in places)
    drawn = [element("polyline", {"class": f"{style} line", "points": Html(path)})]
    for x, part in places:
        low, high = (axes.y(end) for end in part["ci95"])
        words = f"{model}: {percent(part['accuracy'])} ({interval(part['ci95'])}), {part['n']:,} answers"
        drawn.append(element("line", {"class": style, "x1": x, "x2": x, "y1": low, "y2": high}))
        dot = {"class": style, "cx": x, "cy": axes.y(part["accuracy"]), "r": 3.5}
        drawn.append(element("circle", dot, element("title", None, words)))
    return drawn


def _level(axes: _Axes, share: float) -> Html:
    y = axes.y(share)
    return element(
        "g",
        None,
        element("line", {"class": "grid", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y}),
        element("text", {"x": LEFT - 6, "y": round(y + 4, 2), "text-anchor": "end"}, f"{share:.0%}"),
    )


def _mark(axes: _Axes, value: float) -> Html:
    return element("text", {"x": axes.x(value), "y": HEIGHT - BOTTOM + 16, "text-anchor": "middle"}, number(value))


def _key(model: str, style: str, y: float) -> Html:
    return element(
        "g",
        None,
        element("line", {"class": f"{style} line", "x1": LEFT, "x2": LEFT + 24, "y1": y, "y2": y}),
        element("text", {"x": LEFT + 32, "y": y + 4}, model),
    )
