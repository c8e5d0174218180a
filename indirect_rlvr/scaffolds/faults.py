"""Why a trace is dropped: what is wrong with its form, its language or its facts; and what can be mended.

A teacher's answer may be anything: empty, endless, in another language, full of control tokens. All of it is judged in
time that grows with its length only.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from indirect_rlvr.domain import Domain
from indirect_rlvr.rewards.facts import contradictions, repaired
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.scaffolds.written import Written
from indirect_rlvr.types import ProxyTask, Verdict

LONGEST = 50_000
"""Characters of a trace at most."""
READ = 4_000
"""Characters from which the language is told."""
FEW = 20
"""Words below which it is not told."""
LITTLE = 0.05
"""A text of which this share or more are English function words is English; English prose has 0.2 and more, other
languages and lists of words under 0.02."""

CONTROL_TOKEN = re.compile(r"<\|[A-Za-z0-9_]{1,40}\|>")
"""As in `training/dataset.py`, which refuses such a text."""
_TAG = re.compile(r"</?(?:think|answer)>")
_WORD = re.compile(r"[^\W\d_]+")
_ENGLISH = frozenset(
    ("the", "and", "of", "to", "with", "this", "that", "from", "which", "are", "for", "at", "by", "it", "its", "has",
     "have", "where", "there", "would")
)  # fmt: skip


def mended(domain: Domain, task: ProxyTask, text: str) -> tuple[str, Sequence[Verdict]]:
    """A trace and its verdicts, or those of its repair where false sentences can go and format and answer stay."""
    verdicts = domain.check_facts(task, text)
    repair = repaired(text, verdicts) if contradictions(verdicts) else None
    if repair is None or not has_format(text):
        return text, verdicts
    again = domain.check_facts(task, repair)
    stands = has_format(repair) and parse_answer(repair, task.labels) == parse_answer(text, task.labels)
    return (repair, again) if stands and not contradictions(again) else (text, verdicts)


def of_form(task: ProxyTask, written: Written) -> str:
    """Why a trace is dropped before its facts are looked at; "" where it is not."""
    text = written.text
    if written.fault:
        return written.fault
    if text is None:
        return "no trace"
    if not text.strip():
        return "empty"
    if len(text) > LONGEST:
        return "too long"
    if CONTROL_TOKEN.search(text):
        return "control token"
    if not has_format(text):
        return "bad format"
    if parse_answer(text, task.labels) is None:
        return "names no candidate"
    return "" if same_language(written.wording, text) else "another language"


def same_language(wording: str, text: str) -> bool:
    """Whether a text may be in the language of what was asked: most letters of the same script, and, where the wording
    is English, English function words in it. True where either is too short to tell."""
    asked, said = (_TAG.sub(" ", part[:READ]) for part in (wording, text))
    if _script(asked) and _script(said) and _script(asked) != _script(said):
        return False
    return not _is_english(asked) or _is_english(said) is not False


def _script(text: str) -> str:
    """The script of most letters ("LATIN", "CJK"), by the first word of their Unicode names; "" without letters."""
    letters = Counter(char for char in text if char.isalpha())
    scripts: Counter[str] = Counter()
    for char, times in letters.items():
        scripts[unicodedata.name(char, "?").partition(" ")[0]] += times
    return min(scripts, key=lambda name: (-scripts[name], name)) if scripts else ""


def _is_english(text: str) -> bool | None:
    """Whether the text has the function words of English prose; None where it has too few words to tell."""
    words = [word.casefold() for word in _WORD.findall(text)]
    if len(words) < FEW:
        return None
    return sum(word in _ENGLISH for word in words) >= LITTLE * len(words)
