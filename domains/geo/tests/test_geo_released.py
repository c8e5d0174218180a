"""The released rewards pay what was measured of the released code, say what they break, and count only where asked."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.checks import check
from indirect_rlvr.config import Reward
from indirect_rlvr.domain import load_domain
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.testing.battery import assert_reward_invariants
from indirect_rlvr.testing.composites import assert_composite_invariants
from indirect_rlvr.testing.growth import steep
from indirect_rlvr.testing.subject import Role, raw, written
from indirect_rlvr.types import Completion, ProxyTask, Question, Term, View
from indirect_rlvr_geo import released

ROLES: dict[str, Role] = {
    "accuracy-as-released": "answer",
    "format-as-released": "format",
    "length-as-released": "bonus",
    "repetition-as-released": "repetition",
}
PLAIN_SUM = dict.fromkeys(ROLES, 1.0)
TAGS = st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", " ", "\n", "A.", "x"])


def a_task(answer: str = "B") -> ProxyTask:
    tiles = tuple(View("overhead", "text", f"tile {label}") for label in "ABCDE")
    question = Question("Which tile?", (View("ground", "text", "a ridge"),), tiles, {})
    return ProxyTask("s/q", "c", "train", 0, question, tuple("ABCDE"), answer, "r1", tuple(f"r{i}" for i in range(5)))


def value(term: Term, completion: Completion, answer: str = "B") -> float:
    return term.score(a_task(answer), completion).value


def chosen(text: str) -> str | None:
    """The letter with which as the right one a completion is paid for accuracy."""
    letters = [label for label in "ABCDE" if value(released.accuracy(), raw(text), label)]
    assert len(letters) <= 1
    return letters[0] if letters else None


@pytest.mark.parametrize(
    ("tokens", "paid"),
    [(0, 1.0), (379, 0.849), (587, 0.693), (1024, 0.5), (1128, 0.513), (1536, 0.75), (2048, 1.0)],
)
def test_the_length_term_pays_what_was_measured_right_or_wrong_cut_or_not(tokens: int, paid: float) -> None:
    rows = [Completion(text, tuple(range(tokens)), ended) for text in ("", "x") for ended in (True, False)]
    rows += [written(answer, tokens) for answer in "AB"]
    for row in rows:
        found = released.length().score(a_task(), row)
        counted = not row.text or tokens > 0
        assert found.status == ("scored" if counted else "not_applicable")
        assert not counted or found.value == pytest.approx(paid, abs=5e-4)


@pytest.mark.parametrize(
    "answer", ["(B)", "B)", "**B**", "<B>", "Candidate 2", "2", "The correct answer is B because it fits", "AB", ""]
)
def test_what_the_released_parser_cannot_read_is_no_answer(answer: str) -> None:
    found = released.accuracy().score(a_task(), written(answer))
    assert (found.value, found.status) == (0.0, "unparsable")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), (" b\n", "B"), ("B.", "B"), ("B: it fits", "B"), ("Candidate B", "B"), ("the answer is b!", "B"),
        ("C is right, not A.", "A"), ("(2B)?", None), ("2B?", "B"), ("A, B", "B"), ("B, A", "A"), ("B, A, A", "A"),
        ("B. So not the others, say A or so", "B"), ("Because of the road, not D. C", "D"),
    ],
)  # fmt: skip
def test_the_released_parser_wants_punctuation_behind_the_letter(answer: str, letter: str | None) -> None:
    assert chosen(written(answer).text) == letter


def test_the_vote_looks_at_the_first_place_of_a_letter_even_inside_a_word() -> None:
    far = "so it goes on for long, " * 3
    assert chosen(written(f"the right answer {far}D, {far}E, {far}so").text) == "E"
    assert chosen(written(f"my right pick {far}D, {far}E, {far}so").text) == "D"


def test_the_first_answer_counts_and_without_tags_the_whole_text() -> None:
    assert chosen("<think>x</think><answer>B</answer><answer>C</answer>") == "B"
    assert chosen("<answer>(B)</answer><answer>C</answer>") is None
    assert chosen("I would say it is B") == "B"
    assert chosen("<think>B.</think><answer>so") == "B"
    assert chosen("</answer><answer>C.</answer>") == "C"


@pytest.mark.parametrize(
    ("text", "paid"),
    [
        ("<think>x</think><answer>B</answer>", 1), ("<think>x</think>\n \n<answer>B</answer>", 1),
        ("<think></think><answer></answer>", 1), ("<think>x</think><answer>A</answer><answer>B</answer>", 1),
        ("<think>x</think><think>y</think><answer>B</answer>", 1), (" <think>x</think><answer>B</answer>", 0),
        ("<think>x</think><answer>B</answer>\n", 0), ("<think>x</think> so <answer>B</answer>", 0),
        ("<answer>B</answer>", 0), ("<think>x</think><answer>", 0), ("<think></think><answer></answer", 0), ("", 0),
    ],
)  # fmt: skip
def test_the_released_format_forgives_nothing_around_it_and_everything_inside(text: str, paid: int) -> None:
    assert value(released.format_term(), raw(text)) == paid


@settings(derandomize=True, database=None, max_examples=500, deadline=None)
@given(st.lists(TAGS, max_size=10).map("".join), st.booleans())
def test_the_format_is_that_of_the_released_pattern(text: str, whole: bool) -> None:
    shown = f"<think>{text}</answer>" if whole else text
    pattern = re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>", shown, re.DOTALL)
    assert value(released.format_term(), raw(shown)) == float(pattern is not None)


def test_repetition_is_counted_in_words_of_any_case() -> None:
    term = released.repetition()
    assert value(term, raw("a b c d e")) == 0.0
    assert value(term, raw("a b c d e f g")) == 0.0
    assert value(term, raw("Go on " * 8)) == pytest.approx(2 / 11 - 1)
    assert value(term, raw("GO on go ON " * 4)) == pytest.approx(2 / 11 - 1)
    assert value(term, Completion("one two three four five six", (7,) * 500)) == 0.0


@pytest.mark.parametrize("term", released.terms(), ids=lambda term: term.name)
@pytest.mark.parametrize("piece", ["</think><answer>", "</think> ", "A. ", "answer B, ", "aB.", "是A。"])
def test_hostile_text_takes_time_that_grows_with_it_only(term: Term, piece: str) -> None:
    assert steep(lambda text: value(term, raw("<think>" + text)), piece) is None


def test_the_released_pattern_itself_is_what_takes_quadratic_time() -> None:
    pattern = re.compile(r"<think>.*?</think>\s*<answer>.*?</answer>", re.DOTALL)
    assert steep(lambda text: pattern.fullmatch("<think>" + text), "</think><answer>") is not None


def test_every_invariant_holds_but_those_that_are_declared_broken_and_they_are() -> None:
    assert_reward_invariants(released.terms(), [a_task()], ROLES, examples=10)


@pytest.mark.parametrize("term", released.terms(), ids=lambda term: term.name)
def test_a_released_term_that_declared_nothing_would_be_found(term: Term) -> None:
    with pytest.raises(AssertionError, match=f"`{term.name}`"):
        assert_reward_invariants([replace(term, breaks=())], [a_task()], ROLES, examples=5)


def test_a_reward_without_them_is_the_same_whether_the_pack_has_them_or_not() -> None:
    terms = load_domain("geo", {}).rewards()
    assert set(ROLES) < {term.name for term in terms}
    assert build(Reward(), terms).version() == build(Reward(), []).version()


def test_with_weights_of_one_the_four_are_the_released_sum() -> None:
    reward = build(Reward(weights=PLAIN_SUM), load_domain("geo", {}).rewards())
    text = "<think>the road runs north and the roof is red</think>\n<answer>B</answer>"
    for answer, right in (("B", 1.0), ("C", 0.0)):
        total = reward.score(a_task(answer), Completion(text, tuple(range(379)))).total
        assert total == pytest.approx(right + 1.0 + 0.849, abs=5e-4)
    assert reward.score(a_task(), Completion("", ())).total == 1.0
    with pytest.raises(AssertionError, match="the composite pays"):
        assert_composite_invariants(reward, a_task())


def test_the_check_of_a_recipe_says_what_is_declared_and_that_the_whole_is_not_looked_at(tmp_path: Path) -> None:
    recipe = tmp_path / "released.toml"
    weights = ", ".join(f"{name} = 1.0" for name in PLAIN_SUM)
    recipe.write_text(f'domain = "geo"\nrecords = {{ spacing_m = 1000.0 }}\n[reward]\nweights = {{ {weights} }}\n')
    (found,) = [result for result in check("geo", str(recipe)) if result.name == "rewards"]
    assert found.ok, found.detail
    assert "`format-as-released` is declared to break pays_the_exact_format" in found.detail
    assert "the whole reward of this recipe is not looked at: `accuracy-as-released` is declared" in found.detail
