"""A bar on a terminal, a line now and then elsewhere, and nothing that redraws."""

import io
import threading

import pytest

from indirect_rlvr.progress import AT_LEAST, EVERY, Progress, duration, each, facts, size, speed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_pipe_gets_whole_lines_and_only_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress("grpo", "step", 1000, stream=stream, clock=clock) as progress:
        for step in range(1, 201):
            clock.now = step * 1.0
            progress.reach(step, {"loss": 0.25, "reward": 0.5})
    lines = stream.getvalue().splitlines()
    assert len(lines) == 200 // EVERY
    assert lines[0].startswith("grpo: 30 of 1,000 steps, 1 steps/s, 16 min 10 s left, loss 0.25, reward 0.5, memory ")
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_a_long_job_that_crawls_gets_a_line_in_ten_minutes_and_no_sooner() -> None:
    stream, clock = io.StringIO(), Clock()
    with Progress("grpo", "step", 1_000_000, stream=stream, clock=clock) as progress:
        for minute in range(1, 61):
            clock.now = minute * 60.0
            progress.advance()
    assert len(stream.getvalue().splitlines()) == 3600 // AT_LEAST


def test_a_short_job_says_nothing_in_a_pipe() -> None:
    stream = io.StringIO()
    with Progress("records", "record", stream=stream, clock=Clock()) as progress:
        for _ in range(1000):
            progress.advance()
    assert stream.getvalue() == ""


def test_what_was_done_before_counts_for_the_place_and_not_for_the_rate() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = Progress("grpo", "step", 100, done=90, stream=stream, clock=clock)
    clock.now = 50.0
    progress.reach(95)
    assert stream.getvalue().startswith("grpo: 95 of 100 steps, 10 s/step, 50 s left, memory ")


def test_a_terminal_gets_a_bar_and_no_thread() -> None:
    stream, before = Terminal(), threading.active_count()
    with Progress("grpo", "step", 10, stream=stream) as progress:
        progress.reach(10, {"reward": 0.5})
        assert threading.active_count() == before
    assert "\r" in stream.getvalue() and "grpo" in stream.getvalue()


def test_items_pass_through_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(each(iter("abc"), "letters", "letter")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_loss_reward_its_terms_and_length_are_shown_and_what_is_no_number_is_not() -> None:
    line = {"step": 1, "loss": None, "reward": 0.5, "rewards/accuracy/mean": 0.25, "rewards/accuracy/std": 0.1, "kl": 1}
    assert facts(line) == {"reward": 0.5, "accuracy": 0.25}


def test_figures_are_said_in_words() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 3725, 200_000)] == ["0 s", "59 s", "1 min 01 s", "1 h 02 min", "2 d 7 h"]
    assert [speed(rate, "step") for rate in (0.0, 0.5, 12.345)] == ["0 steps/s", "2 s/step", "12.3 steps/s"]
    assert [size(n) for n in (12, 1234, 5.6e6, 1.5e9, 2e12)] == ["12 B", "1.23 kB", "5.6 MB", "1.5 GB", "2,000.0 GB"]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_of_several_processes_only_the_first_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO
) -> None:
    clock = Clock()
    monkeypatch.setenv("RANK", "1")
    with Progress("grpo", "step", 10, stream=stream, clock=clock) as progress:
        clock.now = AT_LEAST
        progress.reach(5)
    assert stream.getvalue() == ""
