"""The first pass over a data set: every pair by its listing, every image by the listing of its folder, none opened.

It takes seconds, and whatever it can find is found before anything long starts.
"""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from indirect_rlvr.data import sphere
from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Listing, Pair, take

FOLDERS = 16
"""Folders whose listings are kept in memory; data sets name their images folder by folder."""


@dataclass(slots=True)
class Survey:
    """What the listings say: a digest of every pair in order, pairs by group and by split, and what is missing."""

    digest: str = ""
    groups: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    first_missing: str = ""
    has_positions: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.groups.total()


def survey(listing: Listing, root: Path, limit: int, options: Options) -> Survey:
    """Go through the listing once; raises DataError for what makes the data set unusable."""
    found, hasher = Survey(notes=list(listing.notes)), hashlib.sha256()
    files = _Files(root)
    places: list[tuple[float, float]] = []
    for group, pair in take(listing, limit):
        hasher.update(repr(pair).encode())
        found.groups[group] += 1
        found.splits[pair.split] += 1
        _positioned(found, pair, places)
        for image in (pair.ground, pair.overhead):
            if not files.has(image):
                found.missing[group] += 1
                found.first_missing = found.first_missing or image
                break
    found.digest = hasher.hexdigest()
    if places:
        found.notes += sphere.suspicions(*np.array(places).T)
    _refuse(found, root, options)
    return found


class _Files:
    """Which images there are, by the listings of their folders: one call of the disk for each folder."""

    def __init__(self, root: Path) -> None:
        self._names = lru_cache(maxsize=FOLDERS)(lambda folder: _names(root / folder))

    def has(self, image: str) -> bool:
        """Whether a file of that path is listed."""
        folder, _, name = image.rpartition("/")
        return name in self._names(folder)


def _names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if not entry.is_dir())
    except OSError:
        return frozenset()


SAMPLE = 65_536
"""Positions that are looked at for what looks odd."""


def _positioned(found: Survey, pair: Pair, places: list[tuple[float, float]]) -> None:
    has = pair.latitude_deg is not None and pair.longitude_deg is not None
    if found.pairs > 1 and has != found.has_positions:
        raise DataError(
            f"pair `{pair.id}` has {'a' if has else 'no'} position, those before have {'none' if has else 'one'}; give "
            "a position to all or to none"
        )
    found.has_positions = has
    if pair.latitude_deg is not None and pair.longitude_deg is not None and len(places) < SAMPLE:
        places.append((pair.longitude_deg, pair.latitude_deg))


def _refuse(found: Survey, root: Path, options: Options) -> None:
    if not found.pairs:
        raise DataError(f"`{root}` lists no pair at all; unpack the data set there")
    missing = found.missing.total()
    if missing > options.bad_share * found.pairs:
        groups = ", ".join(f"{count:,} of {found.groups[group]:,} in {group}" for group, count in found.missing.items())
        raise DataError(
            f"{missing:,} of {found.pairs:,} pairs below `{root}` lack an image ({groups}), first "
            f"`{found.first_missing}`; unpack or download them again, or allow it with --set bad_share=0.5"
        )
    for side in ("train", "test"):
        if not found.splits[side]:
            raise DataError(
                f"no pair of `{root}` is on the {side} side: {', '.join(found.groups)} alone cannot be split; add a "
                f"city of that side, or say which to hold out with --set test_cities=NAME"
            )
