"""Where a neighbourhood puts each record: as real points, and as integers, so that distances are the same everywhere.

Integers make every comparison of distances exact: no library, thread count or machine can break a tie another way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Neighbourhood, Record

Cell = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lattice:
    """Integer points `points[i]` of the records, with the cell sides and r_min in the same integer unit.

    The unit is a power of ten between 1e-5 and 1e-6 of the smallest of cell sides and r_min: coordinates with so few
    decimals are exact, others are rounded to it once.
    """

    points: list[tuple[int, ...]]
    sides: tuple[int, ...]
    r_min: int

    def apart(self, one: int, other: int) -> bool:
        """Whether two records are at least r_min from each other."""
        squares = sum((a - b) ** 2 for a, b in zip(self.points[one], self.points[other], strict=True))
        return squares >= self.r_min**2


def points(records: Sequence[Record], neighbourhood: Neighbourhood) -> NDArray[np.float64]:
    """The positions of the records, shape (records, dimensions), in the neighbourhood's unit.

    Raises DataError where a coordinate is not finite or records differ in the number of coordinates.
    """
    assert neighbourhood.position is not None
    rows: list[tuple[float, ...]] = []
    for record in records:
        try:
            row = tuple(float(x) for x in neighbourhood.position(record))
        except Exception as error:
            error.add_note(f"in `position` of the domain's neighbourhood, at record `{record.id}`")
            raise
        if not np.isfinite(row).all():
            raise DataError(f"record `{record.id}`: position is {row}; expected finite coordinates")
        if not row or len(row) != len(rows[0] if rows else row):
            raise DataError(
                f"record `{record.id}`: position {row} has {len(row)} coordinates, `{records[0].id}` has "
                f"{len(rows[0]) if rows else 0}; expected the same number, at least one"
            )
        rows.append(row)
    return np.array(rows, dtype=np.float64)


def nuisances(records: Sequence[Record], neighbourhood: Neighbourhood) -> NDArray[np.float64]:
    """The nuisance scalar of each record, shape (records,).

    Raises DataError where one is not finite.
    """
    assert neighbourhood.nuisance is not None
    values: list[float] = []
    for record in records:
        try:
            values.append(float(neighbourhood.nuisance(record)))
        except Exception as error:
            error.add_note(f"in `nuisance` of the domain's neighbourhood, at record `{record.id}`")
            raise
        if not np.isfinite(values[-1]):
            raise DataError(f"record `{record.id}`: nuisance is {values[-1]}; expected a finite number")
    return np.array(values, dtype=np.float64)


def lattice(records: Sequence[Record], neighbourhood: Neighbourhood) -> Lattice | None:
    """Integer coordinates of the records, or None where position decides nothing: there is none, or no cell and r_min.

    Raises DataError for cells that are not positive and ascending, a negative r_min, or unusable positions.
    """
    check(neighbourhood)
    scales = [length for length in (*neighbourhood.cells[:1], neighbourhood.r_min) if length > 0]
    if neighbourhood.position is None or not scales:
        return None
    step = float(f"1e{Decimal(min(scales)).adjusted() - 5}")
    grid = np.rint(points(records, neighbourhood) / step)
    if (np.abs(grid) >= 2.0**53).any():
        raise DataError(
            f"positions reach {np.abs(grid).max() * step:g} {neighbourhood.unit}, too far for cells or r_min of "
            f"{min(scales):g}; subtract an origin in `position`, or enlarge them"
        )
    return Lattice(
        points=[tuple(row) for row in grid.astype(np.int64).tolist()],
        sides=tuple(round(side / step) for side in neighbourhood.cells),
        r_min=round(neighbourhood.r_min / step),
    )


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
