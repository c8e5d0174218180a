import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import pytest

from indirect_rlvr.config import Reward
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.rewards.composite import Composite, build
from indirect_rlvr.rewards.groups import relative_length
from indirect_rlvr.rewards.parsing import parse_answer
from indirect_rlvr.rewards.spread import spread
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask, Term
from indirect_rlvr.validation import validate

Write = Callable[..., Completion]


def constant(name: str, outcome: Outcome, low: float = 0.0, high: float = 1.0) -> Term:
    return Term(name, low, high, lambda task, completion: outcome)


def test_a_weight_of_an_unknown_term_lists_the_known() -> None:
    with pytest.raises(ConfigError) as error:
        build(Reward(weights={"acuracy": 1.0}), [constant("brevity", Outcome(1.0))])
    assert str(error.value) == (
        "`reward.weights` names the unknown term `acuracy`; known terms: accuracy, format, length, repetition, "
        "overlong, brevity"
    )


def test_two_terms_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two reward terms are named `format`"):
        build(Reward(), [constant("format", Outcome(1.0))])


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_a_weight_must_be_finite(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"`weights\.accuracy` is (nan|inf): input should be a finite number"):
        validate(Reward, {"weights": {"accuracy": weight}}, "recipe `r.toml`")


@pytest.mark.parametrize("weights", [{}, {"accuracy": 0.0}])
def test_a_reward_of_nothing_is_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="gives no term a weight other than 0"):
        build(Reward(weights=weights), [])


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (math.nan, 1.0), (0.0, math.inf)])
def test_a_range_must_be_possible(low: float, high: float) -> None:
    with pytest.raises(ConfigError, match="reward term `odd` has the range"):
        build(Reward(weights={"odd": 1.0}), [constant("odd", Outcome(0.0), low, high)])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.5, -0.1])
def test_a_value_out_of_range_names_term_task_and_value(value: float, task: ProxyTask, written: Write) -> None:
    composite = build(Reward(weights={"odd": 0.0, "accuracy": 1.0}), [constant("odd", Outcome(value))])
    with pytest.raises(RunError) as error:
        composite.score(task, written("B"))
    assert str(error.value) == (
        f"reward term `odd` at task `set-3/q1` returned {value}; expected a value in its range [0.0, 1.0]"
    )


def test_an_exception_in_a_term_names_term_and_task(task: ProxyTask, written: Write) -> None:
    def fails(task: ProxyTask, completion: Completion) -> Outcome:
        return Outcome(float(completion.text))

    composite = Composite((Term("fragile", 0.0, 1.0, fails),), (1.0,))
    with pytest.raises(RunError, match="reward term `fragile` at task `set-3/q1` raised ValueError: could not convert"):
        composite.score(task, written("B"))


def test_anything_but_an_outcome_is_refused(task: ProxyTask, written: Write) -> None:
    bare = Term("bare", 0.0, 1.0, lambda task, completion: 1.0)  # type: ignore[arg-type,return-value]
    with pytest.raises(RunError, match=r"returned 1\.0; expected an Outcome"):
        Composite((bare,), (1.0,)).score(task, written("B"))


def test_the_total_is_the_weighted_sum_of_the_terms_that_apply(task: ProxyTask, written: Write) -> None:
    terms = (
        constant("scored", Outcome(0.5)),
        constant("unparsable", Outcome(-1.0, "unparsable"), low=-1.0),
        constant("absent", Outcome(1.0, "not_applicable")),
    )
    score = Composite(terms, (2.0, 0.25, 100.0)).score(task, written("B"))
    assert score.total == 0.75
    assert {name: found.status for name, found in score.outcomes.items()} == {
        "scored": "scored", "unparsable": "unparsable", "absent": "not_applicable",
    }  # fmt: skip


def test_only_terms_with_a_weight_count_and_zero_keeps_one_visible(task: ProxyTask, written: Write) -> None:
    composite = build(Reward(weights={"format": 0.0, "accuracy": 2.0}), [constant("brevity", Outcome(1.0))])
    score = composite.score(task, written("B"))
    assert score.total == 2.0
    assert list(score.outcomes) == ["accuracy", "format"]


def test_the_default_recipe_pays_right_over_wrong_over_none(task: ProxyTask, written: Write) -> None:
    composite = build(Reward(), [])
    right, wrong, none = (composite.score(task, c).total for c in (written("B"), written("C"), Completion("B", (1,))))
    assert right > wrong > none


def test_the_version_changes_with_every_part_of_the_reward() -> None:
    same = [build(Reward(), []).version() for _ in range(2)]
    others = [
        Reward(accuracy="plus-minus"),
        Reward(length_limit=512),
        Reward(repetition_ngram=4),
        Reward(weights={"accuracy": 1.0}),
        Reward(weights={"accuracy": 0.5, "format": 0.5, "length": 0.1, "repetition": 0.1}),
    ]
    versions = {build(settings, []).version() for settings in others} | {*same}
    assert len(versions) == 6


def test_the_version_changes_with_a_domains_range() -> None:
    settings, term = Reward(weights={"odd": 1.0}), constant("odd", Outcome(0.0))
    assert build(settings, [term]).version() != build(settings, [replace(term, low=-1.0)]).version()


def test_a_term_without_a_source_file_has_no_version() -> None:
    score = eval("lambda task, completion: None")
    with pytest.raises(ConfigError, match="reward term `typed` has no source file"):
        build(Reward(weights={"typed": 1.0}), [Term("typed", 0.0, 1.0, score)]).version()


def test_the_description_says_what_counts() -> None:
    assert build(Reward(weights={"length": 0.1}, length_limit=64), []).describe() == [
        {"name": "length", "low": 0.0, "high": 1.0, "weight": 0.1, "parameters": {"limit": 64}}
    ]


def rule(check: object, task: ProxyTask, completion: Completion, **_: object) -> Outcome:
    return Outcome(0.0)


def check(text: str) -> bool:
    return True


def test_a_description_is_the_same_in_every_process_and_fits_into_the_manifest() -> None:
    held = {
        "words": frozenset("cab"),
        "by": (1, MappingProxyType({"f": check})),
        "pattern": re.compile("x"),
        "object": object(),
    }
    term = Term("odd", 0.0, 1.0, partial(rule, partial(check, check), **held))
    (described,) = Composite((term,), (1.0,)).describe()
    name = f"{__name__}.check"
    assert json.loads(json.dumps(described))["parameters"] == {
        "arguments": [{"function": name, "arguments": [name]}],
        "words": ["a", "b", "c"],
        "by": [1, {"f": name}],
        "pattern": "re.compile('x')",
        "object": "<object object>",
    }


def test_the_version_knows_what_a_term_holds_by_place_as_well_as_by_name() -> None:
    made = [partial(rule, 1), partial(rule, 2), partial(rule, check), partial(rule, parse_answer)]
    versions = {Composite((Term("odd", 0.0, 1.0, score),), (1.0,)).version() for score in made}
    assert len(versions) == 4


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"accuracy": "beauty"}, "`reward.gates.accuracy` is `beauty`; expected another term that sees one completion"),
        ({"accuracy": "accuracy"}, "`reward.gates.accuracy` is `accuracy`; expected another term"),
        ({"beauty": "format"}, "`reward.gates` gates `beauty`, which is no term with a weight"),
        ({"accuracy": "relative-length"}, "`reward.gates.accuracy` is `relative-length`; expected another term"),
    ],
)
def test_an_impossible_gate_is_refused(gates: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(Reward(gates=gates), [relative_length()])


def test_a_recipe_can_punish_completions_that_come_close_to_their_limit(task: ProxyTask, written: Write) -> None:
    settings = Reward(weights={"accuracy": 1.0, "overlong": 0.5}, overlong_limit=100, overlong_buffer=40)
    reward = build(settings, [])
    assert [reward.score(task, written("B", tokens=count)).total for count in (60, 80, 100)] == [1.0, 0.75, 0.5]
    assert reward.describe()[1]["parameters"] == {"limit": 100, "buffer": 40}


def test_an_overlong_buffer_above_its_limit_names_the_keys() -> None:
    with pytest.raises(ConfigError, match="`reward.overlong_buffer` is 256; expected at most the 100 of"):
        build(Reward(overlong_limit=100), [])


GATED = Reward(accuracy="plus-minus", weights={"accuracy": 1.0}, gates={"accuracy": "format"})


def test_accuracy_behind_the_format_counts_only_with_it(task: ProxyTask, written: Write) -> None:
    reward = build(GATED, [])
    assert reward.score(task, written("B")).total == 1.0
    assert reward.score(task, Completion("<answer>B</answer>", (1,))).total == -1.0
    (described,) = reward.describe()
    assert described["parameters"]["gate"]["name"] == "format"  # type: ignore[index]
    assert reward.version() == build(GATED, []).version()
    assert reward.version() != build(Reward(accuracy="plus-minus", weights={"accuracy": 1.0}), []).version()


def test_group_terms_count_in_a_group_and_not_alone(task: ProxyTask, written: Write) -> None:
    weights = {"accuracy": 1.0, "relative-length": 2.0}
    reward = build(Reward(weights=weights), [relative_length()])
    group = [written("B", tokens=1), written("B", tokens=3)]
    assert [score.total for score in reward.score_group(task, group)] == [2.0, 0.0]
    assert [reward.score(task, one).total for one in group] == [1.0, 1.0]
    assert [row["name"] for row in reward.describe()] == list(weights)


def test_a_group_term_that_loses_a_rollout_is_named(task: ProxyTask, written: Write) -> None:
    short = GroupTerm("short", 0.0, 1.0, lambda task, group: [Outcome(0.0)])
    with pytest.raises(
        RunError, match="group term `short` at task `set-3/q1` returned .*; expected one Outcome for each"
    ):
        Composite((), (), (short,), (1.0,)).score_group(task, [written("B")] * 2)


def test_the_spread_shows_the_term_that_dominates(task: ProxyTask, written: Write) -> None:
    reward = build(Reward(weights={"accuracy": 3.0, "format": 1.0}), [])
    scores = [reward.score(task, one) for one in (written("B"), written("C"), Completion("<answer>?</answer>", (1,)))]
    accuracy, form = spread(reward, scores)
    assert (accuracy.scored, accuracy.unparsable, form.scored) == (2, 1, 3)
    assert accuracy.mean == pytest.approx(1 / 3)
    assert accuracy.std == pytest.approx(math.sqrt(2) / 3)
    assert accuracy.weighted_std == pytest.approx(3 * accuracy.std)
    assert (accuracy.share, form.share) == pytest.approx((0.75, 0.25))
    assert spread(reward, [])[0].share == 0.0
