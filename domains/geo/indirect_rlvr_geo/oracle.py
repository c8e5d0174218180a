"""The geometry oracle: how often the answer can be found by someone who reads the skyline and knows the terrain.

It reads the ground view's pixels as any policy must, and compares them with the horizons that the elevation model gives
for each candidate's place. It bounds what the proxy task allows, and fixes the minimum separation of candidates.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from indirect_rlvr.data.records import open_image
from indirect_rlvr.types import ProxyTask, Scalar
from indirect_rlvr_geo.facts import horizon
from indirect_rlvr_geo.language import DIRECTIONS, HORIZON_EDGES
from indirect_rlvr_geo.terrain import SECTORS, Array
from indirect_rlvr_geo.views import PANORAMA_DEGREES, PANORAMA_SIZE, RIBBON


def skyline(picture: Image.Image) -> Array:
    """Mean horizon angle of each of the eight sectors, in degrees, from the pixels of a ground view.

    In each column the border of sky and ground is where brightness crosses the middle between its top and bottom rows.
    """
    rows = PANORAMA_SIZE[1] - RIBBON
    grey = np.asarray(picture.convert("L"), dtype=np.float64)[:rows]
    middle = (grey[0] + grey[-1]) / 2
    sky = (grey > middle).sum(axis=0)
    low, high = PANORAMA_DEGREES
    degrees: Array = (high - sky / rows * (high - low)).reshape(len(SECTORS), -1).mean(axis=1)
    return degrees


def choose(task: ProxyTask, folder: Path, coarse: bool = False) -> str:
    """The label of the candidate whose horizon is nearest to the ground view's skyline.

    `coarse` compares as the traces do: levels, 0 to 9, in the four cardinal directions; else degrees in all eight
    sectors. The first label wins ties.
    """
    seen = skyline(open_image(folder, task.question.query[0].content))
    places = cast(Sequence[Mapping[str, Scalar]], task.question.facts["candidates"])
    if coarse:
        levels = np.digitize(seen[::2], HORIZON_EDGES)
        errors = [sum(abs(levels[i] - horizon(place)[d]) for i, d in enumerate(DIRECTIONS)) for place in places]
    else:
        errors = [sum(abs(seen[i] - float(place[f"horizon_{s}"])) for i, s in enumerate(SECTORS)) for place in places]
    return task.labels[int(np.argmin(errors))]


def accuracy(tasks: Sequence[ProxyTask], folder: Path, coarse: bool = False) -> float:
    """The share of tasks that the oracle answers right."""
    return sum(choose(task, folder, coarse) == task.answer for task in tasks) / len(tasks)
