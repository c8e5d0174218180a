"""What the battery looks at: a reward term on one task, and what right, worse and hedged answers to it look like."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from indirect_rlvr.types import Completion, ProxyTask, Term

Role = Literal["answer", "bonus", "format", "repetition", "overlong", "trace", "text"]
"""What a term pays for: "answer" for the answer itself (accuracy, IoU); "bonus" beside a right answer only (length);
"format", "repetition" and "overlong" for what they are named after; "trace" for what stands between the think tags;
"text" for anything else."""

ROLES: Mapping[str, Role] = MappingProxyType(
    {"accuracy": "answer", "length": "bonus", "format": "format", "repetition": "repetition", "overlong": "overlong"}
)
"""The roles of the core's terms by name; a term of another name is "text" unless a pack says otherwise."""

FORMS = ("{}", " {}\n", "({})", "{})", "{}.", "**{}**", "Image {}", "Candidate {}", "The answer is {}.",
         "\\boxed{{{}}}", "The correct answer is {} because it fits", "{lower}")  # fmt: skip
"""Ways to write the label of a choice that must all be read; {lower} is the label in lower case."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A term on one task.

    `worse` are answers from nearly right to plainly wrong, of which none may earn more than one before it; `forms` are
    other spellings of the right answer; `hedges` are answers that commit to nothing, or to several things, and must
    earn what the last of `worse` does; `padded` hold the right answer and more beside it, and must earn less. `choice`
    says that answers are the task's labels. In the role "trace" all of these are thoughts instead of answers.
    """

    term: Term
    task: ProxyTask
    role: Role
    right: str
    worse: tuple[str, ...]
    forms: tuple[str, ...] = ()
    hedges: tuple[str, ...] = ()
    padded: tuple[str, ...] = ()
    choice: bool = False

    @property
    def wrong(self) -> str:
        """A plainly wrong answer."""
        return self.worse[-1]


def choice(term: Term, task: ProxyTask, role: Role) -> Subject:
    """A term about a choice between the candidates of a task."""
    others = tuple(label for label in task.labels if label != task.answer)
    right, other = task.answer, others[-1]
    forms = tuple(form.format(right, lower=right.lower()) for form in FORMS if _is_letter(task) or form == "{}")
    hedges = _hedges(right, other, task.labels) if _is_letter(task) else (", ".join(task.labels),)
    return Subject(term, task, role, right, others, forms, hedges, choice=True)


def moved(subject: Subject, answer: str) -> Subject:
    """The same choice with `answer` as the right label."""
    return choice(subject.term, replace(subject.task, answer=answer), subject.role)


def written(answer: str, tokens: int = 20, finished: bool = True, thought: str = "because") -> Completion:
    """A well-formed completion with `tokens` token ids, none of them repeated."""
    return Completion(f"<think>{thought}</think><answer>{answer}</answer>", tuple(range(tokens)), finished)


def raw(text: str, ids: Sequence[int] = range(20)) -> Completion:
    """A finished completion of any text."""
    return Completion(text, tuple(ids))


def _is_letter(task: ProxyTask) -> bool:
    return all(len(label) == 1 and label.isupper() for label in task.labels)


def _hedges(right: str, other: str, labels: Sequence[str]) -> tuple[str, ...]:
    return (
        ", ".join(labels),
        " ".join(labels),
        f"{right} or {other}",
        f"{other} or {right}",
        f"{other}, not {right}.",
        f"not {right}",
        f"{right} is not the match",
        f"\\boxed{{{right}}} \\boxed{{{other}}}",
        "ANSWER",
        "",
    )
