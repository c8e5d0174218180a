"""What verdicts add up to: precision, the reward term, repair; and that sentences are found in any text."""

import pickle

import pytest

from indirect_rlvr.rewards.facts import (
    Claim,
    Finding,
    contradictions,
    fact_precision,
    judge,
    precision,
    repaired,
    sentences,
)
from indirect_rlvr.types import Completion, ProxyTask, Question, Verdict

YES = Verdict("the peak is north", "supported", "bearing 2")
NO = Verdict("the lake is east", "contradicted", "bearing 270")
OPEN = Verdict("it is old", "unverifiable", "")
ALSO = Verdict("the ridge is high", "supported", "900 m")
TASK = ProxyTask("t", "c", "train", 0, Question("?", (), (), {}), ("A",), "A", "q", ("a",))


@pytest.mark.parametrize(
    ("verdicts", "value"),
    [([], None), ([OPEN], None), ([NO], 0.0), ([YES, OPEN], 1.0), ([YES, ALSO, NO, OPEN, OPEN], 2 / 3)],
)
def test_precision_counts_only_what_could_be_verified(verdicts: list[Verdict], value: float | None) -> None:
    assert precision(verdicts) == value


def test_repeating_what_is_true_hides_nothing_that_is_false() -> None:
    assert precision([YES] * 99 + [NO]) == 0.5


def test_contradictions_keep_their_order() -> None:
    other = Verdict("the ridge is low", "contradicted", "900 m")
    assert contradictions(iter([YES, NO, OPEN, other])) == (NO, other)
    assert contradictions([YES, OPEN]) == ()


def _by_letter(task: ProxyTask, text: str) -> list[Verdict]:
    found = {"y": YES, "a": ALSO, "n": NO, "o": OPEN}
    return [found[letter] for letter in text if letter in found]


@pytest.mark.parametrize(("text", "value", "status"), [
    ("", 0.0, "not_applicable"), ("ooo", 0.0, "not_applicable"), ("yo", 1.0, "scored"), ("yan", 2 / 3, "scored"),
    ("n", 0.0, "scored"),
])  # fmt: skip
def test_the_term_pays_precision_and_unverifiable_claims_change_nothing(text: str, value: float, status: str) -> None:
    term = pickle.loads(pickle.dumps(fact_precision(_by_letter)))
    outcome = term.score(TASK, Completion(text))
    assert (outcome.value, outcome.status) == (value, status)
    assert term.score(TASK, Completion(text + "oo")) == outcome
    assert (term.name, term.low, term.high) == ("facts", 0.0, 1.0)


def _rule(claim: Claim, view: str) -> Finding:
    return ("supported", "yes") if claim.value == view else ("contradicted", f"not {view}")


@pytest.mark.parametrize(("about", "status"), [
    (("query",), "contradicted"), (("B",), "supported"), (("B", "query"), "unverifiable"), ((), "unverifiable"),
])  # fmt: skip
def test_a_claim_is_judged_where_all_views_it_may_speak_of_agree(about: tuple[str, ...], status: str) -> None:
    (verdict,) = judge([Claim("kind", "it is so", (3, 8), about, "B")], _rule)
    assert (verdict.status, verdict.kind, verdict.span) == (status, "kind", (3, 8))


def test_a_claim_in_doubt_is_never_judged() -> None:
    (verdict,) = judge([Claim("kind", "it is so", (0, 1), doubt="hedged: might")], _rule)
    assert (verdict.status, verdict.evidence) == ("unverifiable", "hedged: might")


def _false(text: str, *words: str) -> list[Verdict]:
    return [Verdict(w, "contradicted", "", "k", (text.index(w), text.index(w) + len(w))) for w in words]


@pytest.mark.parametrize(("text", "words", "left"), [
    ("It is wet. It is cold. It is dark.", ["cold"], "It is wet. It is dark."),
    ("<think>One is false. Two is.</think><answer>A</answer>", ["false"], "<think>Two is.</think><answer>A</answer>"),
    ("cue 1\ncue 2\ncue 3\n", ["cue 2"], "cue 1\ncue 3\n"),
    ("a 1; b 2; c 3", ["a 1", "c 3"], "b 2; "),
    ("It lies at 3.5 m. Good.", ["3.5"], "Good."),
    ("all of it", ["all"], None),
])  # fmt: skip
def test_repair_cuts_whole_sentences_and_puts_nothing_in(text: str, words: list[str], left: str | None) -> None:
    assert repaired(text, _false(text, *words)) == left


def test_nothing_is_repaired_where_a_contradiction_has_no_place_in_the_text() -> None:
    assert repaired("One. Two.", [NO]) is None


def test_nothing_changes_without_a_contradiction() -> None:
    assert repaired("One. Two.", [YES, OPEN]) == "One. Two."


def test_sentences_end_at_stops_and_lines_but_not_inside_numbers_or_after_abbreviations() -> None:
    text = "At 48.85 N, approx. 35 m. In St. Malo?\n1. The U.S. coast; <think>so it is</think>"
    found = [text[a:b] for a, b in sentences(text)]
    assert found == ["At 48.85 N, approx. 35 m.", "In St. Malo?", "1. The U.S. coast;", "so it is"]


@pytest.mark.parametrize("piece", [". ", "a.", "St. ", "\n", "<b>", "!? ", "x", "\u0301. "])
def test_hostile_text_of_200_kb_is_read_and_repaired(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    spans = [Verdict("c", "contradicted", "", "k", (i, i + 1)) for i in range(0, len(text), 50)]
    left = repaired(text, [*spans, *spans])
    assert left is None or len(left) < len(text)
    assert all(text[a:b].strip() == text[a:b] != "" for a, b in sentences(text))
