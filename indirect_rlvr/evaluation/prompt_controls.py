"""Control prompts that tell seeing from guessing: the same questions without their images, or with another's images."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Example, Prompt, View

BLIND, SHUFFLED = "blind", "shuffled"
CONTROLS = (BLIND, SHUFFLED)


def control(name: str, examples: Sequence[Example], seed: int) -> list[Example]:
    """The examples as one control asks them; those without images, or with media missing, are left out.

    "blind" takes every image out of the prompt. "shuffled" puts the images of another example of the same sub-task and
    the same number of images in their place, of another cluster where there is one; an example is left out where no
    other has different images.
    """
    shown = [example for example in examples if not example.missing and _images(example)]
    return _shuffled(shown, seed) if name == SHUFFLED else [_with(example, ()) for example in shown]


def _shuffled(examples: Sequence[Example], seed: int) -> list[Example]:
    alike: dict[tuple[str, int], list[Example]] = defaultdict(list)
    for example in examples:
        alike[example.task, len(_images(example))].append(example)
    lent: dict[str, tuple[View, ...]] = {}
    for group in alike.values():
        ring = sorted(group, key=lambda example: keyed_rng(seed, SHUFFLED, example.id).random())
        lent |= {example.id: found for at, example in enumerate(ring) if (found := _donor(ring, at))}
    return [_with(example, lent[example.id]) for example in examples if example.id in lent]


def _donor(ring: Sequence[Example], at: int, tries: int = 100) -> tuple[View, ...]:
    """The images of the next example in the ring that is of another cluster, or else shows something else."""
    others = [ring[(at + step) % len(ring)] for step in range(1, min(len(ring), tries))]
    different = [other for other in others if _images(other) != _images(ring[at])]
    apart = [other for other in different if other.cluster != ring[at].cluster]
    return _images((apart or different)[0]) if different else ()


def _images(example: Example) -> tuple[View, ...]:
    return tuple(part for part in example.prompt.parts if isinstance(part, View) and part.modality == "image")


def _with(example: Example, images: tuple[View, ...]) -> Example:
    left = list(images)
    parts = [
        part if isinstance(part, str) or part.modality != "image" else (left.pop(0) if left else None)
        for part in example.prompt.parts
    ]
    return replace(example, prompt=Prompt(tuple(part for part in parts if part is not None)))
