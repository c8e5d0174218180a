"""Perceptual hashes of images, and pairs of hashes that differ in few bits; what counts as "the same picture".

A hash says which low frequencies of the grey picture lie above their median: it survives another size, another
compression, a little noise and another exposure. That two hashes agree is only a hint; `alike` looks again.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

SIDE = 32
"""Side, in pixels, of the grey picture that is hashed and compared."""

LOW = 8
"""Frequencies of each axis that go into the hash: LOW × LOW bits, the constant one left out."""

NEAR = 6
"""Hashes that differ in at most so many of 63 bits are looked at again."""

CORRELATION = 0.985
"""Grey pictures of at least this correlation, after equal exposure, are the same picture."""

Hashes = NDArray[np.uint64]
Greys = NDArray[np.float32]


def grey(picture: Image.Image) -> Greys:
    """The picture as SIDE × SIDE grey values of mean 0 and length 1; all 0 where it is of one colour."""
    small = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small, dtype=np.float32)
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return values / length if length > SIDE * 0.25 else np.zeros_like(values)


def hashed(values: Greys) -> int:
    """The 64-bit hash of what `grey` gave; the bit of the constant is 0.

    Source: the DCT hash of Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), §3.2.1.
    """
    low = dctn(values, norm="ortho")[:LOW, :LOW].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def near_pairs(first: Hashes, second: Hashes, most: int = NEAR) -> NDArray[np.int64]:
    """Rows (i, j), sorted, where `first[i]` and `second[j]` differ in at most `most` bits; shape (pairs, 2).

    Exact: hashes that differ in so few bits agree wholly in one of `most` + 1 bands, so only those are compared.
    """
    left, right = np.unique(first), np.unique(second)
    found = [_in_band(left, right, low, high, most) for low, high in _bands(most + 1)]
    close = np.unique(np.concatenate(found), axis=0)
    rows_left, rows_right = _rows(first, left), _rows(second, right)
    pairs = [(i, j) for one, other in close.tolist() for i in rows_left[one] for j in rows_right[other]]
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def alike(one: Greys, other: Greys) -> bool:
    """Whether two grey pictures are the same but for size, compression, exposure and a little noise."""
    return float((one * other).sum()) >= CORRELATION


def _bands(count: int) -> list[tuple[int, int]]:
    """The 64 bits cut into `count` runs, as (lowest bit, number of bits)."""
    edges = [64 * i // count for i in range(count + 1)]
    return [(low, high - low) for low, high in pairwise(edges)]


def _in_band(left: Hashes, right: Hashes, low: int, width: int, most: int) -> NDArray[np.int64]:
    """Pairs of unique hashes that agree in one band and differ in at most `most` bits."""
    mask = np.uint64((1 << width) - 1)
    band_left, band_right = (left >> np.uint64(low)) & mask, (right >> np.uint64(low)) & mask
    order = np.argsort(band_right, kind="stable")
    starts = np.searchsorted(band_right[order], band_left, side="left")
    ends = np.searchsorted(band_right[order], band_left, side="right")
    found = [np.zeros((0, 2), dtype=np.int64)]
    for i in np.flatnonzero(ends > starts).tolist():
        inside = order[starts[i] : ends[i]]
        close = inside[np.bitwise_count(right[inside] ^ left[i]) <= most]
        found.append(np.column_stack([np.full(len(close), i), close]))
    return np.concatenate(found)


def _rows(hashes: Hashes, unique: Hashes) -> list[list[int]]:
    """The rows of each unique hash."""
    rows: list[list[int]] = [[] for _ in range(len(unique))]
    for row, place in enumerate(np.searchsorted(unique, hashes).tolist()):
        rows[place].append(row)
    return rows
