from pathlib import Path

import pytest

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation.backends import local
from indirect_rlvr.evaluation.backends.answers import Limits
from indirect_rlvr.training import dataset, models, rollouts
from indirect_rlvr.types import Prompt, View

LIMITS = Limits(6)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no model"):
        local.asker(tmp_path, LIMITS)


def test_what_came_before_a_torn_image_is_kept(tiny_folder: Path, images: Path) -> None:
    asked = [Prompt((f"Which? {i}",)) for i in range(local.WINDOW)] + [Prompt((View("chip", "image", "torn.png"),))]
    answers = local.asker(tiny_folder, LIMITS, batch=1)(asked, images)
    assert sorted(next(answers)[0] for _ in range(local.WINDOW)) == [0, 1, 2, 3]
    with pytest.raises(DataError, match="does not decode"):
        next(answers)


def test_every_prompt_is_answered_once_and_as_the_rollouts_do(
    tiny_folder: Path, images: Path, prompts: list[Prompt]
) -> None:
    found = dict(local.asker(tiny_folder, LIMITS, batch=1)(prompts, images))
    shown = [(dataset.messages(prompt), dataset.images(prompt, images)) for prompt in prompts]
    expected = rollouts.generate(models.load(tiny_folder), shown, max_new_tokens=6, batch=1)
    assert [found[i].text for i in range(4)] == [one.text for one in expected]
    assert [found[i].tokens for i in range(4)] == [len(one.token_ids) for one in expected]
    assert [found[i].finished for i in range(4)] == [one.finished for one in expected]


def test_frames_are_what_the_model_saw_after_the_processor_and_the_cap(
    tiny_folder: Path, images: Path, prompts: list[Prompt]
) -> None:
    found = dict(local.asker(tiny_folder, LIMITS, batch=4)(prompts, images))
    assert [found[i].frames for i in range(4)] == [(), ((28, 28),), ((28, 28), (112, 56)), ((392, 308),)]
    capped = dict(local.asker(tiny_folder, Limits(6, 40_000), batch=4)(prompts, images))
    assert capped[3].frames == ((224, 168),)
    assert capped[2].frames == found[2].frames


def test_asked_for_the_rest_it_answers_as_when_asked_for_all(
    tiny_folder: Path, prompts: list[Prompt], images: Path
) -> None:
    many = [*prompts, *prompts[::-1]]
    ask = local.asker(tiny_folder, LIMITS, batch=2)
    whole = list(ask(many, images))
    for skip in ({0}, {1, 2}, set(range(len(many) - 1))):
        assert list(ask(many, images, skip)) == [(index, answer) for index, answer in whole if index not in skip]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_several_processes_answer_each_prompt_once_and_as_one_process_does(
    tiny_folder: Path, prompts: list[Prompt], images: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    many = [*prompts, *prompts[::-1], *prompts]
    ask = local.asker(tiny_folder, LIMITS, batch=1)
    whole = sorted(ask(many, images), key=lambda found: found[0])
    shares = []
    monkeypatch.setenv("WORLD_SIZE", str(count))
    for rank in range(count):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(list(ask(many, images)))
    assert sorted((found for share in shares for found in share), key=lambda found: found[0]) == whole
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
