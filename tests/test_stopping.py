"""Ctrl-C and SIGTERM within a training: the first is noted, the second does not wait, the same one twice is one."""

import os
import signal

import pytest

from indirect_rlvr import stopping
from indirect_rlvr.stopping import Terminated, deferred, terminable


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_a_second_ctrl_c_does_not_wait() -> None:
    with pytest.raises(KeyboardInterrupt), deferred() as stop:
        send(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        send(signal.SIGINT)


def test_a_sigterm_that_comes_twice_at_once_is_one() -> None:
    with deferred() as stop:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM


def test_a_sigterm_well_after_the_first_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "TWICE", 0.0)
    with pytest.raises(Terminated), deferred():
        send(signal.SIGTERM)
        send(signal.SIGTERM)


def test_the_first_signal_of_a_process_is_its_first_though_another_process_was_told_before() -> None:
    with deferred() as stop:
        stop.signal = signal.SIGTERM
        send(signal.SIGTERM)
        send(signal.SIGTERM)


def test_afterwards_a_signal_ends_at_once_again() -> None:
    with pytest.raises(Terminated), terminable():
        with deferred():
            pass
        send(signal.SIGTERM)


@pytest.mark.usefixtures("terminal")
def test_a_lost_terminal_is_noted_within_a_training_like_sigterm() -> None:
    with terminable(), deferred() as stop:
        send(signal.SIGHUP)
        assert stop.signal == signal.SIGHUP
        with pytest.raises(Terminated) as caught:
            stop.raise_if_asked()
        assert caught.value.number == signal.SIGHUP


def test_under_nohup_a_lost_terminal_changes_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminable(), deferred() as stop:
            send(signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)
