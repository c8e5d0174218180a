"""Figures as words: percentages, intervals, p-values, durations, one way everywhere in the report."""

from collections.abc import Sequence

LARGEST = 10**300
"""Whole numbers beyond it, which JSON may hold, are larger than any float."""


def percent(share: float) -> str:
    """A share in [0, 1], for example "74.5 %"."""
    return f"{100 * share:.1f}\u00a0%"


def interval(ends: Sequence[float]) -> str:
    """Two shares, for example "70.8 to 77.8"."""
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}"


def points(difference: float) -> str:
    """A difference of shares in percentage points, for example "+54.2"."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def p_value(p: float) -> str:
    """For example "0.012" or "< 0.001"."""
    return "<\u00a00.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """For example "42 s" or "3 min 12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def number(value: float) -> str:
    """A number for reading, at most four significant digits, for example "1,234" or "0.0123"."""
    if abs(value) > LARGEST:
        return "more than 1e+300" if value > 0 else "less than -1e+300"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
