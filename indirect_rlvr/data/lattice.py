"""Records as integer rows, and a neighbourhood as the plan of a mining: the step from real numbers to exact ones.

Integers make every comparison of distances exact: no library, thread count or machine can break a tie another way.
"""

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.data import sphere
from indirect_rlvr.data.legal import MILLION
from indirect_rlvr.data.places import DEGREES, asked, check, coordinates, degrees, nuisances, points_of
from indirect_rlvr.data.rows import Axis, Plan, Rows, Words, code, tags
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, Record, Ring


def rows_of(records: Sequence[Record], neighbourhood: Neighbourhood, distinct: Words, seed: int) -> Rows:
    """The records as rows; `distinct` (records, columns) are codes of what they show, 0 for unknown.

    Raises DataError that names the record for a missing split, key or fact, and for values that are no numbers.
    """
    place = [integer_points(records, neighbourhood)] if _has_place(neighbourhood) else []
    further = [_integers(points_of(records, ring), _step(ring)) for ring in neighbourhood.rings if not ring.bits]
    prints = [_fingerprints(records, ring) for ring in neighbourhood.rings if ring.bits]
    n = len(records)
    matched = [[code(name, _fact(r, name)) for name in neighbourhood.match_keys] for r in records]
    return Rows(
        tags=tags(seed, [record.id for record in records]),
        pools=np.array([_pool(record, neighbourhood) for record in records], dtype=np.uint64),
        points=np.hstack([np.zeros((n, 0), dtype=np.int64), *place, *further]),
        bits=np.hstack([np.zeros((n, 0), dtype=np.uint64), *prints]),
        distinct=np.hstack([distinct, np.array(matched, dtype=np.uint64).reshape(n, -1)]),
        nuisance=nuisances(records, neighbourhood) if neighbourhood.nuisance else np.zeros(n),
    )


def widths_of(sample: Sequence[Record], neighbourhood: Neighbourhood) -> tuple[int, list[int]]:
    """How many integers the position has, and how many integers or words each ring, as one sample record shows."""
    check(neighbourhood)
    place = integer_points(sample, neighbourhood).shape[1] if _has_place(neighbourhood) else 0
    return place, [math.ceil(r.bits / 64) if r.bits else points_of(sample, r).shape[1] for r in neighbourhood.rings]


def plan_of(
    neighbourhood: Neighbourhood,
    k: int,
    seed: int,
    dimensions: int,
    sampler: Literal["symmetric", "blocks", "ring"] = "symmetric",
    short: Literal["widen", "drop"] = "widen",
    ring_widths: Sequence[int] = (),
) -> Plan:
    """The plan for a neighbourhood whose place has so many coordinates, and its rings so many each.

    Raises DataError where the neighbourhood contradicts itself or lacks what the sampler needs.
    """
    check(neighbourhood)
    if k < 2:
        raise DataError(f"`tasks.k` is {k}; expected at least 2 candidates")
    if sampler == "blocks" and neighbourhood.nuisance is None:
        raise DataError('the sampler "blocks" needs `neighbourhood.nuisance`; give it, or take "symmetric"')
    if sampler == "ring" and not neighbourhood.cells:
        raise DataError('the sampler "ring" needs a position and cells, which are its r_max; take "symmetric"')
    cells = neighbourhood.cells[:1] if short == "drop" else neighbourhood.cells
    levels = max(1, len(cells))
    axes = [_place_axis(neighbourhood, cells, dimensions)] if _has_place(neighbourhood) else []
    reach = tuple(math.floor(_squared(neighbourhood, cell / 2)) for cell in cells)
    return Plan(k, seed, sampler, levels, (*axes, *_ring_axes(neighbourhood, dimensions, levels, ring_widths)), reach)


def integer_points(records: Sequence[Record], neighbourhood: Neighbourhood) -> NDArray[np.int64]:
    """Positions in integer steps: of the sphere, or a power of ten of 1e-5 to 1e-6 of the smallest of cells and r_min,
    so that coordinates of few decimals are exact."""
    assert neighbourhood.position is not None
    found = coordinates(records, neighbourhood.position, "position")
    if neighbourhood.metric == DEGREES:
        return sphere.unit_integers(*degrees(records, found))
    return _integers(found, place_step(neighbourhood))


def place_step(neighbourhood: Neighbourhood) -> float:
    """The unit of the integer positions, in the neighbourhood's unit."""
    return _power(min(length for length in (*neighbourhood.cells[:1], neighbourhood.r_min) if length > 0))


def _place_axis(neighbourhood: Neighbourhood, cells: Sequence[float], dimensions: int) -> Axis:
    side = sphere.steps if neighbourhood.metric == DEGREES else lambda x: round(x / place_step(neighbourhood))
    low = math.ceil(_squared(neighbourhood, neighbourhood.r_min))
    return Axis("points", 0, dimensions, _bounded(low, dimensions, "r_min"), None, tuple(side(cell) for cell in cells))


def _ring_axes(neighbourhood: Neighbourhood, start: int, levels: int, widths: Sequence[int]) -> list[Axis]:
    axes, word = [], 0
    for ring, width in zip(neighbourhood.rings, widths, strict=True):
        if ring.bits:
            scale = MILLION if ring.metric == "tanimoto" else 1
            high = None if ring.r_max is None else math.floor(ring.r_max * scale)
            kind: Literal["hamming", "tanimoto"] = "tanimoto" if ring.metric == "tanimoto" else "hamming"
            axes.append(Axis(kind, word, word + width, math.ceil(ring.r_min * scale), high))
            word += width
            continue
        high = None if ring.r_max is None else round(ring.r_max / _step(ring)) ** 2
        sides = () if ring.r_max is None else (max(1, round(ring.r_max / _step(ring))),) * levels
        low = _bounded(round(ring.r_min / _step(ring)) ** 2, width, f"ring `{ring.name}`")
        axes.append(Axis("points", start, start + width, low, high, sides))
        start += width
    return axes


def _squared(neighbourhood: Neighbourhood, length: float) -> float:
    if neighbourhood.metric == DEGREES:
        return sphere.squared_chord(length)
    return round(length / place_step(neighbourhood)) ** 2


def _bounded(square: int, dimensions: int, name: str) -> int:
    if square >= 2**62 // max(1, dimensions):
        raise DataError(f"{name} is more than a thousand times the smallest length; make the smallest length larger")
    return square


def _pool(record: Record, neighbourhood: Neighbourhood) -> int:
    """Records of one pool agree on split and keys."""
    if not record.split:
        raise DataError(f"record `{record.id}` has no split; assign splits before sets are formed")
    return code(record.split, json.dumps([_fact(record, name) for name in neighbourhood.keys]))


def _fact(record: Record, name: str) -> object:
    if name not in record.facts:
        raise DataError(
            f"record `{record.id}` lacks the fact `{name}` that the neighbourhood needs; it has: "
            f"{', '.join(sorted(record.facts)) or 'none'}"
        )
    return record.facts[name]


def _has_place(neighbourhood: Neighbourhood) -> bool:
    return neighbourhood.position is not None and bool(neighbourhood.cells or neighbourhood.r_min)


def _step(ring: Ring) -> float:
    return _power(min(length for length in (ring.r_min, ring.r_max or 0) if length > 0))


def _power(length: float) -> float:
    return float(f"1e{Decimal(length).adjusted() - 5}")


def _integers(found: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    grid = np.rint(found / step)
    if (np.abs(grid) >= 2.0**53).any():
        raise DataError(
            f"positions reach {np.abs(grid).max() * step:g}, too far for lengths in steps of {step:g}; subtract an "
            "origin, or enlarge cells and r_min"
        )
    return grid.astype(np.int64)


def _fingerprints(records: Sequence[Record], ring: Ring) -> Words:
    """Fingerprints as 64-bit words, shape (records, words)."""
    words = math.ceil(ring.bits / 64)
    found = asked(records, ring.value, f"rings[{ring.name}].value")
    for record, value in zip(records, found, strict=True):
        if not isinstance(value, int) or not 0 <= value < 2**ring.bits:
            raise DataError(
                f"record `{record.id}`: ring `{ring.name}` has the fingerprint {str(value)[:40]}; expected an integer "
                f"of at most {ring.bits} bits, not negative"
            )
    raw = b"".join(value.to_bytes(words * 8, "little") for value in found if isinstance(value, int))
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64).reshape(len(records), words)
