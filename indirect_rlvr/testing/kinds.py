"""What a term must satisfy for what it claims to pay for: an answer, a bonus beside it, a format, no repetition."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from indirect_rlvr.testing.invariants import paid, require, seen
from indirect_rlvr.testing.subject import Role, Subject, moved, raw, written
from indirect_rlvr.types import Completion

MALFORMED = (
    "", "<answer>{0}</answer>", "<think>x</think>", "<think></think><answer>{0}</answer>",
    "<think> \n</think><answer>{0}</answer>", "<think>x</think><answer></answer>", "<think>x</think><answer> </answer>",
    "<answer>{0}</answer><think>x</think>", "<think>x</think><answer>{0}</answer><answer>{0}</answer>",
    "<think>x</think><think>y</think><answer>{0}</answer>", "<think>x</think>so<answer>{0}</answer>",
    "hm<think>x</think><answer>{0}</answer>", "<think>x</think><answer>{0}</answer> done",
    "<think>x</think><answer>{0}", "<think>x<answer>{0}</answer>", "<think>x<answer>{0}</answer></think>",
    "<think>x<think>y</think></think><answer>{0}</answer>", "<think>x</think><answer>a<answer>{0}</answer></answer>",
    "<Think>x</Think><Answer>{0}</Answer>", "</think>x<think></answer>{0}<answer>",
)  # fmt: skip
"""Texts without the format; {0} is an answer."""
WELL_FORMED = ("<think>x</think><answer>{0}</answer>", " <think>x</think>\n<answer>{0}</answer>\n",
               "\n<think>\nx < y\n</think>\n\n<answer>\n{0}\n</answer>  ")  # fmt: skip
"""Texts with the format, whitespace around the tags included."""


def pays_more_for_the_right_answer(subject: Subject) -> None:
    """The right answer earns more than a plainly wrong one, and the term's high where the answer is all that counts."""
    right, wrong = paid(subject, written(subject.right)), paid(subject, written(subject.wrong))
    require(right > wrong, subject, f"pays {wrong} for a wrong answer and {right} for the right one")
    best = subject.role != "answer" or abs(right - subject.term.high) < 1e-9
    require(best, subject, f"pays {right} for the right answer; its range ends at {subject.term.high}")


def reads_the_last_answer(subject: Subject) -> None:
    """An answer that is taken back counts as what it is replaced by, in either direction, a blank one included."""
    right, wrong = (f"<think>x</think><answer>{answer}</answer>" for answer in (subject.right, subject.wrong))
    _pays_as_wrong(subject, right + f"<answer>{subject.wrong}</answer>", "an answer that a later one takes back")
    _pays_as_wrong(subject, right + "<answer>none of this</answer>", "an answer that a later one takes back")
    mended, as_right = paid(subject, raw(wrong + f"<answer>{subject.right}</answer>")), paid(subject, raw(right))
    require(mended == as_right, subject, f"pays {mended} for a wrong answer mended later, {as_right} for a right one")


def needs_the_tags(subject: Subject) -> None:
    """The right answer without both answer tags earns what a wrong answer does."""
    for text in ("{}", "The answer is {}.", "<answer>{}", "{}</answer>", "<think>{}</think>", "\\boxed{{{}}}"):
        _pays_as_wrong(subject, text.format(subject.right), "an answer without tags")


def pays_no_hedging(subject: Subject) -> None:
    """An answer that names several, denies one or says nothing earns what a wrong one does, and is not a reading."""
    for text in subject.hedges:
        _pays_as_wrong(subject, written(text).text, f"the answer `{text}`")
        if subject.role == "answer":
            status = seen(subject, written(text)).status
            require(status == "unparsable", subject, f"calls the answer `{text}` {status}")


def pays_nothing_for_format_alone(subject: Subject) -> None:
    """Well-formed tags around no answer, and the prompt repeated, earn what a wrong answer does."""
    shown = "\n".join((subject.task.question.text, *(view.content for view in subject.task.question.candidates)))
    listed = ", ".join(subject.task.labels)
    for answer in ("", "?", "answer", "I do not know", f"{shown} {listed}"):
        _pays_as_wrong(subject, written(answer).text, f"the answer `{answer}`")
    for text in (shown, f"{shown}\n{listed}", f"<answer>{listed}</answer>"):
        _pays_as_wrong(subject, text, "repeating the prompt")


def reads_every_form(subject: Subject) -> None:
    """Every spelling of the right answer earns the same, with one status."""
    expected = seen(subject, written(subject.right))
    for form in subject.forms:
        found = seen(subject, written(form))
        require(found == expected, subject, f"gives {found} for the answer `{form}` and {expected} for the plain one")


def reads_the_answer_only(subject: Subject) -> None:
    """What is thought beside the answer changes nothing: neither a wrong candidate weighed nor the right one denied."""
    for answer in (subject.right, subject.wrong):
        plain = paid(subject, written(answer))
        for thought in (subject.right, subject.wrong, f"not {answer}", f"the answer is {subject.wrong}", "x" * 3000):
            value = paid(subject, written(answer, thought=thought))
            require(value == plain, subject, f"pays {value} instead of {plain} for the thought `{thought:.40}`")


def follows_the_labels(subject: Subject) -> None:
    """Whichever label is right, answering it earns the same, and answering another earns the same less."""
    if not subject.choice:
        return
    right, wrong = paid(subject, written(subject.right)), paid(subject, written(subject.wrong))
    for label in subject.task.labels:
        other = moved(subject, label)
        values = paid(other, written(label)), paid(other, written(other.wrong))
        require(
            values == (right, wrong), subject, f"pays {values} instead of {(right, wrong)} where `{label}` is right"
        )
    labels = tuple(reversed(subject.task.labels))
    renamed = replace(subject, task=replace(subject.task, labels=labels))
    require(paid(renamed, written(subject.right)) == right, subject, "pays by the order of the labels")


def pays_a_cut_completion_no_bonus(subject: Subject) -> None:
    """A completion that the token limit cut earns no bonus."""
    cut, wrong = paid(subject, written(subject.right, finished=False)), paid(subject, written(subject.wrong))
    require(cut <= wrong, subject, f"pays {cut} for a cut completion")


def pays_only_a_right_answer(subject: Subject) -> None:
    """A bonus is for right answers: every other completion earns the term's low, however short it is."""
    for count in (1, 20, 512, 1024, 2048):
        value = paid(subject, written(subject.wrong, count))
        require(value <= subject.term.low, subject, f"pays {value} for a wrong answer of {count} tokens")


def counts_tokens(subject: Subject) -> None:
    """A bonus for length counts tokens, not characters or words."""
    short, long = (Completion(written(subject.right, thought=t).text, tuple(range(50))) for t in ("x", "x y " * 800))
    values = paid(subject, short), paid(subject, long)
    require(values[0] == values[1], subject, f"pays {values} for texts of equally many tokens")
    dense, sparse = (paid(subject, written(subject.right, count)) for count in (1, 700))
    require(dense > sparse, subject, f"pays {dense} for one token and {sparse} for 700")


def pays_the_exact_format(subject: Subject) -> None:
    """The format earns the high, right or wrong, with whitespace around it; anything else earns the low."""
    for answer in (subject.right, subject.wrong):
        for text in WELL_FORMED:
            value = paid(subject, raw(text.format(answer)))
            require(value == subject.term.high, subject, f"pays {value} for the well-formed {text.format(answer)!r}")
        for text in MALFORMED:
            value = paid(subject, raw(text.format(answer)))
            require(value == subject.term.low, subject, f"pays {value} for the malformed {text.format(answer)!r}")


def punishes_repetition(subject: Subject) -> None:
    """Tokens that repeat cost, the more the worse, down to close to the low; tokens that do not cost nothing."""
    text = written(subject.right).text
    values = [paid(subject, Completion(text, tuple(at % period for at in range(600)))) for period in (600, 300, 60, 1)]
    require(values == sorted(set(values), reverse=True), subject, f"pays {values} for ever more repetition")
    require(values[0] == subject.term.high, subject, f"pays {values[0]} for tokens that do not repeat")
    require(values[-1] < 0.9 * subject.term.low, subject, f"pays {values[-1]} for one token 600 times")
    same = paid(subject, Completion("a a a a a a a a " * 75, tuple(range(600))))
    require(same == values[0], subject, f"pays {same} for tokens that do not repeat under words that do")


def punishes_the_limit(subject: Subject) -> None:
    """A short completion costs nothing, one without end and one that was cut the most, the answer being the same."""
    for answer in (subject.right, subject.wrong):
        values = [paid(subject, written(answer, count)) for count in (20, 10**6)]
        values.append(paid(subject, written(answer, 10**6, finished=False)))
        expected = [subject.term.high, subject.term.low, subject.term.low]
        require(values == expected, subject, f"pays {values} for 20 tokens, a million, a million and cut")
    graded = {paid(subject, written(subject.right, count)) for count in range(20, 20_000, 20)}
    require(len(graded) > 3, subject, f"has the values {sorted(graded)} only: it does not fall softly")


def pays_less_for_more_than_the_answer(subject: Subject) -> None:
    """The right answer with others beside it earns less than the right answer alone."""
    right = paid(subject, written(subject.right))
    for text in subject.padded:
        value = paid(subject, written(text))
        require(value < right, subject, f"pays {value} for `{text:.200}`, which pads the right answer, worth {right}")


def pays_for_the_trace(subject: Subject) -> None:
    """A better trace never earns less, whatever the answer is; saying it twice earns no more, padding it less; and
    what stands outside the think tags is no trace."""
    for answer in (subject.task.answer, "?"):
        values = [paid(subject, written(answer, thought=thought)) for thought in (subject.right, *subject.worse)]
        require(values == sorted(values, reverse=True), subject, f"pays {values} for {(subject.right, *subject.worse)}")
        require(values[0] == subject.term.high > values[-1], subject, f"pays {values[0]} for the right trace")
        for thought in (*subject.padded, *subject.hedges):
            value = paid(subject, written(answer, thought=thought))
            require(value < values[0], subject, f"pays {value} for the trace `{thought:.200}`")
    once, twice = (paid(subject, written("?", thought=subject.right * count)) for count in (1, 2))
    require(twice <= once, subject, f"pays {twice} for saying twice what is worth {once}")
    outside = paid(subject, raw(f"{subject.right}<think>x</think><answer>{subject.right}</answer>"))
    require(outside <= max(0.0, subject.term.low), subject, f"pays {outside} for what stands outside the think tags")


OF_ROLE: Mapping[Role, tuple[Callable[[Subject], None], ...]] = {
    "answer": (
        pays_more_for_the_right_answer, reads_the_last_answer, needs_the_tags, pays_no_hedging,
        pays_nothing_for_format_alone, reads_every_form, reads_the_answer_only, follows_the_labels,
        pays_less_for_more_than_the_answer,
    ),
    "bonus": (
        pays_more_for_the_right_answer, reads_the_last_answer, needs_the_tags, pays_no_hedging,
        pays_nothing_for_format_alone, reads_every_form, reads_the_answer_only, follows_the_labels,
        pays_less_for_more_than_the_answer,
        pays_a_cut_completion_no_bonus, pays_only_a_right_answer, counts_tokens,
    ),
    "format": (pays_the_exact_format,),
    "repetition": (punishes_repetition,),
    "overlong": (punishes_the_limit,),
    "trace": (pays_for_the_trace,),
    "text": (),
}  # fmt: skip
"""What a term must satisfy for its role, beside `invariants.OF_ANY_TERM`."""


def _pays_as_wrong(subject: Subject, text: str, what: str) -> None:
    earned, wrong = paid(subject, raw(text)), paid(subject, written(subject.wrong))
    require(earned <= wrong, subject, f"pays {earned} for {what} and {wrong} for a wrong one")
