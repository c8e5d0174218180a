"""A curriculum bands and orders tasks without telling answers; groups that teach nothing make room for other tasks."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from indirect_rlvr.config import Curriculum, Grpo, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.rewards.composite import Composite
from indirect_rlvr.run import write_jsonl
from indirect_rlvr.training import grpo
from indirect_rlvr.training.curriculum import Refill, plan
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

MakeTasks = Callable[..., list[ProxyTask]]


@pytest.fixture()
def tasks(make_tasks: MakeTasks) -> list[ProxyTask]:
    """t0…t19, the similarity of each its number in a shuffled order, cells of 10 and 20."""
    made = make_tasks(20, "text")
    ranks = Random(3).sample(range(20), 20)
    return [
        replace(task, difficulty={"similarity": rank / 20, "cell": 10.0 + 10 * (rank < 5)})
        for task, rank in zip(made, ranks, strict=True)
    ]


def _plan(tasks: list[ProxyTask], prompts: int = 1000, seed: int = 0, **settings: Any) -> Any:
    return plan(tasks, Curriculum(**settings), prompts, 4, seed)


# what is refused


def test_a_measure_no_task_has_is_refused(tasks: list[ProxyTask]) -> None:
    with pytest.raises(DataError, match="no training task has the measure `spread`; tasks have: cell, similarity"):
        _plan(tasks, measure="spread", order="easy-first")


def test_a_band_too_narrow_for_a_step_is_refused_with_the_range_there_is(tasks: list[ProxyTask]) -> None:
    message = r"band` \[0.9, 2\] leaves 2 of 20 training tasks, too few for a step of 4 .* from 0 to 0.95 there"
    with pytest.raises(DataError, match=message):
        _plan(tasks, measure="similarity", band=(0.9, 2.0))


def test_the_pass_rate_needs_a_file_of_answers(tasks: list[ProxyTask]) -> None:
    with pytest.raises(DataError, match="`grpo.curriculum.answers` names no file to measure it from"):
        _plan(tasks, measure="pass_rate", order="easy-first")


# bands and orders


def test_without_band_and_order_every_task_stays_where_it_was(tasks: list[ProxyTask]) -> None:
    found = _plan(tasks)
    assert (found.tasks, found.walk, found.shuffled, found.left_out) == (tasks, list(range(20)), True, {})


def test_a_band_keeps_both_its_ends_and_counts_what_it_leaves_out(tasks: list[ProxyTask]) -> None:
    unmeasured = [replace(task, id=f"u{task.id}", difficulty={}) for task in tasks[:3]]
    found = _plan([*tasks, *unmeasured], measure="similarity", band=(0.25, 0.75))
    assert sorted(task.difficulty["similarity"] for task in found.tasks) == [rank / 20 for rank in range(5, 16)]
    assert found.left_out == {"without similarity": 3, "outside the band": 9} and found.shuffled


def test_easy_first_goes_to_the_hard_end_of_each_measure_and_hard_first_backwards(tasks: list[ProxyTask]) -> None:
    found = _plan(tasks, measure="similarity", order="easy-first")
    assert [task.difficulty["similarity"] for task in found.tasks] == [rank / 20 for rank in range(20)]
    backwards = _plan(tasks, measure="similarity", order="hard-first")
    assert backwards.tasks == found.tasks[::-1] and not backwards.shuffled
    assert [task.difficulty["cell"] for task in _plan(tasks, order="easy-first").tasks] == [20.0] * 5 + [10.0] * 15


def test_ties_are_broken_by_the_seed_and_not_by_the_order_tasks_come_in(tasks: list[ProxyTask]) -> None:
    one = _plan(tasks, order="easy-first").tasks
    assert _plan(tasks[::-1], order="easy-first").tasks == one
    assert _plan(tasks, order="easy-first", seed=1).tasks != one


@pytest.mark.parametrize(("prompts", "length"), [(8, 8), (20, 20), (24, 20), (1000, 20)])
def test_a_short_run_still_walks_from_the_easy_to_the_hard_end(
    tasks: list[ProxyTask], prompts: int, length: int
) -> None:
    found = _plan(tasks, prompts, measure="similarity", order="easy-first")
    assert len(found.walk) == len(set(found.walk)) == length and found.walk == sorted(found.walk)
    assert found.walk[0] == 0 and found.walk[-1] >= 20 - 20 / length - 1


def test_a_pass_rate_chooses_whole_sets_so_that_a_choice_never_tells_the_answer(
    make_tasks: MakeTasks, tmp_path: Path
) -> None:
    """The policy that answers always picks candidate r0; per task its pass rate would be 1 or 0, that is the answer."""
    base = make_tasks(1, "text")[0]
    made = []
    for number in range(40):
        names = tuple(f"s{number}r{member}" for member in range(3))
        for member in range(3):
            made.append(
                replace(
                    base,
                    id=f"s{number}q{member}",
                    answer="ABC"[member],
                    query_record=names[member],
                    candidate_records=names,
                )
            )
    picks = {task.id: "A" if int(task.id[1:].split("q")[0]) % 2 else "none" for task in made}
    write_jsonl(
        tmp_path / "a.jsonl", [{"id": name, "text": f"<answer>{pick}</answer>"} for name, pick in picks.items()]
    )
    found = _plan(made, measure="pass_rate", band=(0.1, 0.5), answers=str(tmp_path / "a.jsonl"))
    assert len(found.tasks) == 60
    asked: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for task in found.tasks:
        asked[task.candidate_records].append(task.query_record)
    assert all(sorted(queries) == sorted(members) for members, queries in asked.items())


# dynamic sampling: the decisions


@pytest.mark.parametrize(
    ("rewards", "tolerance", "equal"),
    [
        ([1.0, 1.0, 1.0], 0.0, True),
        ([0.0, 0.0, 1.0], 0.0, False),
        ([0.31, 0.32, 0.33], 0.0, False),
        ([0.31, 0.32, 0.33], 0.02, True),
        ([-5.0, -4.9, 7.0], 0.2, False),
        ([1.6, 1.6000001, 1.6], 0.0, True),
        ([nan, 1.0, 1.0], 0.0, True),
        ([nan, 1.0, 0.0], 0.0, False),
        ([nan, nan, 0.0], 0.0, True),
    ],
)
def test_a_group_is_equal_by_the_span_of_its_rewards_of_any_range(
    rewards: list[float], tolerance: float, equal: bool
) -> None:
    assert Refill(["a"], ["a"], 1, tolerance).equal(rewards) is equal


def test_replacements_are_the_next_tasks_nobody_had_and_stop_at_the_limit() -> None:
    refill = Refill(list("abcdefgh"), list("acfh"), 2, 0.0)
    assert refill.replacements(["a", "c"], [0, 1], 2) == {0: "b", 1: "d"}
    assert refill.replacements(["b", "d"], [1], 1) == {1: "e"}
    assert refill.replacements(["f", "h"], [0, 1], 1) == {0: "g"}
    assert refill.replacements(["a", "b"], [0, 1], 0) == {}


def test_when_every_task_was_had_the_count_begins_again_without_the_tasks_of_the_step() -> None:
    refill = Refill(list("abcd"), list("abcd"), 4, 0.0)
    assert refill.replacements(["a", "b"], [0, 1], 4) == {0: "c", 1: "d"}
    assert refill.replacements(["c", "d"], [0, 1], 4) == {0: "a", 1: "b"}
    assert refill.replacements(["a", "b", "c", "d"], [0], 4) == {}
    assert Refill(list("abc"), list("abc"), 4, 0.0).replacements(["a", "b"], [0, 1], 4) == {0: "c"}


# dynamic sampling: the training


def _rewarded(task: ProxyTask, completion: Completion) -> Outcome:
    """t0 to t4 always earn 1; of the others each sample has a value of its own."""
    if int(task.id[1:]) < 5:
        return Outcome(1.0, "unparsable")
    return Outcome((sum(completion.token_ids) % 1000) / 1000)


def _never(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(0.0)


class Run:
    """One call of `grpo.train`: 2 prompts × 4 rollouts a step, 12 tokens at most."""

    def __init__(self, domain: Domain, tasks: list[ProxyTask], records: Path, start: Path) -> None:
        self.fixed = (tasks, domain, records)
        self.start = start

    def __call__(self, out: Path, term: Any = _rewarded, steps: int = 3, **curriculum: Any) -> dict[str, Any]:
        settings = Grpo(
            steps=steps,
            prompts_per_step=2,
            group_size=4,
            max_completion_tokens=12,
            curriculum=Curriculum(**curriculum),
            trl={"learning_rate": 1e-2},
        )
        reward = Composite((Term("value", 0.0, 1.0, term),), (1.0,))
        return grpo.train(self.start, *self.fixed, reward, settings, Model(), out, 0)


@pytest.fixture()
def run(domain: Domain, make_tasks: MakeTasks, records_folder: Path, text_folder: Path) -> Run:
    return Run(domain, make_tasks(10, "text"), records_folder, text_folder)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_refill_on_several_processes_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpo.GRPOConfig, "world_size", property(lambda self: 2))
    with pytest.raises(ConfigError, match="`grpo.curriculum.refill` is 3 on 2 processes; .* set it to 0, or start one"):
        run(tmp_path / "grpo", refill=3)


def test_where_no_group_is_equal_a_refill_changes_no_byte(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path, tmp_path: Path
) -> None:
    some = [task for task in make_tasks(12) if int(task.id[1:]) >= 5]
    run = Run(domain, some, records_folder, vision_folder)
    plain, refilling = run(tmp_path / "plain"), run(tmp_path / "refilling", refill=4)
    for made in (plain, refilling):
        made.pop("shared_prefix")  # who samples first looks at images more often
    assert refilling == plain and refilling["refilled"] == 0
    assert _lines(tmp_path / "refilling/rollouts.jsonl") == _lines(tmp_path / "plain/rollouts.jsonl")
    for one, other in zip(_lines(tmp_path / "plain/log.jsonl"), _lines(tmp_path / "refilling/log.jsonl"), strict=True):
        timeless = {key: value for key, value in other.items() if not key.startswith(("curriculum/", "step_time"))}
        assert {key: value for key, value in one.items() if key != "step_time"} == timeless
        assert [other[f"curriculum/{name}"] for name in ("equal_first", "refilled", "equal_left")] == [0, 0, 0]


def test_equal_groups_make_room_for_other_tasks_and_stay_on_record(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path / "grpo", steps=4, refill=8)
    lines, log = _lines(tmp_path / "grpo/rollouts.jsonl"), _lines(tmp_path / "grpo/log.jsonl")
    kept = [line for line in lines if line["advantage"] is not None]
    thrown = [line for line in lines if line["advantage"] is None]
    assert Counter(line["step"] for line in kept) == {1: 8, 2: 8, 3: 8, 4: 8}
    assert result["refilled"] == len(thrown) / 4 == sum(line["curriculum/refilled"] for line in log) > 0
    assert result["rollouts"] == len(lines)
    assert {line["reward"] for line in thrown} == {1.0} and {int(line["task_id"][1:]) < 5 for line in thrown} == {True}
    for line in log:
        of_step = [rollout for rollout in kept if rollout["step"] == line["step"]]
        groups = [{rollout["reward"] for rollout in of_step[at : at + 4]} for at in (0, 4)]
        assert line["curriculum/equal_left"] == sum(len(group) == 1 for group in groups) == 0
        assert line["reward"] == pytest.approx(sum(r["reward"] for r in of_step) / 8, abs=1e-5)
        assert line["rewards/value/mean"] == pytest.approx(line["reward"], abs=1e-5)
        assert line["completions/mean_length"] == pytest.approx(sum(r["tokens"] for r in of_step) / 8)
        assert line["frac_reward_zero_std"] == line["rewards/value/unparsable"] == 0.0
        assert len({rollout["task_id"] for rollout in of_step}) == 2


def test_a_hopeless_step_stops_at_the_limit(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path / "grpo", _never, steps=2, refill=3)
    log = _lines(tmp_path / "grpo/log.jsonl")
    assert result["refilled"] == 6 and result["rollouts"] == (2 + 3) * 4 * 2
    assert [[line[f"curriculum/{n}"] for n in ("equal_first", "refilled", "equal_left")] for line in log] == [
        [2, 3, 2]
    ] * 2


def test_the_same_seed_gives_the_same_bytes_with_refills(run: Run, tmp_path: Path) -> None:
    first = run(tmp_path / "a", refill=4)
    torch.manual_seed(5)
    assert run(tmp_path / "b", refill=4) == first and first["refilled"] > 0
    assert (tmp_path / "a/rollouts.jsonl").read_bytes() == (tmp_path / "b/rollouts.jsonl").read_bytes()


def test_a_tolerance_makes_small_differences_count_as_equal(run: Run, tmp_path: Path) -> None:
    assert run(tmp_path / "grpo", steps=1, refill=5, tolerance=1.0)["refilled"] == 5


def test_training_follows_the_order_and_refills_from_the_band(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path, vision_folder: Path, tmp_path: Path
) -> None:
    made = [replace(task, difficulty={"spread": -float(at)}) for at, task in enumerate(make_tasks(16))]
    run = Run(domain, made, records_folder, vision_folder)
    result = run(tmp_path / "grpo", measure="spread", order="easy-first", band=(-13.0, -2.0), refill=6)
    kept = [line for line in _lines(tmp_path / "grpo/rollouts.jsonl") if line["advantage"] is not None]
    trained = [int(line["task_id"][1:]) for line in kept][::4]
    assert result["tasks"] == 12 and result["left_out"] == {"without spread": 0, "outside the band": 4}
    assert (
        result["refilled"] == 3
    )  # t2 and t4 are always right; t3 and t5 are next, t3 again, and t7 is next off the way
    assert trained == [7, 5, 6, 8, 10, 12]
    written = [(line["task_id"], line["difficulty"]) for line in _lines(tmp_path / "grpo/curriculum.jsonl")]
    assert written == [(f"t{at}", {"spread": -float(at)}) for at in range(2, 14)]
