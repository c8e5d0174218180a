"""How hard a proxy task is, measured on its candidate set and stored with the task.

No measure knows which candidate is right: were tasks chosen by one that does, the choice would tell the answer to a
policy that never looks at the query.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from indirect_rlvr.data.places import points
from indirect_rlvr.data.records import open_image
from indirect_rlvr.types import Neighbourhood, ProxyTask, Record, View

Floats = NDArray[np.float64]

THUMBNAIL = 16
"""Side, in pixels, of what `similarity` sees of an image."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a measure says, and at which end of it tasks are hard."""

    about: str
    hard: Literal["low", "high"]


MEASURES = {
    "cell": Measure("side of the cell the candidates come from", "low"),
    "spread": Measure("mean distance between two candidates", "low"),
    "similarity": Measure("mean likeness of two candidates' raw views, 1 where they are the same", "high"),
    "pass_rate": Measure("share of a policy's completions that are right, over all tasks of a candidate set", "low"),
}
"""Every measure by name; `pass_rate` comes from answers (`evaluation/difficulty.py`), the others from records."""


def measured(
    tasks: Sequence[ProxyTask], records: Sequence[Record], neighbourhood: Neighbourhood, folder: Path
) -> list[ProxyTask]:
    """The tasks with `cell` and `spread` (in the neighbourhood's unit, degrees in metres) and `similarity` in [0, 1].

    `cell` is left out where the neighbourhood has no cells, `spread` where it has no position. `folder` is what image
    views are relative to. Raises DataError for an unusable position or image.
    """
    where = None if neighbourhood.position is None else points(records, neighbourhood)
    row = {record.id: number for number, record in enumerate(records)}
    known: dict[tuple[View, ...], float] = {}
    found = []
    for task in tasks:
        values: dict[str, float] = {}
        if neighbourhood.cells:
            values["cell"] = float(neighbourhood.cells[task.level])
        if where is not None:
            members = where[[row[name] for name in task.candidate_records]]
            values["spread"] = _mean([float(np.linalg.norm(a - b)) for a, b in combinations(members, 2)])
        views = tuple(sorted(task.question.candidates, key=lambda view: (view.modality, view.content)))
        if views not in known:
            known[views] = _similarity(views, folder)
        found.append(replace(task, difficulty={**values, "similarity": known[views]}))
    return found


def _similarity(views: Sequence[View], folder: Path) -> float:
    """Mean over all pairs: of images 1 minus the root mean square difference of their thumbnails, of texts the share of
    byte pairs they have in common (Dice); 0 for an image and a text."""
    pixels = [_pixels(view, folder) for view in views if view.modality == "image"]
    pairs = [_byte_pairs(view) for view in views if view.modality == "text"]
    alike = [1.0 - float(np.sqrt(np.mean((one - other) ** 2))) for one, other in combinations(pixels, 2)]
    alike += [2 * (one & other).total() / (one.total() + other.total()) for one, other in combinations(pairs, 2)]
    return _mean(alike + [0.0] * (len(pixels) * len(pairs)))


def _pixels(view: View, folder: Path) -> Floats:
    """Thumbnail, values in [0, 1]."""
    small = open_image(folder, view.content).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).ravel() / 255


def _byte_pairs(view: View) -> Counter[tuple[int, int]]:
    """How often each pair of neighbouring bytes comes, both ends of the text being bytes of their own."""
    return Counter(pairwise(b"\0" + view.content.encode() + b"\0"))


def _mean(values: Sequence[float]) -> float:
    """Correctly rounded, so that it does not depend on the order of the candidates, which follows the answer."""
    return math.fsum(values) / len(values)
