"""The results of a run as one JSON object for other programs, and its verdict in one sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from indirect_rlvr import shapes
from indirect_rlvr.reporting.contents import require_evaluated
from indirect_rlvr.reporting.wording import interval, percent
from indirect_rlvr.run import MANIFEST


def summary(run: Path) -> dict[str, Any]:
    """What `results.json` holds, and the seconds of each finished stage from the manifest.

    Raises DataError that names the file which is missing or broken.
    """
    require_evaluated(run)
    results = shapes.read(run / "results.json", shapes.Results)
    manifest = shapes.read(run / MANIFEST, shapes.Manifest)
    return {**results, "seconds": {name: stage["seconds"] for name, stage in manifest["stages"].items()}}


def verdict(results: Mapping[str, Any]) -> str:
    """One sentence with figures: the last row against the first on the proxy task, and how many target tasks moved."""
    first, last = results["rows"][0], results["rows"][-1]
    targets = results["targets"]
    said = (
        f"{last['model']} answers {percent(last['accuracy'])} of the held-out proxy tasks "
        f"(95\u00a0% interval {interval(last['ci95'])}), {first['model']} {percent(first['accuracy'])}, "
        f"and chance is {percent(results['chance'])}"
    )
    if not targets:
        return f"{said}; no target task was asked."
    rose, fell = (sum(row["direction"] == way for row in targets) for way in ("rose", "fell"))
    still = len(targets) - rose - fell
    asked = "target task" if len(targets) == 1 else "target tasks"
    return (
        f"{said}; of {len(targets)} {asked} never trained on, {rose} rose, {fell} fell and {still} did not change "
        "measurably."
    )
