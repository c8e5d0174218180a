"""Compares the first and the last row on the same questions: did the gain on the proxy task reach the target tasks?"""

from collections.abc import Sequence
from typing import Any

from indirect_rlvr.evaluation.score import Score, Summary
from indirect_rlvr.evaluation.stats import Paired, paired
from indirect_rlvr.shapes import Direction

ALPHA = 0.05


def key(model: str) -> str:
    """The name of a row as a key of a target's results: "geo-r1" becomes "geo_r1"."""
    return model.replace("-", "_")


def compare(first: Sequence[Score], last: Sequence[Score]) -> Paired:
    """Two rows on the same questions in the same order, paired and clustered."""
    return paired([s.correct for s in first], [s.correct for s in last], [s.cluster for s in first])


def direction(comparison: Paired) -> Direction:
    """A change counts where McNemar's p is below 0.05 and the clustered interval of the gain leaves zero out; the
    second guards against p-values made small by questions that are not independent."""
    low, high = comparison.ci95
    if comparison.p_value >= ALPHA or low <= 0 <= high:
        return "no measurable change"
    return "rose" if low > 0 else "fell"


def comparison_json(comparison: Paired) -> dict[str, Any]:
    """A paired comparison as plain JSON."""
    return {
        "gain": comparison.gain,
        "gain_ci95": list(comparison.ci95),
        "p_value": comparison.p_value,
        "direction": direction(comparison),
    }


def statement(first: Summary, last: Summary, proxy: Paired, targets: Sequence[dict[str, Any]]) -> str:
    """From proxy to target in words with figures; what the table says and nothing more."""
    moved = {"rose": "rose", "fell": "fell", "no measurable change": "did not change measurably"}[direction(proxy)]
    low, high = proxy.ci95
    said = (
        f"Accuracy on held-out proxy tasks {moved}: {100 * first.accuracy:.1f} % before, {100 * last.accuracy:.1f} % "
        f"after ({100 * proxy.gain:+.1f} points, 95 % interval {100 * low:+.1f} to {100 * high:+.1f})."
    )
    if not targets:
        return f"{said} No target task was asked."
    rose, fell = (sum(row["direction"] == way for row in targets) for way in ("rose", "fell"))
    asked = "target task" if len(targets) == 1 else "target tasks"
    return (
        f"{said} Of {len(targets)} {asked} that SFT and GRPO never asked, {rose} rose, {fell} fell "
        f"and {len(targets) - rose - fell} did not change measurably (a change has p < {ALPHA} and an interval without "
        "zero)."
    )
