"""Near-duplicates are found exactly: as by comparing each trace with each one kept before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indirect_rlvr.scaffolds.overlap import Kept, grams, similarity

WORDS = st.lists(st.sampled_from(["road", "tree", "the", "a", "bend"]), max_size=14).map(" ".join)


def by_comparing_all(texts: list[str], share: float) -> list[bool]:
    kept: list[str] = []
    said = []
    for text in texts:
        said.append(all(similarity(grams(text), grams(other)) < share for other in kept))
        kept += [text] * said[-1]
    return said


@given(st.lists(WORDS, max_size=25), st.sampled_from([0.05, 0.28, 0.5, 0.7, 0.9, 0.999]))
def test_it_keeps_what_comparing_all_with_all_keeps(texts: list[str], share: float) -> None:
    kept = Kept(share)
    kept._relearn = 4
    assert [kept.add(text) for text in texts] == by_comparing_all(texts, share)


def test_case_and_punctuation_make_no_difference_and_words_do() -> None:
    kept = Kept(0.99)
    assert kept.add("The road bends left.")
    assert not kept.add("the ROAD bends, left")
    assert kept.add("The road bends right.")


def test_a_share_of_one_keeps_even_the_same_again() -> None:
    kept = Kept(1.0)
    assert kept.add("x") and kept.add("x")


@pytest.mark.parametrize(
    ("one", "other", "share"), [("a b c d", "a b c d", 1.0), ("a b c d", "b c d e", 1 / 3), ("", "a", 0.0)]
)
def test_the_similarity_is_shared_over_all_trigrams(one: str, other: str, share: float) -> None:
    assert similarity(grams(one), grams(other)) == pytest.approx(share)
