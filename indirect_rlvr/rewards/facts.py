"""Claims of a trace and what the metadata says of them: one judgement for the scaffold filter, the reward, the report.

A domain pack finds claims and knows the truth; here verdicts are combined, counted, turned into a reward term and used
to repair a trace. A claim that cannot be verified never lowers anything.
"""

import re
from bisect import bisect, bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from indirect_rlvr.types import Completion, Outcome, ProxyTask, Status, Term, Verdict

Finding = tuple[Status, str]
"""What one record's metadata says of a claim, and the evidence in words."""

Check = Callable[[ProxyTask, str], Sequence[Verdict]]
"""Every claim of a text with its verdict, as the hook `check_facts` gives them."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One typed claim of a text.

    `kind` names the type ("country"), `stated` is the claim in normal form ("country: France"), `span` its place in the
    text, `about` the views that it may speak of ("query", or labels), `value` what the type's rule compares; `doubt`
    says why the writer does not assert it ("hedged: might"), and such a claim is never judged.
    """

    kind: str
    stated: str
    span: tuple[int, int]
    about: tuple[str, ...] = ("query",)
    value: object = None
    doubt: str = ""


def judge(claims: Iterable[Claim], rule: Callable[[Claim, str], Finding]) -> list[Verdict]:
    """A verdict for each claim, in order: what `rule` finds for every view it may speak of, where all agree."""
    return [_verdict(claim, rule) for claim in claims]


def _verdict(claim: Claim, rule: Callable[[Claim, str], Finding]) -> Verdict:
    words = claim.stated if claim.about == ("query",) else f"{' or '.join(claim.about)}: {claim.stated}"
    if claim.doubt:
        return Verdict(words, "unverifiable", claim.doubt, claim.kind, claim.span)
    found = [rule(claim, view) for view in claim.about]
    if len({status for status, _ in found}) == 1:
        return Verdict(words, *found[0], claim.kind, claim.span)
    evidence = "; ".join(f"{view}: {said}" for view, (_, said) in zip(claim.about, found, strict=True))
    return Verdict(words, "unverifiable", evidence or "it speaks of no view", claim.kind, claim.span)


def precision(verdicts: Iterable[Verdict]) -> float | None:
    """Supported / (supported + contradicted), in [0, 1]; None where no claim could be verified either way.

    A claim that is repeated counts once, so that repeating what is true hides nothing that is false.
    """
    tally = Counter(status for _, _, status in {(v.kind, v.claim, v.status) for v in verdicts})
    decided = tally["supported"] + tally["contradicted"]
    return tally["supported"] / decided if decided else None


def contradictions(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts that refute their claim, in order; a trace with any is no scaffold."""
    return tuple(verdict for verdict in verdicts if verdict.status == "contradicted")


def fact_precision(check: Check) -> Term:
    """ "facts": the precision of the claims in a completion, in [0, 1]; not applicable where none could be verified.

    Picklable where `check` is.
    """
    return Term("facts", 0.0, 1.0, partial(_score, check=check))


def _score(task: ProxyTask, completion: Completion, *, check: Check) -> Outcome:
    share = precision(check(task, completion.text))
    return Outcome(0.0, "not_applicable") if share is None else Outcome(share)


_END = re.compile(r"\n|[!?…。](?=\s|$)|;|\.(?=\s|$|<)")
_ABBREVIATION = re.compile(
    r"(?:\b(?:[A-Z]\.[A-Z]|St|Mt|Ft|Dr|No|approx|ca|e\.g|i\.e|lat|lon|long|alt|elev)|^\s*\d{1,2})$"
)
_TAG = re.compile(r"</?[a-z]{1,12}>")


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of the sentences of a text, in order: without tags, without the white space around them, never empty.

    A line break ends a sentence, a full stop inside a number or after an abbreviation does not. Linear in the text.
    """
    cuts = [(m.end(), m.end()) for m in _END.finditer(text) if m[0] != "." or not _abbreviated(text, m.start())]
    cuts = sorted(cuts + [m.span() for m in _TAG.finditer(text)])
    found, start = [], 0
    for end, following in [*cuts, (len(text), len(text))]:
        words = text[start:end]
        if words.strip():
            found.append((start + len(words) - len(words.lstrip()), start + len(words.rstrip())))
        start = max(start, following)
    return found


def _abbreviated(text: str, stop: int) -> bool:
    line = text.rfind("\n", max(0, stop - 12), stop) + 1 or max(0, stop - 12)
    return bool(_ABBREVIATION.search(text[line:stop]))


def repaired(text: str, verdicts: Iterable[Verdict]) -> str | None:
    """The text without the sentences that hold a contradicted claim: what is false is cut out, nothing is put in its
    place.

    None where a contradicted claim has no span, or no sentence is left.
    """
    false = [verdict.span for verdict in contradictions(verdicts)]
    spans = [span for span in false if span is not None]
    if len(spans) < len(false):
        return None
    whole = sentences(text)
    starts = [start for start, _ in whole]
    cut = sorted({whole[i] for a, b in spans for i in range(max(bisect(starts, a) - 1, 0), bisect_left(starts, b))})
    if len(cut) == len(whole):
        return None
    kept, position = [], 0
    for start, end in cut:
        kept.append(text[position:start])
        position = end + (text[end : end + 1] in (" ", "\n"))
    return "".join(kept) + text[position:]
