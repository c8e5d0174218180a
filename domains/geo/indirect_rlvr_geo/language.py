"""The words of the terrain world: facts as levels, questions, and the one trace template with its writer and reader.

Levels are tenths of the training blocks' distribution, 0 (lowest) to 9 (highest), for horizon angles in four
directions, mean slope and elevation. A fact reads `N3` (horizon to the north at level 3) or `slope 4`.
"""

import re
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Levels = Mapping[str, int]
Rule = Literal["most alike", "least alike", "highest"]
TargetKind = Literal["horizon", "higher", "slope", "elevation"]

LETTERS = "ABCDE"
DIRECTIONS = {"N": "north", "E": "east", "S": "south", "W": "west"}
HORIZON_EDGES = (-4.22, -0.81, 0.92, 2.55, 4.43, 6.57, 9.16, 12.36, 16.67)  # degrees
SLOPE_EDGES = (6.93, 8.65, 10.27, 12.22, 13.93, 15.12, 15.83, 17.09, 18.77)  # degrees
ELEVATION_EDGES = (329.5, 361.7, 403.5, 452.1, 500.3, 554.7, 600.2, 645.8, 744.5)  # metres
EXAM = "Think first, then choose one letter."


@dataclass(frozen=True)
class StatedFact:
    """One fact that a trace states: of the query (`view` is "query") or of the candidate with that letter."""

    view: str
    name: str
    level: int


def horizon_level(degrees: float) -> int:
    """Level of the mean horizon angle over the 45-degree sector around a direction."""
    return bisect(HORIZON_EDGES, degrees)


def slope_level(degrees: float) -> int:
    """Level of the mean slope inside an overhead chip."""
    return bisect(SLOPE_EDGES, degrees)


def elevation_level(metres: float) -> int:
    """Level of the elevation at a place."""
    return bisect(ELEVATION_EDGES, metres)


def pairing_question() -> str:
    """The proxy task, asked after one ground view and the lettered overhead views."""
    return f"Which overhead view shows the place of the ground view? {EXAM}"


def target_question(kind: TargetKind, options: Sequence[str] = ()) -> str:
    """A target task in the same wording; `options` are the lettered choices (none where the choices are views)."""
    asked = {
        "horizon": "In which direction is the horizon highest?",
        "higher": "Which overhead view shows the higher place?",
        "slope": "Which slope does the overhead view show?",
        "elevation": "Which elevation does the overhead view show?",
    }[kind]
    listed = [f"{letter}: {option}" for letter, option in zip(LETTERS, options, strict=False)]
    return " ".join([asked, *listed, EXAM])


def state(levels: Levels) -> str:
    """Facts in words, in the order given: `N3 E8` or `slope 4 elevation 2`."""
    return " ".join(f"{name}{level}" if name in DIRECTIONS else f"{name} {level}" for name, level in levels.items())


def write_trace(cues: Levels, candidates: Sequence[Levels], rule: Rule, answer: str | None = None) -> str:
    """A completion: visual cues, cross-view evidence, geographic knowledge, answer.

    Evidence goes candidate by candidate, by the rule named first. A rule of likeness sets each fact of the candidate
    beside the query's and adds up the differences; `highest` reads one level. Each line ends with its total and the
    best total so far with its letter (the first wins ties). The answer is the final best letter unless `answer` names
    another, as scaffolds do with a random one.
    """
    lines, best = _keep_best([_evidence(cues, candidate, rule) for candidate in candidates], rule)
    return (
        f"<think>\nVisual cues: {state(cues) or 'relief'}\nCross-view evidence: {rule}\n{lines}\n"
        f"Geographic knowledge: {_knowledge(cues)}\n</think>\n<answer>{answer or best}</answer>"
    )


def write_totals(totals: Sequence[int], rule: Rule) -> str:
    """The comparison alone, for totals that were given: the lines of a trace without their evidence, and the answer."""
    lines, best = _keep_best([("", total) for total in totals], rule)
    return f"<think>\nCross-view evidence: {rule}\n{lines}\n</think>\n<answer>{best}</answer>"


def write_guess(cues: Levels, answer: str) -> str:
    """A short completion: the visual cues and then an answer that rests on nothing."""
    return (
        f"<think>\nVisual cues: {state(cues) or 'relief'}\nGeographic knowledge: {_knowledge(cues)}\n</think>\n"
        f"<answer>{answer}</answer>"
    )


def read_trace(text: str) -> list[StatedFact]:
    """The facts that a trace states about its views, in order, the evidence's copies of the query's facts included.

    Reads the visual cues and the evidence lines, ignores every other line, and runs in linear time.
    """
    facts: list[StatedFact] = []
    for line in text.split("\n"):
        head, _, rest = line.partition(" ")
        if line.startswith("Visual cues: "):
            facts += [StatedFact("query", name, level) for name, level in _facts(line[len("Visual cues: ") :])]
        elif len(head) == 1 and head in LETTERS:
            stated = _facts(rest.partition(" total ")[0])
            paired = len(stated) % 2 == 0 and all(a[0] == b[0] for a, b in zip(stated[::2], stated[1::2], strict=True))
            for place, (name, level) in enumerate(stated):
                facts.append(StatedFact("query" if paired and place % 2 == 0 else head, name, level))
    return facts


def stated_extremes(text: str) -> list[tuple[str, str]]:
    """What the line of geographic knowledge says of the horizon: ("high", "N"), ("low", "W"); often nothing."""
    return [(m[1], m[2][0].upper()) for m in _EXTREME.finditer(text)]


def lexicon() -> list[str]:
    """Every word the pack writes, each with the white space before it, for the tokenizer of the tiny model."""
    numbers = [f" {number}" for number in range(37)]
    horizons = [f" {direction}{level}" for direction in DIRECTIONS for level in range(10)]
    letters = [f"{before}{letter}{after}" for letter in LETTERS for before in ("", " ", "\n") for after in ("", ":")]
    return numbers + horizons + letters + re.findall(_WORD, _SENTENCES)


_WORD = r"\s?<[^<>\s]+>|\s?[^\s<>]+"
_FACT = re.compile(r"([NESW])(\d)\b|\b(slope|elevation) (\d+)")
_EXTREME = re.compile(r"\b(high|low) (north|east|south|west)\b")
_SENTENCES = "\n".join(
    [
        "<think>\nVisual cues: relief\nCross-view evidence: most alike least highest",
        "\nGeographic knowledge: high low upper lower half",
        " total best",
        "</think>\n<answer>A</answer>",
        "Ground view:\nGround view: Overhead view:\nOverhead view: View: north east south west",
        f"{pairing_question()} {EXAM}",
        *(f" {target_question(kind)}" for kind in ("horizon", "higher", "slope", "elevation")),
        "Describe the view. Compare the heights: slope elevation higher",
        " Which overhead view is most alike? least alike? highest? Work it out and give its letter.",
    ]
)


def _keep_best(evidence: Sequence[tuple[str, int]], rule: Rule) -> tuple[str, str]:
    """The lines of evidence, each with its total and the best total and letter so far, and the best letter of all."""
    lines, best, best_total = [], "", 0
    for letter, (words, total) in zip(LETTERS, evidence, strict=False):
        better = total < best_total if rule == "most alike" else total > best_total
        if not best or better:
            best, best_total = letter, total
        lines.append(" ".join(filter(None, [letter, words, f"total {total} {letter} best {best_total} {best}"])))
    return "\n".join(lines), best


def _evidence(cues: Levels, candidate: Levels, rule: Rule) -> tuple[str, int]:
    if rule == "highest":
        return state(candidate), sum(candidate.values())
    score, words = 0, []
    for name, level in candidate.items():
        score += abs(cues[name] - level)
        words.append(f"{state({name: cues[name]})} {state({name: level})} {score}")
    return " ".join(words), score


def _knowledge(cues: Levels) -> str:
    if set(cues) == set(DIRECTIONS):
        high, low = max(cues, key=cues.__getitem__), min(cues, key=cues.__getitem__)
        return f"high {DIRECTIONS[high]} low {DIRECTIONS[low]}"
    if not cues:
        return "relief"
    return f"{'upper' if sum(cues.values()) >= 5 * len(cues) else 'lower'} half"


def _facts(words: str) -> list[tuple[str, int]]:
    return [(m[1], int(m[2])) if m[1] else (m[3], int(m[4])) for m in _FACT.finditer(words)]
