"""The contract: what a pack that breaks it is told, and whom an error is blamed on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from indirect_rlvr import domain as loader
from indirect_rlvr.defaults import INSTRUCTION
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DomainError
from indirect_rlvr.evaluation.choice import choice_benchmark
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.types import Outcome, ProxyTask, Question, Record, Term, View


class Settings(BaseModel, frozen=True, extra="forbid"):
    """Settings of the toy."""

    count: int = 2


class Toy:
    """The least a domain can be."""

    @hookimpl
    def load_records(settings: Settings, folder: Path, seed: int) -> Iterator[Record]:  # noqa: N805
        for number in range(2):
            yield Record(f"r{number}", "c", {"word": View("word", "text", str(number))}, {})

    @hookimpl
    def make_task(settings: Settings, query: Record, candidates: Sequence[Record]) -> Question:  # noqa: N805
        return Question("Which?", (query.views["word"],), tuple(c.views["word"] for c in candidates), {})


def pack(**hooks: object) -> SimpleNamespace:
    """A plugin with the toy's hooks and others."""
    toy = {name: hook for name, hook in vars(Toy).items() if not name.startswith("__")}
    return SimpleNamespace(__name__="toy.hooks", **{**toy, **{name: hookimpl(hook) for name, hook in hooks.items()}})


def a_task() -> ProxyTask:
    views = tuple(View("word", "text", word) for word in ("x", "y"))
    return ProxyTask(
        "t", "c", "train", 0, Question("Which?", views[:1], views, {}), ("A", "B"), "A", "r0", ("r0", "r1")
    )


def test_a_misspelt_hook_is_refused_and_the_hooks_are_listed() -> None:
    with pytest.raises(DomainError) as refused:
        Domain("toy", pack(neighborhood=lambda settings: None), {})
    assert "domain `toy` breaks the contract: unknown hook 'neighborhood'" in str(refused.value)
    assert "load_records, make_task, neighbourhood, prepare" in str(refused.value)


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(DomainError, match=r"(?s)breaks the contract: .*'render'.*hookimpl definition.*colour"):
        Domain("toy", pack(render=lambda settings, task, colour: None), {})


@pytest.mark.parametrize("hook", ["load_records", "make_task"])
def test_a_missing_required_hook_is_named(hook: str) -> None:
    plugin = pack()
    delattr(plugin, hook)
    with pytest.raises(DomainError, match=f"domain `toy` does not implement the required hook `{hook}`"):
        Domain("toy", plugin, {})


def test_settings_the_domain_does_not_know_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\[records\] of domain `toy`: unknown key `cont`; known keys here: count"):
        Domain("toy", pack(domain_settings=lambda: Settings), {"cont": 3})


def test_a_domain_without_settings_takes_none() -> None:
    with pytest.raises(ConfigError, match="unknown key `count`"):
        Domain("toy", pack(), {"count": 3})


def test_settings_that_are_no_model_are_refused_and_an_error_in_them_is_blamed_on_the_hook() -> None:
    with pytest.raises(DomainError, match="`domain_settings` of domain `toy` gave 5; expected a pydantic model"):
        Domain("toy", pack(domain_settings=lambda: 5), {})
    with pytest.raises(ZeroDivisionError) as blamed:
        Domain("toy", pack(domain_settings=lambda: 1 / 0), {})
    assert blamed.value.__notes__ == ["in hook `domain_settings` of domain `toy`"]


def test_two_benchmarks_of_one_name_are_an_error() -> None:
    two = [choice_benchmark("b", "", lambda folder: [])] * 2
    with pytest.raises(DomainError, match="domain `toy` has two benchmarks named `b`; give each a name of its own"):
        Domain("toy", pack(benchmarks=lambda records: two), {}).benchmarks([], 1, 0)
    with pytest.raises(DomainError, match="domain `toy` has two benchmarks named `b`; give each a name of its own"):
        Domain("toy", pack(suite=lambda: two), {}).suite()


def test_two_reward_terms_of_one_name_are_an_error() -> None:
    term = Term("t", 0.0, 1.0, lambda task, completion: Outcome(0.0))
    with pytest.raises(DomainError, match="domain `toy` has two reward terms named `t`"):
        Domain("toy", pack(rewards=lambda: [term, term]), {}).rewards()


def test_an_error_in_a_hook_keeps_its_type_and_names_hook_domain_and_item() -> None:
    def scaffold(task: ProxyTask, rng: Random) -> str:
        raise KeyError("age")

    with pytest.raises(KeyError) as raised:
        Domain("toy", pack(scaffold=scaffold), {}).scaffold(a_task(), Random(0))
    assert raised.value.__notes__ == ["in hook `scaffold` of domain `toy`, at `t`"]


def test_an_error_while_records_are_drawn_is_blamed_too(tmp_path: Path) -> None:
    def load_records(folder: Path) -> Iterator[Record]:
        yield Record("r", "c", {}, {})
        raise OSError("disk gone")

    drawn = Domain("toy", pack(load_records=load_records), {}).load_records(tmp_path, 0)
    next(drawn)
    with pytest.raises(OSError, match="disk gone") as raised:
        next(drawn)
    assert raised.value.__notes__ == ["in hook `load_records` of domain `toy`"]


def test_an_unknown_domain_lists_the_installed() -> None:
    with pytest.raises(DomainError, match=r"unknown domain `nowhere`; installed domains: .*template"):
        loader.load_domain("nowhere", {})


def test_an_unknown_recipe_lists_the_pack_s_own() -> None:
    with pytest.raises(DomainError, match="domain `template` has no recipe `big`; it has: default; or give"):
        loader.recipe_path("template", "big")


def test_a_recipe_path_is_taken_as_it_is() -> None:
    assert loader.recipe_path("template", "some/where.toml") == Path("some/where.toml")


def test_none_passes_the_question_to_the_core() -> None:
    passing = Domain("toy", pack(render=lambda task: None), {})
    assert passing.render(a_task()) == Domain("toy", pack(), {}).render(a_task())


def test_the_core_renders_query_then_labelled_candidates_then_wording() -> None:
    task = a_task()
    parts = Domain("toy", pack(), {}).render(task).parts
    assert parts == (*task.question.query, "A:", task.question.candidates[0], "B:", task.question.candidates[1],
                     f"Which? {INSTRUCTION}")  # fmt: skip


def test_the_domain_s_answer_comes_before_the_core_s() -> None:
    assert Domain("toy", pack(domain_settings=lambda: Settings), {"count": 5}).settings == Settings(count=5)


def test_hooks_that_were_not_written_have_harmless_answers() -> None:
    bare = Domain("toy", pack(), {})
    assert bare.hooks == ("load_records", "make_task")
    assert (bare.rewards(), bare.benchmarks([], 1, 0), bare.suite(), bare.primer()) == ([], [], [], None)
    assert bare.scaffold(a_task(), Random(0)) is None
    assert bare.check_facts(a_task(), "text") == ()
    assert bare.neighbourhood().keys == ()
