"""What a teacher is told can carry no answer: it is the same in any order, and no sentence of it fits one candidate
alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DomainError
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.scaffolds.asking import ANSWER, Briefs, prompt, told
from indirect_rlvr.types import ProxyTask, Record

FACTS = st.lists(st.sampled_from(["it is warm", "it is wet", "road", "sea", "hill"]), max_size=5)


@given(st.lists(FACTS, min_size=2, max_size=6), st.randoms())
def test_only_what_all_candidates_have_is_told_in_whatever_order_they_stand(sets: list[list[str]], rng: Any) -> None:
    sentences = {f"r{number}": found for number, found in enumerate(sets)}
    mixed = list(sentences)
    rng.shuffle(mixed)
    said = told(sentences)
    assert said == told({name: sentences[name] for name in mixed})
    assert set(said) == set.intersection(*map(set, sets))


def test_the_prompt_is_the_same_whichever_candidate_is_the_answer(
    domain: Domain, make_tasks: Any, records: dict[str, Record]
) -> None:
    for task in make_tasks(20):
        for label, record in zip(task.labels, task.candidate_records, strict=True):
            other = replace(task, answer=label, query_record=record)
            briefs = Briefs(domain, records)
            assert prompt(domain, other, briefs.told(other)) == prompt(domain, task, Briefs(domain, records).told(task))
            assert ANSWER.format(label) in str(prompt(domain, other, (), shows_answer=True).parts[-1])


@pytest.mark.parametrize("given_back", ["one text", [1], [None]])
def test_a_hook_that_gives_no_list_of_sentences_is_named(toy_plugin: type, given_back: object) -> None:
    class Wrong(toy_plugin):  # type: ignore[misc, valid-type]
        @staticmethod
        @hookimpl
        def brief(settings: object, record: Record) -> object:
            return given_back

    with pytest.raises(DomainError, match="`brief` gave .*; expected a list of sentences") as caught:
        Domain("toy", Wrong, {}).brief(Record("r1", "c", {}, {}))
    assert caught.value.__notes__ == ["in hook `brief` of domain `toy`, at `r1`"]


def test_a_domain_without_the_hook_tells_nothing_and_the_teacher_still_knows_the_form(
    make_tasks: Any, toy_plugin: type, records: dict[str, Record], tmp_path: Path
) -> None:
    class Silent:
        load_records, make_task, render = toy_plugin.load_records, toy_plugin.make_task, toy_plugin.render

    task: ProxyTask = make_tasks(1)[0]
    silent = Domain("toy", Silent, {})
    assert Briefs(silent, records).told(task) == ()
    last = str(prompt(silent, task, ()).parts[-1])
    assert "<think> and </think>" in last
    assert "Notes" not in last
