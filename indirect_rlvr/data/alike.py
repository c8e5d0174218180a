"""Records that show the same thing, by bytes or to the eye: they never stand in one set."""

from collections.abc import Sequence

import numpy as np

from indirect_rlvr.data import phash
from indirect_rlvr.data.looks import Look, Looks
from indirect_rlvr.data.rows import Words, code
from indirect_rlvr.types import Record


def content_codes(records: Sequence[Record], looks: Looks | None) -> Words:
    """For each record and kind of view, a code that records with the same content share; shape (records, 2 × kinds).

    One column of a kind is of bytes, one of pictures that look the same (as `phash.alike` says, and so on from one to
    the next); 0 where a record has no such view. Without `looks` images are told apart by their paths alone. Raises
    DataError where an image cannot be read.
    """
    kinds = sorted({kind for record in records for kind in record.views})
    columns: list[Words] = []
    for kind in kinds:
        views = [record.views.get(kind) for record in records]
        found = [looks.of(view) if looks and view and view.modality == "image" else None for view in views]
        codes = [
            0 if view is None else code(look.digest if look else view.content)
            for view, look in zip(views, found, strict=True)
        ]
        columns += [np.array(codes, dtype=np.uint64), _pictures(found)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(records), 0), dtype=np.uint64)


def _pictures(looks: Sequence[Look | None]) -> Words:
    """The number of the family of pictures that look the same, from 1; 0 where there is no picture or no likeness."""
    rows = [row for row, look in enumerate(looks) if look is not None and look.hash is not None]
    family = list(range(len(looks)))
    hashes = np.array([looks[row].hash for row in rows], dtype=np.uint64)  # type: ignore[union-attr]
    for one, other in phash.near_pairs(hashes, hashes).tolist() if rows else ():
        first, second = looks[rows[one]], looks[rows[other]]
        assert first and second and first.grey is not None and second.grey is not None
        if one < other and phash.alike(first.grey, second.grey):
            _join(family, rows[one], rows[other])
    return np.array([_root(family, row) + 1 if look else 0 for row, look in enumerate(looks)], dtype=np.uint64)


def _root(family: list[int], row: int) -> int:
    while family[row] != row:
        family[row] = family[family[row]]
        row = family[row]
    return row


def _join(family: list[int], one: int, other: int) -> None:
    low, high = sorted((_root(family, one), _root(family, other)))
    family[high] = low
