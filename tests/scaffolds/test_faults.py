"""The language of a trace is told where it can be; hostile text is judged in time that grows with its length only."""

import pytest

from indirect_rlvr.scaffolds.faults import same_language

WORDING = (
    "Which of the overhead views shows the place of the ground view? First output the thinking process and then the "
    "answer. Reason from what can be seen, in plain sentences, and name the one that you find best."
)
ENGLISH = (
    "The road bends to the left behind the two houses, and the field on the other side has a hedge. View B has the "
    "same bend with a hedge beside it, while A and C are straight."
)
GERMAN = (
    "Die Straße biegt hinter den beiden Häusern nach links ab, und das Feld auf der anderen Seite hat eine Hecke. "
    "Bild B zeigt dieselbe Kurve, während A und C gerade sind."
)
SPANISH = (
    "La carretera gira a la izquierda detrás de las dos casas, y el campo del otro lado tiene un seto. La vista B "
    "tiene la misma curva, mientras que A y C son rectas y no tienen ninguna casa."
)


@pytest.mark.parametrize("said", [GERMAN, SPANISH, "道路は家の後ろで左に曲がります。", "Дорога поворачивает налево."])
def test_another_language_is_told(said: str) -> None:
    assert not same_language(WORDING, said)


@pytest.mark.parametrize(
    "said", [ENGLISH, "<think>N1 E3</think><answer>B</answer>", "", "42", "B", "The sign says 東京."]
)
def test_the_same_language_and_what_is_too_short_to_tell_pass(said: str) -> None:
    assert same_language(WORDING, said)


@pytest.mark.parametrize("said", [GERMAN, ENGLISH])
def test_a_wording_that_is_not_english_asks_for_its_script_alone(said: str) -> None:
    assert same_language("Welches der Luftbilder zeigt den Ort der Bodenansicht? Begründe in ganzen Sätzen. " * 3, said)


def test_no_wording_asks_for_nothing() -> None:
    assert same_language("", "道路は")


@pytest.mark.parametrize("piece", ["a", "\x00", "<think>", "\u0301", "é ", "\ud800"])
def test_hostile_text_is_read_without_harm(piece: str) -> None:
    assert same_language(WORDING, piece * 100_000) in (True, False)
