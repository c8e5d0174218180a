"""Draws inline SVG: accuracy bars with whisker and chance line, and line charts; colours come from the page's CSS."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10

from indirect_rlvr.reporting.markup import Html, element
from indirect_rlvr.reporting.wording import number

WIDTH, HEIGHT = 380.0, 210.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 12.0, 34.0
SMOOTHED_FROM = 16
"""A series of at least so many points is drawn faint, with its running mean over it."""
MAX_POINTS = 400


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, the CSS class that colours it, and finite (x, y) points in order of x."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


def accuracy_bar(share: float, ci95: Sequence[float], chance: float, style: str) -> Html:
    """A bar from 0 to 100 % as wide as its container, with the 95 % interval as a whisker and chance as a dashed line.

    All values are shares in [0, 1]; the words beside it carry the same figures, so it is hidden from screen readers.
    """
    low, high = ci95
    middle = {"y1": "50%", "y2": "50%"}
    ends = [{"x1": _share(x), "x2": _share(x), "y1": "30%", "y2": "70%", "class": "whisker"} for x in (low, high)]
    return element(
        "svg",
        {"class": "bar", "aria-hidden": "true", "focusable": "false"},
        element("rect", {"class": "track", "width": "100%", "height": "100%", "rx": 3}),
        element("rect", {"class": style, "width": _share(share), "height": "100%", "rx": 3}),
        element("line", {"class": "chance", "x1": _share(chance), "x2": _share(chance), "y1": 0, "y2": "100%"}),
        element("line", {"class": "whisker", "x1": _share(low), "x2": _share(high), **middle}),
        *(element("line", end) for end in ends),
    )


def line_chart(
    title: str, series: Sequence[Series], low: float | None = None, high: float | None = None, axis: str = "step"
) -> Html:
    """Lines over what `axis` names, with axes, a hover title on every point and a summary for screen readers.

    `low` and `high` widen the vertical axis. Series without points are left out; there must be one with points.
    """
    drawn = [Series(s.name, s.style, _thinned(s.points)) for s in series if s.points]
    xs = [x for s in drawn for x, _ in s.points]
    ys = [y for s in drawn for _, y in s.points]
    y_ticks = ticks(min([*ys, *([] if low is None else [low])]), max([*ys, *([] if high is None else [high])]))
    frame = _Frame(min(xs), max(xs), y_ticks[0], y_ticks[-1])
    return element(
        "svg",
        {
            "class": "chart",
            "viewBox": f"0 0 {WIDTH:g} {HEIGHT:g}",
            "role": "img",
            "aria-label": _summary(title, drawn, axis),
        },
        *(_y_tick(frame, y) for y in y_ticks),
        *(_x_tick(frame, x) for x in ticks(frame.left, frame.right) if frame.left <= x <= frame.right),
        element("text", {"class": "axis-name", "x": WIDTH - RIGHT, "y": HEIGHT - 3, "text-anchor": "end"}, axis),
        *(part for s in drawn for part in _lines(frame, s)),
        *(_hover(frame, s, x, y, axis) for s in drawn for x, y in s.points),
    )


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers, about `count` steps of 1, 2 or 5 times a power of ten, that enclose [low, high]."""
    if high - low < 1e-12 * max(1.0, abs(low)):
        low, high = low - (abs(low) or 1.0) / 2, high + (abs(high) or 1.0) / 2
    rough = (high - low) / count
    power = 10.0 ** floor(log10(rough))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= rough * 0.999)
    first = floor(low / step + 1e-9)
    last = -floor(-high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def running_mean(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each y as the mean of its neighbourhood, a tenth of the series wide and at least five points."""
    half = max(2, len(points) // 20)
    total = [0.0]
    for _, y in points:
        total.append(total[-1] + y)
    spans = [(max(0, i - half), min(len(points), i + half + 1)) for i in range(len(points))]
    return [(x, (total[b] - total[a]) / (b - a)) for (x, _), (a, b) in zip(points, spans, strict=True)]


@dataclass(frozen=True, slots=True)
class _Frame:
    left: float
    right: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        share = (value - self.left) / ((self.right - self.left) or 1.0)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 2)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 2)


def _lines(frame: _Frame, series: Series) -> list[Html]:
    if len(series.points) == 1:
        x, y = series.points[0]
        return [element("circle", {"class": f"{series.style} dot", "cx": frame.x(x), "cy": frame.y(y), "r": 4})]
    if len(series.points) < SMOOTHED_FROM:
        return [_path(frame, series.points, f"{series.style} line")]
    return [
        _path(frame, series.points, f"{series.style} line raw"),
        _path(frame, running_mean(series.points), f"{series.style} line"),
    ]


def _path(frame: _Frame, points: Sequence[tuple[float, float]], style: str) -> Html:
    path = " ".join(f"{frame.x(x):g},{frame.y(y):g}" for x, y in points)
    return element("polyline", {"class": style, "points": Html(path)})


def _hover(frame: _Frame, series: Series, x: float, y: float, axis: str) -> Html:
    words = f"{series.name}, {axis} {number(x)}: {number(y)}"
    place = {"class": "hover", "cx": frame.x(x), "cy": frame.y(y), "r": 5}
    return element("circle", place, element("title", None, words))


def _y_tick(frame: _Frame, value: float) -> Html:
    y = frame.y(value)
    return element(
        "g",
        None,
        element("line", {"class": "grid", "x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y}),
        element("text", {"x": LEFT - 6, "y": round(y + 4, 2), "text-anchor": "end"}, number(value)),
    )


def _x_tick(frame: _Frame, value: float) -> Html:
    return element("text", {"x": frame.x(value), "y": HEIGHT - BOTTOM + 16, "text-anchor": "middle"}, number(value))


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    finite = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
    every = -(-len(finite) // MAX_POINTS) or 1
    return finite[::every]


def _summary(title: str, series: Sequence[Series], axis: str) -> str:
    said = [
        f"{s.name} from {number(s.points[0][1])} at {axis} {number(s.points[0][0])} "
        f"to {number(s.points[-1][1])} at {axis} {number(s.points[-1][0])}"
        for s in series
    ]
    return f"{title}: {'; '.join(said)}"


def _share(value: float) -> str:
    return f"{100 * min(1.0, max(0.0, value)):.2f}%"
