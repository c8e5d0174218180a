"""What every reward term must satisfy: Hypothesis strategies and invariants that a domain's own tests call.

def test_rewards_keep_the_invariants():
    assert_reward_invariants(hooks.rewards(settings), [task])
"""

from collections.abc import Collection, Iterable, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indirect_rlvr.errors import RunError
from indirect_rlvr.rewards.composite import outcome
from indirect_rlvr.types import Completion, ProxyTask, Term

_ANSWERS = ("{}", "({})", "**{}**", " {}.\n", "Candidate {}", "The answer is {}", "\\boxed{{{}}}", "not {}", "{0} {0}")
_PIECES = (
    "<think>", "</think>", "<answer>", "</answer>", "<answer", "\\boxed{", "[", '{"answer":', "A or B", "answer is ",
    "\n", " ", "\x00", "\u0301\u0327", "\ufdfa", "\ud800", "NaN", "1e999", "-1", "é",
)  # fmt: skip


def completions(labels: Sequence[str]) -> st.SearchStrategy[Completion]:
    """Completions of a task with these labels: well formed, malformed and hostile texts, any token ids, cut or not."""
    answers = st.one_of(st.builds(str.format, st.sampled_from(_ANSWERS), st.sampled_from(labels)), st.text(max_size=20))
    thoughts = st.text(max_size=40)
    well_formed = st.builds("<think>{}</think><answer>{}</answer>".format, thoughts, answers)
    pieces = st.one_of(st.sampled_from(_PIECES), st.sampled_from(labels), answers, well_formed)
    malformed = st.lists(pieces, max_size=12).map("".join)
    hostile = st.builds(lambda piece, count: piece * count, pieces, st.integers(1, 500))
    token_ids = st.one_of(
        st.lists(st.integers(0, 50), min_size=1, max_size=60),
        st.integers(1, 3000).map(lambda count: [7] * count),
    )
    return st.builds(Completion, st.one_of(well_formed, malformed, hostile), token_ids.map(tuple), st.booleans())


def assert_reward_invariants(
    terms: Iterable[Term],
    tasks: Sequence[ProxyTask],
    answer_terms: Collection[str] = ("accuracy", "length"),
    examples: int = 100,
) -> None:
    """Hold every term to the invariants below on every task, and those named in `answer_terms` to the answer's as well.

    `examples` is the number of random completions for each pair, the same ones every time. Raises AssertionError that
    names term, task and what is wrong.
    """
    for term in terms:
        for task in tasks:
            check_term(term, task, about_answer=term.name in answer_terms, examples=examples)


def check_term(term: Term, task: ProxyTask, about_answer: bool, examples: int = 100) -> None:
    """`assert_reward_invariants` for one term and one task."""
    for invariant in TASK_INVARIANTS + ANSWER_INVARIANTS * about_answer:
        invariant(term, task)

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(completions(task.labels))
    def holds(completion: Completion) -> None:
        for invariant in COMPLETION_INVARIANTS:
            invariant(term, task, completion)

    holds()


def stays_in_range(term: Term, task: ProxyTask, completion: Completion) -> None:
    """A term returns a finite Outcome in its range, and raises nothing."""
    _value(term, task, completion)


def says_the_same_twice(term: Term, task: ProxyTask, completion: Completion) -> None:
    """A term depends on its arguments only."""
    first, second = _value(term, task, completion), _value(term, task, completion)
    _require(first == second, term, task, f"gave {first} and then {second} for one completion: {completion!r:.500}")


def survives_junk_around(term: Term, task: ProxyTask, completion: Completion) -> None:
    """A term stays in its range when junk stands outside the tags."""
    for text in (completion.text + "</think>]}<answer>", "\ud800<answer></answer>" + completion.text):
        _value(term, task, Completion(text, completion.token_ids, completion.finished))


def pays_no_more_for_running_on(term: Term, task: ProxyTask) -> None:
    """The same text in more tokens, none of them repeated, is never worth more."""
    text = _written(task.answer)
    values = [_value(term, task, Completion(text, tuple(range(count)))) for count in (1, 64, 512, 1024, 2048, 4096)]
    _require(values == sorted(values, reverse=True), term, task, f"rises with the length: {values}")


def pays_no_less_for_the_right_answer(term: Term, task: ProxyTask) -> None:
    """Replacing a wrong answer by the right one never costs anything."""
    right, wrong = _paid(term, task, _written(task.answer)), _paid(term, task, _written(_other(task)))
    _require(right >= wrong, term, task, f"pays {wrong} for a wrong answer and {right} for the right one")


def pays_more_for_the_right_answer(term: Term, task: ProxyTask) -> None:
    """A wrong answer never earns what the right one does."""
    right, wrong = _paid(term, task, _written(task.answer)), _paid(term, task, _written(_other(task)))
    _require(right > wrong, term, task, f"pays {wrong} for a wrong answer and {right} for the right one")


def reads_the_last_answer(term: Term, task: ProxyTask) -> None:
    """An answer that is taken back earns what a wrong one does."""
    text = _written(task.answer) + f"<answer>{_other(task)}</answer>"
    _pays_as_wrong(term, task, text, "an answer that a later one takes back")


def needs_the_tags(term: Term, task: ProxyTask) -> None:
    """The right label without answer tags earns what a wrong answer does."""
    for text in (task.answer, f"The answer is {task.answer}."):
        _pays_as_wrong(term, task, text, "an answer without tags")


def pays_no_hedging(term: Term, task: ProxyTask) -> None:
    """Naming several labels earns what a wrong answer does."""
    for text in (", ".join(task.labels), f"{task.answer} or {_other(task)}", f"{_other(task)}, not {task.answer}."):
        _pays_as_wrong(term, task, _written(text), f"the answer `{text}`")


COMPLETION_INVARIANTS = (stays_in_range, says_the_same_twice, survives_junk_around)
"""What every term must satisfy on any completion."""

TASK_INVARIANTS = (pays_no_more_for_running_on, pays_no_less_for_the_right_answer)
"""What every term must satisfy on completions made for the purpose."""

ANSWER_INVARIANTS = (pays_more_for_the_right_answer, reads_the_last_answer, needs_the_tags, pays_no_hedging)
"""What a term about the answer must satisfy as well."""


def _value(term: Term, task: ProxyTask, completion: Completion) -> float:
    try:
        return outcome(term, task, completion).value
    except RunError as error:
        raise AssertionError(f"{error}; the completion was {completion!r:.500}") from error


def _require(holds: bool, term: Term, task: ProxyTask, what: str) -> None:
    if not holds:
        raise AssertionError(f"reward term `{term.name}` at task `{task.id}` {what}")


def _written(answer: str) -> str:
    return f"<think>because</think><answer>{answer}</answer>"


def _other(task: ProxyTask) -> str:
    return next(label for label in task.labels if label != task.answer)


def _paid(term: Term, task: ProxyTask, text: str) -> float:
    return _value(term, task, Completion(text, tuple(range(20))))


def _pays_as_wrong(term: Term, task: ProxyTask, text: str, what: str) -> None:
    paid, wrong = _paid(term, task, text), _paid(term, task, _written(_other(task)))
    _require(paid <= wrong, term, task, f"pays {paid} for {what} and {wrong} for a wrong one")
