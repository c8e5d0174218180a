"""Controls take away what they say, and tell honest policies from those that use a shortcut."""

from collections.abc import Callable

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.controls import (
    NO_IMAGES,
    NO_QUERY,
    OTHER_QUERY,
    PERMUTED,
    WITHHELD,
    control_tasks,
    score,
)
from indirect_rlvr.evaluation.score import Prediction
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import ProxyTask, Question, View

K, SEED, ALPHA = 4, 0, 0.001
Policy = Callable[[ProxyTask], str]


def task(number: int, modality: str = "image") -> ProxyTask:
    members = tuple(f"r{K * number + i}" for i in range(K))
    place = number % K
    views = tuple(View("tile", modality, f"{name}.png") for name in members)  # type: ignore[arg-type]
    question = Question("Which?", (View("note", modality, f"note of {members[place]}"),), views, {})  # type: ignore[arg-type]
    labels = tuple("ABCD")
    return ProxyTask(
        f"t{number}", f"c{number % 20}", "test", 0, question, labels, labels[place], members[place], members
    )


TASKS = [task(number) for number in range(200)]


def knowing(shown: ProxyTask) -> str:
    """Reads the query; guesses where it is not there or fits no candidate."""
    wanted = [view.content.removeprefix("note of ") + ".png" for view in shown.question.query]
    places = [view.content for view in shown.question.candidates]
    return shown.labels[places.index(wanted[0])] if wanted and wanted[0] in places else guessing(shown)


def guessing(shown: ProxyTask) -> str:
    key = [view.content for view in (*shown.question.query, *shown.question.candidates)]
    return keyed_rng(0, *key).choice(shown.labels)


def first(shown: ProxyTask) -> str:
    return "A"


def cheating(shown: ProxyTask) -> str:
    """Knows the answer from the candidates alone."""
    right = {member for known in TASKS for member in [known.query_record]}
    return next(label for label, name in zip(shown.labels, shown.candidate_records, strict=True) if name in right)


def answers(policy: Policy, tasks: list[ProxyTask]) -> list[Prediction]:
    return [Prediction(shown.id, f"<think></think><answer>{policy(shown)}</answer>", 3, True) for shown in tasks]


def judged(policy: Policy) -> dict[str, dict[str, float]]:
    made = control_tasks(TASKS, SEED)
    saved = {name: answers(policy, tasks) for name, tasks in made.items()}
    return score(TASKS, answers(policy, TASKS), saved, SEED, ALPHA)


def test_an_unknown_control_names_the_known_ones() -> None:
    with pytest.raises(
        DataError, match=r"^unknown control `blind`; the controls are: no_query, no_images, other_query, p"
    ):
        score(TASKS, answers(first, TASKS), {"blind": []}, SEED, ALPHA)


def test_tasks_that_all_ask_within_each_other_have_no_other_query() -> None:
    with pytest.raises(DataError, match=r"every other task asks for one of its candidates"):
        control_tasks([TASKS[0], TASKS[0]], SEED)


def test_controls_take_away_what_they_say_and_nothing_else() -> None:
    made = control_tasks(TASKS, SEED)
    assert set(made) == {NO_QUERY, NO_IMAGES, OTHER_QUERY, PERMUTED}
    for before, *after in zip(TASKS, *(made[name] for name in (NO_QUERY, NO_IMAGES, OTHER_QUERY)), strict=True):
        assert {shown.id for shown in after} == {before.id}
        assert {shown.answer for shown in after} == {before.answer}
        no_query, no_images, other = after
        assert (no_query.question.query, no_query.question.candidates) == ((), before.question.candidates)
        assert {view.content for view in (*no_images.question.query, *no_images.question.candidates)} == {WITHHELD}
        asked = other.question.query[0].content.removeprefix("note of ")
        assert asked not in before.candidate_records
        assert other.question.candidates == before.question.candidates
    queries = [shown.question.query for shown in made[OTHER_QUERY]]
    assert sorted(map(str, queries)) == sorted(str(before.question.query) for before in TASKS)
    assert control_tasks(TASKS, SEED) == made != control_tasks(TASKS, SEED + 1)


def test_without_images_there_is_no_control_without_images() -> None:
    assert NO_IMAGES not in control_tasks([task(number, "text") for number in range(20)], SEED)


def test_an_honest_policy_is_at_chance_blind_and_follows_its_candidate() -> None:
    found = judged(knowing)
    assert not any(found[name]["leaks"] for name in (NO_QUERY, NO_IMAGES, OTHER_QUERY))
    assert (found[PERMUTED]["accuracy"], found[PERMUTED]["moved"]) == (1.0, 1.0)
    assert found[PERMUTED]["stayed"] < 0.35


def test_a_policy_that_prefers_a_position_stays() -> None:
    found = judged(first)
    assert (found[PERMUTED]["stayed"], found[PERMUTED]["stayed_ci95"][1]) == (1.0, 1.0)  # type: ignore[index]
    assert found[PERMUTED]["moved"] < 0.35


def test_a_policy_that_knows_candidates_by_heart_is_caught_by_every_blind_control() -> None:
    found = judged(cheating)
    assert [found[name]["leaks"] for name in (NO_QUERY, NO_IMAGES, OTHER_QUERY)] == [True] * 3
    assert found[PERMUTED]["moved"] == 1.0


def test_answers_that_cannot_be_read_neither_move_nor_stay() -> None:
    mute = [Prediction(shown.id, "", 0, True) for shown in TASKS]
    found = score(TASKS, mute, {PERMUTED: mute}, SEED, ALPHA)
    assert (found[PERMUTED]["moved"], found[PERMUTED]["stayed"]) == (0.0, 0.0)


def test_a_control_may_hold_fewer_tasks() -> None:
    made = control_tasks(TASKS, SEED)
    found = score(TASKS, answers(knowing, TASKS), {PERMUTED: answers(knowing, made[PERMUTED][:50])}, SEED, ALPHA)
    assert found[PERMUTED]["n"] == 50
