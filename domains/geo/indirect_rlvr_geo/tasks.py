"""The proxy task: which overhead view shows the place of the ground view; its neighbourhood, wording and scaffold."""

from collections.abc import Sequence
from random import Random

from indirect_rlvr.types import Neighbourhood, Prompt, ProxyTask, Question, Record, View
from indirect_rlvr_geo.facts import horizon
from indirect_rlvr_geo.language import pairing_question, write_trace
from indirect_rlvr_geo.settings import Settings
from indirect_rlvr_geo.terrain import HALF_WIDTH_M


def neighbourhood(settings: Settings) -> Neighbourhood:
    """Places of one cell, apart by the minimum separation; the buffer between splits is a chip's full width, so that no
    ground is shown on both sides of a split. The place's elevation is the nuisance that the audit watches."""
    return Neighbourhood(
        position=lambda record: (float(record.facts["x_m"]), float(record.facts["y_m"])),
        unit="m",
        cells=settings.cells_m,
        r_min=settings.min_separation_m,
        buffer=2 * HALF_WIDTH_M,
        nuisance=lambda record: float(record.facts["elevation_m"]),
    )


def question(query: Record, candidates: Sequence[Record]) -> Question:
    """One ground view, K overhead views, the wording; the metadata goes along for scaffolds and fact checks."""
    return Question(
        text=pairing_question(),
        query=(query.views["ground"],),
        candidates=tuple(candidate.views["overhead"] for candidate in candidates),
        facts={"query": dict(query.facts), "candidates": [dict(candidate.facts) for candidate in candidates]},
    )


def render(task: ProxyTask) -> Prompt:
    """Labelled, interleaved views, then the wording; without a query view its label goes too."""
    parts: list[str | View] = []
    for view in task.question.query:
        parts += ["Ground view:", view]
    for label, view in zip(task.labels, task.question.candidates, strict=True):
        parts += [f"\n{label}:", view]
    return Prompt((*parts, f"\n{task.question.text}"))


def scaffold(task: ProxyTask, rng: Random) -> str:
    """A trace of true facts in the one template whose final letter is drawn at random: it never knows the answer."""
    facts = task.question.facts
    candidates = [horizon(place) for place in facts["candidates"]]  # type: ignore[attr-defined]
    return write_trace(horizon(facts["query"]), candidates, "most alike", answer=rng.choice(task.labels))  # type: ignore[arg-type]
