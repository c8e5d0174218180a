import string
from collections.abc import Callable

import pytest

from indirect_rlvr.rewards.parsing import LONGEST, has_format, last_answer, parse_answer, parse_choice, sections

LABELS = tuple("ABCDE")

NO_CHOICE = [
    "",
    "   \n",
    "A or B",
    "A and B",
    "A/B",
    "A, B",
    "b, c",
    "(a) or (b)",
    "Either B or D",
    "Image A or image B",
    "Both A and image B",
    "A, B, C, D, E",
    "A B C D E",
    "C is right, not A.",
    "The answer is C, not B.",
    "not B",
    "Not B.",
    "B is not the match",
    "It isn't B",
    "It can't be image B",
    "anything except B",
    "The answer is not B",
    "The answer is B. No wait, the answer is C.",
    "B because A is too flat",
    "Image B is higher than image A",
    "\\boxed{A} \\boxed{B}",
    "none of them",
    "all of the above",
    "I do not know",
    "a ridge",
    "A ridge",
    "A steep ridge runs north",
    "A *narrow* ridge",
    "A series of ridges",
    "the answer is a match",
    "a candidate",
    "A-frame",
    "a U-shaped valley",
    "E.g., the ridge",
    "N/A",
    "B2",
    "AB",
    "F",
    "Candidate F",
    "0",
    "6",
    "12",
    "2.5",
    "2 ridges",
    "1 or 2",
    "the 2nd",
    "Image 2 of 5",
    "A 2",
    "the ridge in B",
    "vitamin C",
    "С",  # Cyrillic
    "🅱",
    "[12, 40, 80, 96]",
    "<think>",
    "Not A, not C",
    "Neither A nor B",
    "It is certainly not image D.",
    "I would exclude A",
    "B is wrong",
    "Rather C than B",
    "B instead of A",
    "B, but it could be C",
    "B, or maybe D",
    "Possibly A, possibly B",
    "A and B both match",
    "I am not sure, B",
    "B is unlikely",
    "B cannot be excluded",
    "C > B > A",
    "A=B",
    "\\boxed{A, B}",
    "\\boxed{}",
    "\\boxed{\\text{none}}",
    "**A** or **B**",
    "1 and 2",
    "Images 1 and 3",
    "Answer:",
    "The answer is",
    "The answer is unclear",
    "BC",
    "b2b",
    "B1",
    "G",
    "image",
    "candidate",
    "???",
    "-",
    "null",
    "undefined",
    "True",
    "six",
    "50%",
    "2 of 5",
    "between B and C",
    "from A to B",
    "B vs. D",
    "B vs D",
    "The answer is A. The answer is B.",
    "Plan B",
    "see section C",
]

CHOICES = {
    "B": "B",
    "b": "B",
    "a": "A",
    " B \n": "B",
    "B.": "B",
    "B)": "B",
    "(B)": "B",
    "[B]": "B",
    "<B>": "B",
    "{B}": "B",
    "'B'": "B",
    '"B"': "B",
    "**B**": "B",
    "__B__": "B",
    "`B`": "B",
    "### B": "B",
    "**(b)**": "B",
    "B?": "B",
    "B B": "B",
    "Image B": "B",
    "image_B": "B",
    "Candidate B": "B",
    "candidate b.": "B",
    "option b": "B",
    "Option (B)": "B",
    "Satellite image B": "B",
    "Tile A": "A",
    "Answer: B": "B",
    "Answer: A": "A",
    "Answer: (b)": "B",
    "**Answer:** B": "B",
    "Final answer: **B**": "B",
    "Answer:\nB": "B",
    "The answer is B": "B",
    "the answer is a": "A",
    "The correct answer is (A).": "A",
    "The answer is Image B.": "B",
    "The correct answer is B because the ridge is steep": "B",
    "The correct answer is A because the ridge is steep": "A",
    "Therefore, the answer is B.": "B",
    "I think it's B": "B",
    "I choose A": "A",
    "I'd go with C": "C",
    "It must be D!": "D",
    "That is E": "E",
    "B is correct": "B",
    "A is correct.": "A",
    "B is the match": "B",
    "B matches the view": "B",
    "A matches the view": "A",
    "Image A shows the ridge": "A",
    "Image B shows the ridge": "B",
    "the ridge on the left matches image B best": "B",
    "B because the peak is in the north": "B",
    "A because the peak is in the north": "A",
    "B: a ridge with two peaks": "B",
    "B) North ridge": "B",
    "B - the ridge": "B",
    "B — the ridge": "B",
    "B, a lake": "B",
    "C. A steep ridge": "C",
    "B: A ridge runs north": "B",
    "B\n\nThe ridge matches": "B",
    "A ridge and a lake, so B.": "B",
    "Answer = B": "B",
    "\\boxed{B}": "B",
    "$\\boxed{\\text{B}}$": "B",
    "\\(\\mathbf{B}\\)": "B",
    '{"answer": "B"}': "B",
    "A and C lack the ridge. The answer is D.": "D",
    "Not A. The final answer is B.": "B",
    "A is flat, C is steep. \\boxed{B}": "B",
    "B, probably": "B",
    "\uff22": "B",
    "\uff08\uff22\uff09": "B",
    "Answer\uff1aB": "B",
    "\u24b7": "B",
    "\U0001d401": "B",
    "\u200bB\u200b": "B",
    "2": "B",
    "(2)": "B",
    "2.": "B",
    "\uff12": "B",
    "Candidate 2": "B",
    "The answer is 5": "E",
    "B (2)": "B",
    "Picture E": "E",
    "photo D": "D",
    "Map C": "C",
    "Tile (c)": "C",
    "Panel D.": "D",
    "chip e": "E",
    "Label: C": "C",
    "letter D": "D",
    "number 3": "C",
    "Option 4": "D",
    "Image 5.": "E",
    "**Image C**": "C",
    "*B*": "B",
    "~~B~~": "B",
    "$B$": "B",
    "\\text{B}": "B",
    "$$\\boxed{\\mathrm{D}}$$": "D",
    "\\boxed{(C)}": "C",
    "So the answer is (C).": "C",
    "Hence B.": "B",
    "Thus, D": "D",
    "I would choose C.": "C",
    "I'll go with E": "E",
    "I believe it is D": "D",
    "My answer is B": "B",
    "My final answer: C": "C",
    "Correct answer: D": "D",
    "Best match: E": "E",
    "It's C!": "C",
    "It is probably B": "B",
    "Definitely B": "B",
    "B is the best match": "B",
    "C appears to match": "C",
    "E, with its lake": "E",
    "D; the river bends": "D",
    "C\n": "C",
    "\tC": "C",
    "“C”": "C",
    "‘C’": "C",
    "Answer → C": "C",
    "Final answer\n\nC": "C",
    "\uff23": "C",
    "\u24d2": "C",
    "\U0001d402": "C",
    "5": "E",
    "(4)": "D",
}

HOSTILE = {
    "open tags": "<answer>" * 62_500,
    "closing tags": "</answer>" * 55_555,
    "nested tags": "<answer>" * 30_000 + "</answer>" * 30_000,
    "empty answers": "<answer></answer>" * 29_411,
    "half tags": "<answer" * 71_428,
    "think tags": "<think>" * 71_428,
    "labels": "B " * 250_000,
    "answers": "the answer is A. " * 29_411,
    "dotted": "A." * 250_000,
    "apostrophes": "n't " * 125_000,
    "spaces": "B" + " " * 500_000 + "B",
    "newlines": "\n" * 500_000,
    "boxes": "\\boxed{" * 71_428,
    "combining marks": "\u0301\u0327" * 250_000,
    "wide ligatures": "\ufdfa" * 500_000,
    "lone surrogates": "\ud800" * 500_000,
}


PARSERS = (lambda text: parse_answer(text, LABELS), has_format, last_answer, sections)
TAGLESS = {
    "half tags", "labels", "answers", "dotted", "apostrophes", "spaces", "boxes", "combining marks", "wide ligatures",
    "lone surrogates",
}  # fmt: skip
"""Hostile texts without a whole tag."""


@pytest.mark.parametrize("text", NO_CHOICE)
def test_what_is_not_clearly_one_label_is_no_choice(text: str) -> None:
    assert parse_choice(text, LABELS) is None


@pytest.mark.parametrize(("text", "label"), CHOICES.items())
def test_a_clear_choice_is_read(text: str, label: str) -> None:
    assert parse_choice(text, LABELS) == label


def test_the_tables_have_the_promised_size() -> None:
    assert len(NO_CHOICE) + len(CHOICES) >= 200


@pytest.mark.parametrize("name", HOSTILE)
def test_half_a_megabyte_of_hostile_text_is_read_to_its_end(name: str) -> None:
    text = HOSTILE[name]
    inside = f"<answer>{text}</answer>"
    assert not has_format(text)
    assert has_format(f"<think>x</think><answer>{text}</answer>") == (name in TAGLESS)
    assert parse_choice(text, LABELS) is None
    assert parse_choice(text[:LONGEST], LABELS) == {"labels": "B", "answers": "A", "spaces": "B"}.get(name)
    assert isinstance(last_answer(inside), str)


def test_a_longer_text_is_read_in_proportionally_many_steps(count_lines: Callable[[Callable[[], object]], int]) -> None:
    unit = "<think>Image A is a ridge \u0301\ufdfa<answer>not B</answer>"
    small, large = (
        count_lines(lambda n=n: [parse(unit * (n // len(unit))) for parse in PARSERS]) for n in (5_000, 500_000)
    )
    assert 50 * small < large < 120 * small


def test_an_essay_between_the_tags_is_no_answer(count_lines: Callable[[Callable[[], object]], int]) -> None:
    unit = "Image A is a ridge, not B. \u0301\ufdfa"
    small, large = (count_lines(lambda n=n: parse_choice(unit * (n // len(unit)), LABELS)) for n in (500, LONGEST))
    assert large < 25 * small
    assert count_lines(lambda: parse_choice(unit * LONGEST, LABELS)) < 20


def test_every_label_is_read_alike_in_every_phrase() -> None:
    labels = tuple(string.ascii_uppercase[:8])
    phrases = [text for text in CHOICES if text.count("B") == 1 and not any(other in text for other in "ACDEFGH2")]
    assert len(phrases) > 30
    for phrase in phrases:
        assert [parse_choice(phrase.replace("B", label), labels) for label in labels] == list(labels), phrase


def test_the_pronoun_i_is_no_label() -> None:
    labels = tuple(string.ascii_uppercase[:9])
    assert parse_choice("I choose B", labels) == "B"
    assert parse_choice("I think so", labels) is None
    assert parse_choice("The answer is I.", labels) == "I"
    assert parse_choice("I", labels) == "I"


def test_digits_stand_for_letters_only_where_the_labels_are_letters() -> None:
    assert parse_choice("2", ("1", "2", "3")) == "2"
    assert parse_choice("2", ("3", "2", "1")) == "2"
    assert parse_choice("2", ("yes", "no")) is None
    assert parse_choice("3", ("A", "B")) is None
    assert parse_choice("Candidate 2 has 3 peaks", ("1", "2", "3")) is None


def test_labels_of_any_kind_are_read_where_they_stand_alone() -> None:
    assert parse_choice("No.", ("yes", "no")) == "no"
    assert parse_choice("Yes, because it is", ("yes", "no")) == "yes"
    assert parse_choice(" New York ", ("New York", "New Delhi")) == "New York"
    assert parse_choice("New", ("New York", "New Delhi")) is None
    assert parse_choice("b", ("B", "b")) == "b"
    assert parse_choice("B", ("B", "b")) == "B"
    assert parse_choice("B", ()) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "<answer>B</answer>",
        "<think>x</think>",
        "<think></think><answer>B</answer>",
        "<think> \n</think><answer>B</answer>",
        "<think>x</think><answer></answer>",
        "<think>x</think><answer> </answer>",
        "<answer>B</answer><think>x</think>",
        "<think>x</think><answer>A</answer><answer>B</answer>",
        "<think>x</think><think>y</think><answer>B</answer>",
        "<think>x<think>y</think></think><answer>B</answer>",
        "<think>x<answer>B</answer></think>",
        "<think>x</think>so<answer>B</answer>",
        "hm<think>x</think><answer>B</answer>",
        "<think>x</think><answer>B</answer> done",
        "<think>x</think><answer>B",
        "<think>x<answer>B</answer>",
        "<Think>x</Think><Answer>B</Answer>",
        "</think>x<think></answer>B<answer>",
    ],
)
def test_anything_but_one_think_and_one_answer_lacks_the_format(text: str) -> None:
    assert not has_format(text)


@pytest.mark.parametrize(
    "text",
    [
        "<think>x</think><answer>B</answer>",
        " <think>x</think>\n<answer>B</answer>\n",
        "\n<think>\nx < y\n</think>\n\n<answer>\nB\n</answer>  ",
    ],
)
def test_whitespace_around_the_tags_keeps_the_format(text: str) -> None:
    assert has_format(text)


def test_the_last_complete_answer_counts() -> None:
    assert last_answer("no tags, B") is None
    assert last_answer("<answer>B") is None
    assert last_answer("B</answer>") is None
    assert last_answer("<answer>A</answer><answer>B</answer>") == "B"
    assert last_answer("<answer>A</answer><answer>B") == "A"
    assert last_answer("<answer>A</answer>B</answer>") == "A"
    assert last_answer("<answer>A<answer>B</answer>") == "B"


def test_sections_hold_every_complete_pair_in_order() -> None:
    found = sections("<think>a</think><answer>1</answer><think>b<answer>2</answer>")
    assert found.think == ("a",)
    assert found.answer == ("1", "2")


def test_an_answer_is_only_read_between_its_tags() -> None:
    assert parse_answer("The answer is B", LABELS) is None
    assert parse_answer("<answer>A</answer> no: <answer>B</answer>", LABELS) == "B"
    assert parse_answer("<answer>A</answer><answer>none</answer>", LABELS) is None
