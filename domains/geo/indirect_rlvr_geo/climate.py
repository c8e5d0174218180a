"""Climate by position and by word: Köppen-Geiger classes of a coarse raster, and the classes that each word means."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RASTER = Path(__file__).parent / "data" / "climate.png"
CELLS_PER_DEGREE = 12
CLASSES = (
    "Af", "Am", "As", "Aw", "BSh", "BSk", "BWh", "BWk", "Cfa", "Cfb", "Cfc", "Csa", "Csb", "Csc",
    "Cwa", "Cwb", "Cwc", "Dfa", "Dfb", "Dfc", "Dfd", "Dsa", "Dsb", "Dsc", "Dsd", "Dwa", "Dwb", "Dwc",
    "Dwd", "EF", "ET", "Ocean",
)  # fmt: skip
"""The classes by the raster's values, which start at 1."""
_COLD = "Dfc Dfd Dwc Dwd Dsc"

WORDS: dict[str, tuple[str, str]] = {
    "tropical": ("A", "BSh BWh Cfa Cwa"),
    "tropical rainforest": ("Af Am", "A Cfa"),
    "equatorial": ("A", "Cfb BSh"),
    "tropical monsoon": ("Am Aw", "A Cwa"),
    "monsoon": ("Am Aw Cwa", "A C Dwa Dwb"),
    "tropical savanna": ("Aw As", "A BSh Cwa"),
    "savanna": ("Aw As", "A BSh Cwa Cwb"),
    "subtropical": ("Cfa Cwa Csa", "A BSh BWh C"),
    "humid subtropical": ("Cfa Cwa", "A C Dfa Dwa"),
    "desert": ("BW", "B"),
    "hot desert": ("BWh", "B"),
    "cold desert": ("BWk", "B"),
    "arid": ("BW", "B Csa"),
    "semi-arid": ("BS", "B Csa Csb Dfa Dfb"),
    "dry": ("B", "C A Ds Dw"),
    "steppe": ("BS", "B D Csa"),
    "mediterranean": ("Cs", "B C Ds"),
    "oceanic": ("Cfb Cfc", "C Dfb"),
    "maritime": ("Cfb Cfc", "C D A"),
    "temperate": ("C", "D BSk BSh"),
    "temperate oceanic": ("Cfb Cfc", "C Dfb"),
    "continental": ("D", "BSk BWk C"),
    "humid continental": ("Dfa Dfb Dwa Dwb", "D Cfa Cfb"),
    "boreal": (_COLD, "D ET"),
    "subarctic": (_COLD, "D E Cfc"),
    "polar": ("E", f"{_COLD} Dsd"),
    "arctic": ("E", f"{_COLD} Dsd"),
    "tundra": ("ET", "E D"),
    "ice cap": ("EF", "ET"),
}
"""Word → classes (or their first letters) that support it, and those where usage differs and nothing is decided."""


def classes_at(latitude: float, longitude: float) -> frozenset[str]:
    """The classes of the cell at a position in degrees and of its eight neighbours, some 9 km each; the sea left
    out."""
    raster = _raster()
    row = min(int((90 - latitude) * CELLS_PER_DEGREE), len(raster) - 1)
    column = int((longitude + 180) % 360 * CELLS_PER_DEGREE)
    window = raster[max(row - 1, 0) : row + 2].take(range(column - 1, column + 2), axis=1, mode="wrap")
    return frozenset(CLASSES[value - 1] for value in np.unique(window)) - {"Ocean"}


def word(written: str) -> str:
    """The key of `WORDS` for a climate as it is written: any case, hyphens and spaces."""
    plain = " ".join(written.lower().replace("-", " ").split())
    return "semi-arid" if plain in ("semi arid", "semiarid") else plain


def matches(code: str, classes: str) -> bool:
    """Whether a class is one of those listed in full or by its first letters."""
    return any(code.startswith(given) for given in classes.split())


@cache
def _raster() -> NDArray[np.uint8]:
    return np.asarray(Image.open(RASTER))
