"""The world of this pack: three vital signs, how a nurse and a monitor write them, and how one reasons over both."""

from collections.abc import Mapping

Readings = Mapping[str, int]

LEVELS = ("low", "normal", "high")
SIGNS = {
    "temp": ((34, 35), (36, 37), (38, 39)),  # degrees Celsius
    "pulse": ((40, 45, 50), (60, 70, 80), (110, 120, 130)),  # beats per minute
    "breath": ((6, 8, 10), (14, 16, 18), (24, 28, 32)),  # breaths per minute
}
"""Each sign with its readings at each level; no number stands under two signs."""
LEVEL_OF = {
    reading: name
    for ranges in SIGNS.values()
    for name, readings in zip(LEVELS, ranges, strict=True)
    for reading in readings
}


def note(readings: Readings) -> str:
    """What the nurse writes: levels, no numbers."""
    return "note: " + " ".join(f"{sign} {LEVEL_OF[readings[sign]]}" for sign in SIGNS)


def monitor(bed: int, readings: Readings) -> str:
    """What the monitor prints: numbers, no levels, and a bed that has nothing to do with them."""
    return f"bed {bed} " + " ".join(f"{sign} {readings[sign]}" for sign in SIGNS)


def trace(noted: Readings, monitors: Mapping[str, Readings], answer: str | None = None) -> str:
    """Line by line: the noted level beside the printed number, y or n, and the best line so far.

    The answer is the best line at the end, unless `answer` names another.
    """
    lines, best = [], "none"
    for label, printed in monitors.items():
        agrees = {sign: LEVEL_OF[noted[sign]] == LEVEL_OF[printed[sign]] for sign in SIGNS}
        best = label if all(agrees.values()) else best
        words = [f"{LEVEL_OF[noted[sign]]} {printed[sign]} {'y' if agrees[sign] else 'n'}" for sign in SIGNS]
        lines.append(f"{label}: {' '.join(words)} best {best}")
    return "<think>\n" + "\n".join(lines) + f"\n</think>\n<answer>{answer or best}</answer>"
