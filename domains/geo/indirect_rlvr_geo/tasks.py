"""The proxy task: which overhead view shows the place of the ground view; its neighbourhood, wording and scaffold."""

from collections.abc import Mapping, Sequence
from random import Random

from indirect_rlvr.types import Neighbourhood, Prompt, ProxyTask, Question, Record, Scalar, View
from indirect_rlvr_geo.facts import horizon
from indirect_rlvr_geo.language import pairing_question, write_trace
from indirect_rlvr_geo.settings import Settings
from indirect_rlvr_geo.terrain import BLOCK_M, HALF_WIDTH_M

APART = (
    f"Training and held-out blocks alternate like a checkerboard of {BLOCK_M / 1000:g} km squares. An overhead view "
    f"lies wholly inside its own block, so places of different splits are at least {2 * HALF_WIDTH_M / 1000:g} km "
    f"apart, a full overhead view. Haze hides everything beyond {HALF_WIDTH_M / 1000:g} km of the eye, so a panorama "
    "shows nothing that lies outside its own overhead view."
)


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
        about=APART,
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
    return Prompt((*parts, f" {task.question.text}"))


def scaffold(task: ProxyTask, rng: Random) -> str:
    """A trace of true facts in the one template, by the rule of likeness, whose final letter is drawn at random.

    It teaches what to look at; that the most alike candidate is the answer is left for reinforcement to find.
    """
    facts = task.question.facts
    query: Mapping[str, Scalar] = facts["query"]  # type: ignore[assignment]
    candidates: Sequence[Mapping[str, Scalar]] = facts["candidates"]  # type: ignore[assignment]
    return write_trace(horizon(query), [horizon(c) for c in candidates], "most alike", rng.choice(task.labels))
