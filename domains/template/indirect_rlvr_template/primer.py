"""Generic skills that a pretrained model would bring along: read a number, answer a choice, compare line by line."""

import re

from indirect_rlvr.defaults import INSTRUCTION
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import PrimerExample
from indirect_rlvr_template.signs import LEVEL_OF, LEVELS, SIGNS, monitor, note, trace

CHOICES = dict(zip("ABC", LEVELS, strict=True))
COMPARE = "Which line says the same as the note?"
ABOUT = (
    "saying whether temp or breath of a print-out is low, normal or high (the target task asks for pulse, which "
    "priming never does); and comparing a note with four print-outs line by line and naming the line that agrees, "
    "asked in other words than the proxy task"
)
ASKED = ("temp", "breath")


def choice_question(sign: str) -> str:
    """The multiple-choice question on one sign of a print-out."""
    choices = " ".join(f"{letter}: {name}" for letter, name in CHOICES.items())
    return f"How is the {sign}? {choices} {INSTRUCTION}"


def answer(reading: int) -> str:
    """The letter of a reading's level."""
    return {name: letter for letter, name in CHOICES.items()}[LEVEL_OF[reading]]


def example(seed: int, index: int) -> PrimerExample:
    """One example of one skill: a choice about one sign, or a comparison line by line."""
    rng = keyed_rng(seed, "primer", index)
    lines = [{sign: rng.choice(rng.choice(ranges)) for sign, ranges in SIGNS.items()} for _ in range(4)]
    printed = [monitor(rng.randrange(1, 10), readings) for readings in lines]
    if rng.random() < 0.35:
        sign = rng.choice(ASKED)
        reading = lines[0][sign]
        shown = [printed[0], choice_question(sign)]
        done = f"<think>\n{sign} {reading} {LEVEL_OF[reading]}\n</think>\n<answer>{answer(reading)}</answer>"
    else:
        noted = rng.choice(lines)
        labelled = [part for pair in zip(("A:", "B:", "C:", "D:"), printed, strict=True) for part in pair]
        shown = [note(noted), *labelled, f"{COMPARE} {INSTRUCTION}"]
        done = trace(noted, dict(zip("ABCD", lines, strict=True)))
    return PrimerExample([{"role": "user", "content": [{"type": "text", "text": "\n".join(shown)}]}], [], done)


def lexicon() -> list[str]:
    """Every word above, with and without the white space before it, for the tokenizer."""
    words = {word for ranges in SIGNS.values() for readings in ranges for word in map(str, readings)}
    words |= {str(bed) for bed in range(1, 10)} | {"y", "n", "best", "none", "bed", "note:", "Which", "print-out"}
    words |= {"belongs", "to", "the", "note?", *LEVELS, *SIGNS, *"ABCD", *(f"{letter}:" for letter in "ABCD")}
    words |= set(re.findall(r"</?[a-z]+>|[^\s<>]+", f"{COMPARE} {INSTRUCTION} {' '.join(map(choice_question, SIGNS))}"))
    return [before + word for word in sorted(words) for before in ("", " ", "\n")]
