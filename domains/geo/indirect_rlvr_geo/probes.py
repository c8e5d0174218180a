"""The oracle as a probe of the audit: what can be won by someone who reads the skyline and knows the terrain."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from indirect_rlvr.data.probe import SEMANTICS, Probe
from indirect_rlvr.data.records import open_image
from indirect_rlvr.types import ProxyTask, Scalar
from indirect_rlvr_geo.oracle import skyline
from indirect_rlvr_geo.terrain import SECTORS

GEOMETRY = "geometry"


def fit(task: ProxyTask, folder: Path) -> list[float]:
    """How well each candidate's horizon fits the skyline of the ground view: minus the summed error in degrees."""
    seen = skyline(open_image(folder, task.question.query[0].content))
    places = cast(Sequence[Mapping[str, Scalar]], task.question.facts["candidates"])
    return [
        -sum(abs(float(seen[i]) - float(place[f"horizon_{sector}"])) for i, sector in enumerate(SECTORS))
        for place in places
    ]


def build() -> list[Probe]:
    """The pack's probes: the oracle alone."""
    return [Probe(GEOMETRY, SEMANTICS, fit)]
