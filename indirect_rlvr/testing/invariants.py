"""What every reward term must satisfy, one function for each property; all raise AssertionError.

Those in `ON_ANY_COMPLETION` take a completion as well; the others make the completions they need.
"""

import copy
import pickle
import random
import sys
import time
from collections.abc import Callable

from indirect_rlvr.errors import RlvrError
from indirect_rlvr.rewards.composite import outcome
from indirect_rlvr.testing.subject import Subject, raw, written
from indirect_rlvr.types import Completion, Outcome

HOSTILE = ("<answer>", "<think> ", "<answer></answer>", "A ", "\n", "[[", "9", "n't ", "\u0301\u0327", "\ufdfa",
           "\ud800", "\\boxed{")  # fmt: skip
SECONDS = 1.0
"""CPU time for the longest hostile text; linear parsers take a fiftieth of it."""
GROWTH = 40
"""Ten times the text may take this many times as long: 10 is linear, 100 quadratic."""
NEXT_TO_NOTHING = 0.15
"""CPU seconds below which growth cannot be told from noise."""


def stays_in_range(subject: Subject, completion: Completion) -> None:
    """A term returns one finite Outcome in its range, with a known status, and raises nothing."""
    seen(subject, completion)


def says_the_same_twice(subject: Subject, completion: Completion) -> None:
    """A term depends on its arguments only, not on the state of a generator or on what it was asked before."""
    state = random.getstate()
    first = seen(subject, completion)
    random.seed(1)
    second = seen(subject, completion)
    random.setstate(state)
    require(first == second, subject, f"gave {first} and then {second} for one completion: {completion!r:.500}")


def survives_junk_around(subject: Subject, completion: Completion) -> None:
    """A term stays in its range when junk stands outside the tags."""
    for text in (completion.text + "</think>]}<answer>", "\ud800<answer></answer>" + completion.text):
        seen(subject, Completion(text, completion.token_ids, completion.finished))


def does_not_depend_on_the_batch(subject: Subject) -> None:
    """The outcomes of a list are the same in reverse order, one at a time and from a fresh copy of the term."""
    rows = [written(a) for a in (subject.right, *subject.worse, subject.right)] + [raw(""), raw(subject.right)]
    forward = [seen(subject, row) for row in rows]
    backward = [seen(subject, row) for row in reversed(rows)][::-1]
    require(forward == backward, subject, f"scores a batch by its order: {forward} and {backward}")


def can_be_pickled(subject: Subject) -> None:
    """A term can be sent to another process, and says the same there."""
    try:
        score = pickle.loads(pickle.dumps(subject.term.score))
    except Exception as error:
        raise AssertionError(f"reward term `{subject.term.name}` cannot be pickled: {error}") from error
    row = written(subject.right)
    require(score(subject.task, row) == seen(subject, row), subject, "says something else after pickling")


def leaves_the_task_alone(subject: Subject) -> None:
    """A term does not change the task it is given."""
    before = copy.deepcopy(subject.task)
    for row in (written(subject.right), written(subject.wrong), raw("")):
        seen(subject, row)
    require(subject.task == before, subject, "changes the task")


def opens_nothing(subject: Subject) -> None:
    """A term opens no file, socket or process."""
    row = written(subject.right)
    seen(subject, row)
    opened = _WATCH.opened_by(lambda: seen(subject, row))
    require(not opened, subject, f"opens {', '.join(opened)}")


def reads_any_number_of_tokens(subject: Subject) -> None:
    """From no token to more than any n-gram has: a term neither divides by nothing nor looks behind the end."""
    for count in range(64):
        seen(subject, written(subject.right, count))
        seen(subject, Completion("", tuple(range(count))))


def reads_hostile_text_in_time(subject: Subject) -> None:
    """50,000 hostile characters, bare and between both tags, take under a second of CPU time, and no more than `GROWTH`
    times as long as 5,000 unless that is next to nothing."""
    for piece in HOSTILE:
        for make in (raw, _twice):
            short, long = (make(piece * (count // len(piece))) for count in (5_000, 50_000))
            slow = _cpu_seconds(subject, long, 1)
            if slow < NEXT_TO_NOTHING:
                continue
            quick = _cpu_seconds(subject, short, 3)
            linear = slow < SECONDS and slow < GROWTH * quick
            require(linear, subject, f"takes {quick:.4f} s for 5,000 and {slow:.4f} s for 50,000 of {piece!r}")


def pays_nothing_for_no_text(subject: Subject) -> None:
    """A completion without text earns nothing."""
    most = max(paid(subject, Completion("", ids)) for ids in ((), (1,)))
    require(most <= max(0.0, subject.term.low), subject, f"pays {most} for an empty completion")


def pays_no_more_for_running_on(subject: Subject) -> None:
    """The same text in more tokens, none of them repeated, is never worth more, whether the answer is right or not."""
    for answer in (subject.right, subject.wrong):
        values = [paid(subject, written(answer, count)) for count in (20, 64, 512, 1024, 1536, 2048, 4096)]
        require(values == sorted(values, reverse=True), subject, f"rises with the length of `{answer}`: {values}")


def pays_no_more_for_a_worse_answer(subject: Subject) -> None:
    """Of two answers, the better one never earns less, however long the completion is."""
    for count in (20, 600, 2048):
        values = [paid(subject, written(answer, count)) for answer in (subject.right, *subject.worse)]
        require(values == sorted(values, reverse=True), subject, f"pays {values} for {(subject.right, *subject.worse)}")


ON_ANY_COMPLETION: tuple[Callable[[Subject, Completion], None], ...] = (
    stays_in_range,
    says_the_same_twice,
    survives_junk_around,
)
"""What every term must satisfy on any completion."""

OF_ANY_TERM: tuple[Callable[[Subject], None], ...] = (
    does_not_depend_on_the_batch,
    can_be_pickled,
    leaves_the_task_alone,
    opens_nothing,
    reads_any_number_of_tokens,
    pays_nothing_for_no_text,
    pays_no_more_for_running_on,
    pays_no_more_for_a_worse_answer,
    reads_hostile_text_in_time,
)
"""What every term must satisfy, whatever it pays for."""


def seen(subject: Subject, completion: Completion) -> Outcome:
    """The checked outcome of the subject's term; raises AssertionError where the term breaks its contract."""
    try:
        return outcome(subject.term, subject.task, completion)
    except RlvrError as error:
        raise AssertionError(f"{error}; the completion was {completion!r:.500}") from error


def paid(subject: Subject, completion: Completion) -> float:
    """The value of `seen`."""
    return seen(subject, completion).value


def require(holds: bool, subject: Subject, what: str) -> None:
    """Raise AssertionError that names term, task and what is wrong unless it `holds`."""
    if not holds:
        raise AssertionError(f"reward term `{subject.term.name}` at task `{subject.task.id}` {what}")


def _twice(text: str) -> Completion:
    return written(text, thought=text)


def _cpu_seconds(subject: Subject, completion: Completion, tries: int) -> float:
    times = []
    for _ in range(tries):
        began = time.process_time()
        seen(subject, completion)
        times.append(time.process_time() - began)
    return min(times)


class _Watch:
    """Notes what is opened. An audit hook cannot be taken away again, so there is one, which sleeps between calls."""

    def __init__(self) -> None:
        self.seen: list[str] | None = None
        self.installed = False

    def opened_by(self, call: Callable[[], object]) -> list[str]:
        if not self.installed:
            sys.addaudithook(self._note)
            self.installed = True
        noted: list[str] = []
        self.seen = noted
        try:
            call()
        finally:
            self.seen = None
        return noted

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.seen is not None and event in {"open", "socket.connect", "subprocess.Popen", "os.system"}:
            self.seen.append(f"{event} {arguments[0]!r:.100}")


_WATCH = _Watch()
