"""What a list of verdicts says of a trace: how much of it the metadata supports, and what contradicts it."""

from collections.abc import Iterable

from indirect_rlvr.types import Verdict


def precision(verdicts: Iterable[Verdict]) -> float | None:
    """Supported / (supported + contradicted), in [0, 1]; None where no claim could be verified either way."""
    statuses = [verdict.status for verdict in verdicts]
    supported, contradicted = statuses.count("supported"), statuses.count("contradicted")
    return supported / (supported + contradicted) if supported + contradicted else None


def contradictions(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts that refute their claim, in order; a trace with any is no scaffold."""
    return tuple(verdict for verdict in verdicts if verdict.status == "contradicted")
