"""Traces are checked before SFT sees them, and how many give the answer away is counted."""

from collections.abc import Callable
from random import Random

import pytest

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.scaffolds import traces as scaffold
from indirect_rlvr.types import ProxyTask, Verdict

MakeTasks = Callable[..., list[ProxyTask]]


def _domain(toy: type, write: Callable[[ProxyTask, Random], str | None]) -> Domain:
    """The toy domain with another scaffold hook."""

    class Variant(toy):  # type: ignore[misc]
        @staticmethod
        @hookimpl
        def scaffold(settings: object, task: ProxyTask, rng: Random) -> str | None:
            return write(task, rng)

    return Domain("toy", Variant, {})


def test_a_contradicted_trace_is_dropped_and_counted(toy_plugin: type, make_tasks: MakeTasks) -> None:
    def write(task: ProxyTask, rng: Random) -> str:
        colour = "grey" if task.id in ("t3", "t5") else task.question.facts["colour"]
        return f"<think>{colour}</think><answer>A</answer>"

    tasks = make_tasks(8)
    false = [t for t in tasks if t.id in ("t3", "t5") and t.question.facts["colour"] != "grey"]
    rows, counts = scaffold.build(_domain(toy_plugin, write), tasks, count=8, seed=0)
    assert false
    assert {row["task_id"] for row in rows} == {t.id for t in tasks} - {t.id for t in false}
    assert counts.dropped == {"contradicted claim": len(false)}
    assert counts.kept == len(rows) == 8 - len(false)


def _placed(toy: type, write: Callable[[ProxyTask, Random], str]) -> Domain:
    """The toy domain with a scaffold hook, and a check that says where "grey" stands, which is always false."""

    class Placing(toy):  # type: ignore[misc]
        @staticmethod
        @hookimpl
        def scaffold(settings: object, task: ProxyTask, rng: Random) -> str:
            return write(task, rng)

        @staticmethod
        @hookimpl
        def check_facts(settings: object, task: ProxyTask, text: str) -> list[Verdict]:
            at = text.find("grey")
            said = [Verdict("warm", "supported", "yes")] if "warm" in text else []
            return said if at < 0 else [*said, Verdict("grey", "contradicted", "no", "colour", (at, at + 4))]

    return Domain("toy", Placing, {})


def test_a_false_sentence_is_cut_out_and_the_trace_counted_as_repaired(toy_plugin: type, make_tasks: MakeTasks) -> None:
    def write(task: ProxyTask, rng: Random) -> str:
        return "<think>It is warm.{} It is so.</think><answer>B</answer>".format(" It is grey." * (task.id == "t1"))

    rows, counts = scaffold.build(_placed(toy_plugin, write), make_tasks(4), count=4, seed=0)
    assert {row["completion"] for row in rows} == {"<think>It is warm. It is so.</think><answer>B</answer>"}
    assert {row["task_id"]: row["repaired"] for row in rows} == {"t0": False, "t1": True, "t2": False, "t3": False}
    assert {(row["claims"], row["supported"]) for row in rows} == {(1, 1)}
    assert (counts.kept, counts.dropped) == (4, {})
    assert scaffold.repaired_share(rows) == 0.25
    assert scaffold.repaired_share([]) == 0.0


@pytest.mark.parametrize(
    "trace",
    [
        "<think>warm</think><answer>A, it is grey</answer>",
        "<think>All is grey</think><answer>A</answer>",
        "<think>It is grey. It is warm. It is grey.</think><answer>A</answer>",
    ],
)
def test_a_trace_that_would_lose_its_answer_or_all_its_thought_or_stay_false_is_dropped(
    toy_plugin: type, make_tasks: MakeTasks, trace: str
) -> None:
    def write(task: ProxyTask, rng: Random) -> str:
        return trace if task.id == "t1" else "<think>It is warm.</think><answer>B</answer>"

    rows, counts = scaffold.build(_placed(toy_plugin, write), make_tasks(3), count=3, seed=0)
    assert {row["task_id"] for row in rows} == {"t0", "t2"}
    assert counts.dropped == {"contradicted claim": 1}


def test_a_trace_out_of_format_is_dropped(toy_plugin: type, make_tasks: MakeTasks) -> None:
    def write(task: ProxyTask, rng: Random) -> str:
        return "red <answer>A</answer>" if task.id == "t0" else "<think>hm</think><answer>A</answer>"

    rows, counts = scaffold.build(_domain(toy_plugin, write), make_tasks(3), count=3, seed=0)
    assert "t0" not in {row["task_id"] for row in rows}
    assert counts.dropped == {"bad format": 1}


def test_a_hook_whose_every_trace_is_wrong_is_an_error(toy_plugin: type, make_tasks: MakeTasks) -> None:
    with pytest.raises(DataError, match=r"every scaffold of 4 tasks was dropped: \{'bad format': 4\}"):
        scaffold.build(_domain(toy_plugin, lambda task, rng: "A"), make_tasks(4), count=4, seed=0)


def test_held_out_tasks_get_no_trace(domain: Domain, make_tasks: MakeTasks) -> None:
    rows, counts = scaffold.build(domain, make_tasks(4, split="test"), count=4, seed=0)
    assert (rows, counts.kept, counts.dropped) == ([], 0, {})


def test_a_domain_without_scaffold_gives_no_rows(toy_plugin: type, make_tasks: MakeTasks) -> None:
    rows, counts = scaffold.build(_domain(toy_plugin, lambda task, rng: None), make_tasks(3), count=3, seed=0)
    assert (rows, counts.dropped) == ([], {"no trace": 3})


def test_the_seed_alone_decides_which_tasks_and_what_they_say(domain: Domain, make_tasks: MakeTasks) -> None:
    tasks = make_tasks(30)
    first, _ = scaffold.build(domain, tasks, count=10, seed=1)
    assert first == scaffold.build(domain, tasks[::-1], count=10, seed=1)[0]
    assert first != scaffold.build(domain, tasks, count=10, seed=2)[0]
    assert len(first) == 10


def test_the_share_of_right_answers_shows_a_leak(toy_plugin: type, domain: Domain, make_tasks: MakeTasks) -> None:
    def tell(task: ProxyTask, rng: Random) -> str:
        return f"<think>hm</think><answer>{task.answer}</answer>"

    tasks = make_tasks(90)
    blind, _ = scaffold.build(domain, tasks, count=90, seed=0)
    telling, _ = scaffold.build(_domain(toy_plugin, tell), tasks, count=90, seed=0)
    assert scaffold.right_share(telling) == 1.0
    assert 0.2 < scaffold.right_share(blind) < 0.5
    assert scaffold.right_share([]) == 0.0
    assert {row["claims"] for row in blind} == {row["supported"] for row in blind} == {1}
