"""What only all pairs together show: ids that come twice, one picture at different places, duplicates, repeats.

Everything is held as arrays of 64-bit codes, about a hundred bytes a pair.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.data.rows import Words, code
from indirect_rlvr.data.sphere import great_circle_m
from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.benchmarks.cv_cities import HALF_TILE_M
from indirect_rlvr_geo.prepare.images import content
from indirect_rlvr_geo.prepare.parts import VIEWS, columns_of

ONE_PICTURE, DUPLICATE = "one picture at different places", "duplicate of an earlier pair"

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Pairs:
    """All pairs of the parts, in order: `usable` and codes, 0 where there is nothing; positions are NaN where they are
    not known. `picture` has a column for each view, as `path` has."""

    usable: NDArray[np.bool_]
    id: Words
    place: Words
    captured: Words
    path: Words
    picture: Words
    latitude_deg: Floats
    longitude_deg: Floats


REASONS = ("", ONE_PICTURE, DUPLICATE)


@dataclass(frozen=True, slots=True)
class Settled:
    """`reason` (n,) indexes `REASONS`, 0 for a pair that stays; `contents` are the pictures that were told apart by
    all their bytes, by (row, view); `repeats` counts places that come again."""

    reason: NDArray[np.int8]
    contents: dict[tuple[int, int], str]
    repeats: dict[str, int]


def settle(parts: Sequence[Path], root: Path) -> Settled:
    """Look at all pairs together; raises DataError where two have one id."""
    pairs = _read(parts)
    _check_ids(pairs, parts)
    contents = _told_apart(pairs, parts, root)
    reason = np.zeros(len(pairs.id), dtype=np.int8)
    for view in range(len(VIEWS)):
        reason[_one_picture(pairs, view)] = 1
    reason[_duplicates(pairs, pairs.usable & (reason == 0))] = 2
    return Settled(reason, contents, _repeats(pairs, pairs.usable & (reason == 0)))


def _read(parts: Sequence[Path]) -> Pairs:
    names = ("reason", "id", "place", "captured", "latitude", "longitude", *VIEWS, *(f"{v}_content" for v in VIEWS))
    found: dict[str, list[NDArray[np.generic]]] = {name: [] for name in names}
    for columns in columns_of(parts, names):
        for name in names:
            found[name].append(_array(name, columns[name]))
    whole = {name: np.concatenate(arrays) for name, arrays in found.items()}
    return Pairs(
        usable=whole["reason"] == 0,
        id=whole["id"],
        place=whole["place"],
        captured=whole["captured"],
        path=np.column_stack([whole[view] for view in VIEWS]),
        picture=np.column_stack([whole[f"{view}_content"] for view in VIEWS]),
        latitude_deg=whole["latitude"],
        longitude_deg=whole["longitude"],
    )


def _array(name: str, values: list[str] | list[float | None]) -> NDArray[np.generic]:
    if name in ("latitude", "longitude"):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array([code(value) if value else 0 for value in values], dtype=np.uint64)


def _check_ids(pairs: Pairs, parts: Sequence[Path]) -> None:
    order = np.argsort(pairs.id, kind="stable")
    same = np.flatnonzero(pairs.id[order][1:] == pairs.id[order][:-1])
    if len(same):
        one, other = sorted(order[same[0] : same[0] + 2].tolist())
        name = _cell(parts, one, "id")
        raise DataError(f"the id `{name}` comes twice, as pairs {one + 1:,} and {other + 1:,}; correct the table")


def _cell(parts: Sequence[Path], row: int, name: str) -> str:
    for columns in columns_of(parts, (name,)):
        if row < len(columns[name]):
            return str(columns[name][row])
        row -= len(columns[name])
    raise AssertionError(f"row {row} is beyond the parts")


def _groups(codes: Words, among: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """The rows of each code that comes more than once, in order."""
    rows = np.flatnonzero(among)
    order = rows[np.argsort(codes[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return [group for group in np.split(order, cuts) if len(group) > 1]


def _told_apart(pairs: Pairs, parts: Sequence[Path], root: Path) -> dict[tuple[int, int], str]:
    """Read in full the different files whose sketches agree, so that only equal bytes count as one picture."""
    suspects = np.zeros(pairs.path.shape, dtype=np.bool_)
    for view in range(len(VIEWS)):
        for group in _groups(pairs.picture[:, view], pairs.usable):
            if len(np.unique(pairs.path[group, view])) > 1:
                suspects[group, view] = True
    found: dict[tuple[int, int], str] = {}
    start = 0
    for columns in columns_of(parts, VIEWS):
        size = len(columns[VIEWS[0]])
        for row, view in np.argwhere(suspects[start : start + size]).tolist():
            whole = content(root / columns[VIEWS[view]][row])
            found[start + row, view] = whole
            pairs.picture[start + row, view] = code(whole)
        start += size
    return found


def _one_picture(pairs: Pairs, view: int) -> NDArray[np.intp]:
    """Rows whose picture other files show at places farther than half a tile: placeholders, or rows mixed up."""
    found: list[NDArray[np.intp]] = []
    for group in _groups(pairs.picture[:, view], pairs.usable):
        if len(np.unique(pairs.path[group, view])) > 1 and _differ(pairs, group):
            found.append(group)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.intp)


def _differ(pairs: Pairs, group: NDArray[np.intp]) -> bool:
    if len(np.unique(pairs.place[group])) == 1:
        return False
    lon, lat = pairs.longitude_deg[group], pairs.latitude_deg[group]
    if np.isnan(lon).any():
        return True
    return bool(great_circle_m(lon[0], lat[0], lon, lat).max() > HALF_TILE_M)


def _duplicates(pairs: Pairs, among: NDArray[np.bool_]) -> NDArray[np.intp]:
    """All but the first of the pairs that show the same in both views."""
    rows = np.flatnonzero(among)
    _, first = np.unique(pairs.picture[rows], axis=0, return_index=True)
    return np.delete(rows, first)


def _repeats(pairs: Pairs, among: NDArray[np.bool_]) -> dict[str, int]:
    groups = _groups(pairs.place, among)
    dated = [pairs.captured[group] for group in groups]
    return {
        "places": len(groups),
        "pairs": sum(map(len, groups)),
        "places_in_different_months": sum(len(np.unique(months[months != 0])) > 1 for months in dated),
    }
