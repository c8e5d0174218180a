"""What a teacher is asked: the task as the student sees it, how a trace is written, and what is no secret.

What metadata says reaches a teacher only where it says the same of every candidate (`told`): it is a function of the
candidate set, which was formed before anybody chose the answer, and so cannot carry it.
"""

from collections.abc import Mapping, Sequence

from indirect_rlvr.domain import Domain
from indirect_rlvr.types import Prompt, ProxyTask, Record

ROLE = (
    "Write a worked example for a student who is shown these views and this question, and nothing else. Reason from "
    "what can be seen, in plain sentences, say what speaks for and against the candidates, and name the one you find "
    "best. Your whole reply is the reasoning between <think> and </think> and then one label between <answer> and "
    "</answer>."
)
NOTES = "Notes for you alone; use what fits, and never mention that you were given notes:"
ANSWER = "The right answer is {}. Let the reasoning lead there by what can be seen."


class Briefs:
    """The hook `brief` of a domain, asked once for each record of `records`."""

    def __init__(self, domain: Domain, records: Mapping[str, Record]) -> None:
        self._domain, self._records = domain, records
        self._known: dict[str, tuple[str, ...]] = {}

    def told(self, task: ProxyTask) -> tuple[str, ...]:
        """The sentences that are told of a task."""
        for name in task.candidate_records:
            if name not in self._known:
                self._known[name] = self._domain.brief(self._records[name])
        return told({name: self._known[name] for name in task.candidate_records})


def told(sentences: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Those of the candidates' sentences that every one of them has, in the order of the first record by id: neither
    the order of the candidates nor which of them is the answer can change them."""
    names = sorted(sentences)
    common = set(sentences[names[0]]).intersection(*(sentences[name] for name in names))
    return tuple(dict.fromkeys(sentence for sentence in sentences[names[0]] if sentence in common))


def prompt(domain: Domain, task: ProxyTask, sentences: Sequence[str], *, shows_answer: bool = False) -> Prompt:
    """The student's prompt, the teacher's part, and the sentences told; the answer only where it is wanted."""
    notes = [NOTES, *(f"- {sentence}" for sentence in sentences)] if sentences else []
    answer = [ANSWER.format(task.answer)] if shows_answer else []
    return Prompt((*domain.render(task).parts, "\n".join(["", ROLE, *notes, *answer])))
