"""Traces for photos without any teacher, and what a teacher is told: one template, true sentences, no answer.

The template is the paper's: visual cues, cross-view evidence, geographic knowledge, conclusion (arXiv 2510.00072, as
far as it is published). What the pixels show, no metadata knows; so the traces say how to look and what is known of the
place, and draw their letter.
"""

from collections.abc import Mapping
from random import Random

from indirect_rlvr.types import ProxyTask, Record, Scalar
from indirect_rlvr_geo import knowledge

STEPS = (
    "Reason in four steps, a short paragraph each: the visual cues of the ground view (roads, buildings, vegetation, "
    "signs, light and shadows); the cross-view evidence, which of them each overhead view shows or lacks; the "
    "geographic knowledge that bears on it (climate zone, hemisphere, side of the road); the conclusion.",
    "State no country, city, climate, direction or coordinate that neither these notes nor the views give.",
)
_CUES = (
    "I look for roads, buildings, vegetation, signs and light in the ground view.",
    "I note the course of the road, the buildings beside it, the plants, the signs and the light.",
    "The ground view is to be read for the road, what stands beside it, what grows there, and the light.",
)
_EVIDENCE = (
    "Seen from above, the same place shows the same roads, roofs and trees around the camera; I compare the layout of",
    "From above the same road must run the same way, with the same roofs and trees beside it; I look for that in",
    "What stands near the camera must stand near the middle of the matching view; I look for that layout in",
)
_CONCLUSIONS = ("Of these I choose {}.", "My choice is {}.", "I settle on {}.")


def scaffold(task: ProxyTask, rng: Random) -> str | None:
    """A trace from the query's metadata alone, whose letter is drawn at random; None where the metadata supports no
    sentence."""
    facts: Mapping[str, Scalar] = task.question.facts["query"]  # type: ignore[assignment]
    label = rng.choice(task.labels)
    cues, known = knowledge.picture(facts), knowledge.place(facts)
    if not cues and not known:
        return None
    *first, last = task.labels
    steps = {
        "Visual cues": [rng.choice(_CUES), *cues],
        "Cross-view evidence": [f"{rng.choice(_EVIDENCE)} {', '.join(first)} and {last}."],
        "Geographic knowledge": known,
        "Conclusion": [rng.choice(_CONCLUSIONS).format(label)],
    }
    lines = [f"{name}: {' '.join(sentences)}" for name, sentences in steps.items() if sentences]
    return "<think>\n" + "\n".join(lines) + f"\n</think>\n<answer>{label}</answer>"


def brief(record: Record) -> tuple[str, ...]:
    """The template, and what is true of the record's neighbourhood: position and place by name of no single tile."""
    return (*STEPS, *knowledge.place(record.facts))
