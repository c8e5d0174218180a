"""Every claim of a trace about where, when and how a view lies in the world."""

from collections.abc import Sequence

from indirect_rlvr.rewards.facts import Claim
from indirect_rlvr_geo import claims_of_courses, claims_of_names, claims_of_positions, claims_of_traits, phrases


def find(text: str, labels: Sequence[str]) -> list[Claim]:
    """The claims in the order of their places in the text; linear in it, never raising on it.

    `labels` are those of the candidates, which a sentence may speak of in place of the query.
    """
    found: list[Claim] = []
    for sentence in phrases.read(text, labels):
        for finder in (claims_of_names, claims_of_traits, claims_of_positions, claims_of_courses):
            found += finder.find(sentence)
    return sorted(found, key=lambda claim: claim.span)
