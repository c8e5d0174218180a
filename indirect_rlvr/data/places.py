"""What a neighbourhood says of each record, in real numbers: its position, its nuisance, its place on further metrics.

`lattice.py` makes integers of it.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.data import sphere
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, Record, Ring

T = TypeVar("T")

DEGREES = "lon_lat_degrees"


def points(records: Sequence[Record], neighbourhood: Neighbourhood) -> NDArray[np.float64]:
    """The positions of the records, shape (records, dimensions), in the neighbourhood's unit.

    Degrees come back as three metres: straight through the earth, a ten-millionth shorter than the arc at 5 km. Raises
    DataError where a coordinate is not finite or not in range, or records differ in the number of coordinates.
    """
    assert neighbourhood.position is not None
    found = coordinates(records, neighbourhood.position, "position")
    if neighbourhood.metric != DEGREES:
        return found
    return sphere.unit_integers(*degrees(records, found)) / sphere.SCALE * sphere.EARTH_M


def nuisances(records: Sequence[Record], neighbourhood: Neighbourhood) -> NDArray[np.float64]:
    """The nuisance scalar of each record, shape (records,).

    Raises DataError where one is not finite.
    """
    nuisance = neighbourhood.nuisance
    assert nuisance is not None
    values = asked(records, lambda record: float(nuisance(record)), "nuisance")
    for record, value in zip(records, values, strict=True):
        if not math.isfinite(value):
            raise DataError(f"record `{record.id}`: nuisance is {value}; expected a finite number")
    return np.array(values, dtype=np.float64)


def points_of(records: Sequence[Record], ring: Ring) -> NDArray[np.float64]:
    """What the ring measures of each record, shape (records, dimensions)."""
    return coordinates(records, ring.value, f"rings[{ring.name}].value")  # type: ignore[arg-type]


def check(neighbourhood: Neighbourhood) -> None:
    """Raise DataError where the neighbourhood contradicts itself."""
    cells = neighbourhood.cells
    if not all(np.isfinite(side) and side > 0 for side in cells) or any(a >= b for a, b in pairwise(cells)):
        raise DataError(f"`neighbourhood.cells` is {cells}; expected positive sides, smallest first")
    for name, value in (("r_min", neighbourhood.r_min), ("buffer", neighbourhood.buffer)):
        if not np.isfinite(value) or value < 0:
            raise DataError(f"`neighbourhood.{name}` is {value}; expected a finite distance, 0 or more")
    if neighbourhood.position is None and (cells or neighbourhood.r_min or neighbourhood.buffer):
        raise DataError(
            "`neighbourhood` has cells, r_min or buffer but no `position`; give `position` or leave them out"
        )
    for ring in neighbourhood.rings:
        _check_ring(ring)


def _check_ring(ring: Ring) -> None:
    high = math.inf if ring.r_max is None else ring.r_max
    if not 0 <= ring.r_min <= high or not math.isfinite(ring.r_min) or (ring.r_min == 0 and high == math.inf):
        raise DataError(
            f"ring `{ring.name}` is [{ring.r_min}, {ring.r_max}]; expected 0 <= r_min <= r_max, one of them given"
        )
    if (ring.metric == "euclidean") != (ring.bits == 0) or ring.bits < 0:
        raise DataError(
            f"ring `{ring.name}` has the metric {ring.metric} and {ring.bits} bits; expected the length of the "
            "fingerprint for hamming and tanimoto, and 0 for euclidean"
        )


def asked(records: Sequence[Record], of: Callable[[Record], T], name: str) -> list[T]:
    """What a function of the domain says of each record; its errors name the record."""
    found = []
    for record in records:
        try:
            found.append(of(record))
        except Exception as error:
            error.add_note(f"in `{name}` of the domain's neighbourhood, at record `{record.id}`")
            raise
    return found


def coordinates(records: Sequence[Record], of: Callable[[Record], Sequence[float]], name: str) -> NDArray[np.float64]:
    found = asked(records, lambda record: tuple(float(x) for x in of(record)), name)
    for record, row in zip(records, found, strict=True):
        if not all(map(math.isfinite, row)):
            raise DataError(f"record `{record.id}`: {name} is {row}; expected finite coordinates")
        if not row or len(row) != len(found[0]):
            raise DataError(
                f"record `{record.id}`: {name} {row} has {len(row)} coordinates, `{records[0].id}` has "
                f"{len(found[0])}; expected the same number, at least one"
            )
    return np.array(found, dtype=np.float64).reshape(len(records), -1)


def degrees(records: Sequence[Record], found: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if found.shape[1] != 2:
        raise DataError(f"positions have {found.shape[1]} coordinates; expected (longitude_degrees, latitude_degrees)")
    sphere.check_degrees(found[:, 0], found[:, 1], [record.id for record in records])
    return found[:, 0], found[:, 1]
