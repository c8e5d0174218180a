"""What mining sees of records: a table of integers, the same on every machine, and the plan of what is wanted of it.

A record is its tag, a keyed hash of its id: the tag is the order of everything random, and breaks every tie.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.errors import DataError
from indirect_rlvr.run import keyed_rng

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]
Places = NDArray[np.intp]

SYMMETRIC, BLOCKS, RING = "symmetric", "blocks", "ring"


@dataclass(frozen=True, slots=True)
class Rows:
    """n records. `pools` (n,) says who may meet at all: same split, same keys. `points` (n, D) are coordinates, `bits`
    (n, W) fingerprints, `distinct` (n, C) codes that no two members of a set share (0 is "not known"), `nuisance` (n,).
    """

    tags: Words
    pools: Words
    points: Integers
    bits: Words
    distinct: Words
    nuisance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.tags)

    def take(self, which: NDArray[np.intp] | NDArray[np.bool_]) -> "Rows":
        """The chosen rows, in the order chosen."""
        return Rows(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


@dataclass(frozen=True, slots=True)
class Axis:
    """One metric over columns `start` to `stop` of `points` or `bits`.

    Members of a set are at least `low` and at most `high` apart: squared integer distance of points, bits for
    `hamming`, millionths for `tanimoto`. `sides[level]` cuts points into cells; without sides the axis cuts nothing.
    """

    kind: Literal["points", "hamming", "tanimoto"]
    start: int
    stop: int
    low: int = 0
    high: int | None = None
    sides: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is wanted: sets of `k`, by which sampler, at how many levels, in which metrics, with which seed.

    The first axis, where it has sides, is the place by which work is shared out. `reach[level]` is the squared integer
    r_max of the anchor ring. `never` are codes of pairs (`pair_codes`) that must not meet.
    """

    k: int
    seed: int
    sampler: Literal["symmetric", "blocks", "ring"] = "symmetric"
    levels: int = 1
    axes: tuple[Axis, ...] = ()
    reach: tuple[int, ...] = ()
    never: tuple[int, ...] = ()

    @property
    def place(self) -> Axis | None:
        """The axis by which space is cut, or None."""
        return self.axes[0] if self.axes and self.axes[0].sides else None


@dataclass(frozen=True, slots=True)
class Sets:
    """m candidate sets: `members` (m, k) are tags, ascending except that an anchor comes first; `levels` (m,).

    `without` are the tags of own records that no set could be formed for. The first `disjoint` sets share no member
    with each other; later ones take members again.
    """

    members: Words
    levels: NDArray[np.int64]
    without: Words
    disjoint: int = 0

    def __len__(self) -> int:
        return len(self.members)


def tags(seed: int, ids: Iterable[str]) -> Words:
    """The tag of each id: 64 bits of a hash keyed with the seed, and never 0.

    Raises DataError where an id comes twice.
    """
    key = seed.to_bytes(16, "big")
    ids = list(ids)
    made = np.fromiter(
        (int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8, key=key).digest(), "little") or 1 for i in ids),
        dtype=np.uint64,
        count=len(ids),
    )
    check_unique(made, ids)
    return made


def check_unique(made: Words, ids: Sequence[str]) -> None:
    """Raise DataError where two rows have one tag; two ids with one tag are as likely as a torn file."""
    order = np.argsort(made, kind="stable")
    twice = np.flatnonzero(made[order][1:] == made[order][:-1])
    if len(twice):
        one, other = order[twice[0]], order[twice[0] + 1]
        raise DataError(
            f"the id `{ids[one]}` comes twice, as numbers {one} and {other}; give each record an id of its own"
            if ids[one] == ids[other]
            else f"the ids `{ids[one]}` and `{ids[other]}` have the same hash; choose another seed"
        )


def code(*texts: object) -> int:
    """A 64-bit code of some values, never 0; equal values have equal codes."""
    text = "\x1f".join(map(str, texts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little") or 1


def mix(words: Words, key: int = 0) -> Words:
    """Another 64-bit hash of each word, one to one for each key (the finaliser of splitmix64)."""
    mixed = words ^ np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def pair_codes(one: Words, other: Words) -> Words:
    """A code of each unordered pair of tags."""
    return mix(mix(np.minimum(one, other)) ^ np.maximum(one, other))


def word(seed: int, *key: object) -> int:
    """64 random bits that depend on (seed, key) alone."""
    return keyed_rng(seed, *key).getrandbits(64)


def join(parts: Sequence[Rows]) -> Rows:
    """The rows of several tables, one after the other."""
    return Rows(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Rows)})
