import sys
from collections.abc import Callable

import pytest

from indirect_rlvr.types import Completion, ProxyTask, Question, View


@pytest.fixture
def task() -> ProxyTask:
    views = tuple(View("overhead", "text", f"tile {label}") for label in "ABCDE")
    question = Question("Which tile?", (View("ground", "text", "a ridge"),), views, {})
    return ProxyTask(
        id="set-3/q1",
        cluster="block-1",
        split="train",
        level=0,
        question=question,
        labels=tuple("ABCDE"),
        answer="B",
        query_record="r1",
        candidate_records=("r0", "r1", "r2", "r3", "r4"),
    )


@pytest.fixture
def written() -> Callable[..., Completion]:
    def write(answer: str, tokens: int = 10, finished: bool = True) -> Completion:
        return Completion(f"<think>why</think><answer>{answer}</answer>", tuple(range(tokens)), finished)

    return write


@pytest.fixture
def count_lines() -> Callable[[Callable[[], object]], int]:
    """The number of Python lines and C calls a call takes, whatever the machine."""

    def count(call: Callable[[], object]) -> int:
        steps = 0

        def tally(frame: object, event: str, argument: object) -> None:
            nonlocal steps
            steps += 1

        before = sys.getprofile()
        sys.setprofile(tally)
        try:
            call()
        finally:
            sys.setprofile(before)
        return steps

    return count
