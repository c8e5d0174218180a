"""Retrieval measured from ranks: R@1/5/10, R@1 %, average precision and hit rate, from a ranking or from positions.

No model text is scored here: a retrieval system compares features and hands in, for each query, either the gallery in
its order (or the beginning of it) or the positions of the items that matter. Semi-positives, which show the place too,
are never counted as mistakes unless the convention says "official".
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.evaluation.metrics import share
from indirect_rlvr.types import Example, Graded, Metric, Response
from indirect_rlvr_geo.benchmarks.referring import of_task

CUTS = (1, 5, 10)
PERCENT = "1 %"
FREE, OFFICIAL = "semi-positives taken out", "official: semi-positives rank as negatives"


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """The JSON object that stands alone in a response, with "ranking" or "ranks" (see `positions`); None for others."""
    try:
        said = json.loads(response.text)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and positions(said) is not None else None


def positions(parsed: Mapping[str, Any]) -> dict[str, int] | None:
    """The position, from 1, of each gallery item that `parsed` places; None where it places nothing.

    {"ranking": [item, …]} is the gallery, best first, or the beginning of that list; an item that comes twice keeps its
    first place. {"ranks": {item: position}} gives positions in the whole gallery directly.
    """
    ranking, ranks = parsed.get("ranking"), parsed.get("ranks")
    if isinstance(ranking, (list, tuple)) and ranking and all(isinstance(item, str) for item in ranking):
        return {item: place for place, item in enumerate(dict.fromkeys(ranking), 1)}
    if isinstance(ranks, dict) and ranks and all(type(place) is int and place > 0 for place in ranks.values()):
        return {str(item): place for item, place in ranks.items()}
    return None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """Recalls, average precisions and hits of one query; its truth is {"positives", "semi", "gallery": size}.

    A positive that was not placed counts as not found, so the beginning of a ranking is enough for recalls, while its
    average precision is a lower bound.
    """
    truth = example.truth
    placed = (positions(parsed) if parsed is not None else None) or {}
    ranks = sorted(placed[item] for item in truth["positives"] if item in placed)
    semi = sorted(placed[item] for item in truth["semi"] if item in placed)
    free = [rank - sum(other < rank for other in semi) for rank in ranks]
    percent = max(1, truth["gallery"] // 100)
    values: dict[str, float] = {}
    for prefix, found in (("", free), ("official ", ranks)):
        best = found[0] if found else float("inf")
        values |= {f"{prefix}R@{cut}": float(best <= cut) for cut in CUTS}
        values[f"{prefix}R@{PERCENT}"] = float(best <= percent)
    values["AP"] = sum(number / rank for number, rank in enumerate(free, 1)) / len(truth["positives"])
    values["AP trapezoid"] = _trapezoid(ranks, len(truth["positives"]))
    values["hit rate"] = float(bool(free) and free[0] == 1)
    values["top-1 covers"] = float(1 in ranks or 1 in semi)
    return values


def metrics(graded: Sequence[Graded], tasks: Sequence[str]) -> list[Metric]:
    """Every value of `judge` for each task, with what a random order would win beside the recalls.

    The official recalls and the hit rate are given where there are semi-positives. The trapezoidal AP is that of
    University-1652's code, which with one positive is half of 1 / rank from rank 2 on.
    """
    found = []
    for task in tasks:
        truths = [one.example.truth for one in graded if task in ("", one.example.task)]
        semi = any(truth["semi"] for truth in truths)
        found += _recalls(graded, task, "", FREE if semi else "rank of the best positive", truths)
        found.append(_share(graded, task, "AP", "precision at each positive", {}))
        found.append(
            _share(graded, task, "AP trapezoid", "precision before and at each positive (University-1652)", {})
        )
        if semi:
            found += _recalls(graded, task, "official ", OFFICIAL, truths)
            found.append(
                _share(graded, task, "hit rate", "only covering tiles before the positive (released code)", {})
            )
            found.append(_share(graded, task, "top-1 covers", "first tile covers the query", {}))
    return found


def _recalls(
    graded: Sequence[Graded], task: str, prefix: str, convention: str, truths: Sequence[Mapping[str, Any]]
) -> list[Metric]:
    found = []
    for cut in (*CUTS, PERCENT):
        sizes = [(cut if isinstance(cut, int) else max(1, t["gallery"] // 100), t["gallery"]) for t in truths]
        chance = sum(min(1.0, size / gallery) for size, gallery in sizes) / len(sizes) if sizes else float("nan")
        single = all(len(truth["positives"]) == 1 for truth in truths) and sizes
        found.append(_share(graded, task, f"{prefix}R@{cut}", convention, {"chance": chance} if single else {}))
    return found


def _share(graded: Sequence[Graded], task: str, value: str, convention: str, baselines: dict[str, float]) -> Metric:
    name = value.removeprefix("official ")
    return share(graded, value, convention, name=name, task=task, applies=of_task(task), baselines=baselines)


def _trapezoid(ranks: Sequence[int], positives: int) -> float:
    """AP as University-1652's code has it: at each positive the mean of the precision there and just before it."""
    total = 0.0
    for number, rank in enumerate(ranks):
        before = number / (rank - 1) if rank > 1 else 1.0
        total += (before + (number + 1) / rank) / 2 / positives
    return total
