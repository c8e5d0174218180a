"""Prompts become messages and data sets; what cannot be trusted or batched is refused first."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError
from indirect_rlvr.training import dataset
from indirect_rlvr.types import Prompt, ProxyTask, View

MakeTasks = Callable[..., list[ProxyTask]]


def test_a_control_token_in_a_record_is_refused() -> None:
    prompt = Prompt(("Note:", View("note", "text", "see <|image_pad|> here")))
    with pytest.raises(DataError, match=r"holds the control token `<\|image_pad\|>` in 'see"):
        dataset.messages(prompt)


@pytest.mark.parametrize("content", ["../secret.png", "/etc/passwd"])
def test_an_image_outside_the_records_folder_is_refused(content: str, records_folder: Path) -> None:
    with pytest.raises(DataError, match="is not a relative path inside the records folder"):
        dataset.images(Prompt((View("chip", "image", content),)), records_folder)


def test_an_image_of_too_many_pixels_is_refused_before_decoding(tmp_path: Path) -> None:
    Image.new("1", (8192, 8192)).save(tmp_path / "big.png")
    with pytest.raises(DataError, match="is 8192x8192; at most 50000000 pixels"):
        dataset.images(Prompt((View("chip", "image", "big.png"),)), tmp_path)


def test_a_decompression_bomb_is_refused(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    with pytest.raises(DataError, match=r"bomb\.png"):
        dataset.images(Prompt((View("chip", "image", "bomb.png"),)), tmp_path)


@pytest.mark.parametrize("length", [0, 20, 70])
def test_a_torn_image_is_named(length: int, tmp_path: Path, records_folder: Path) -> None:
    (tmp_path / "torn.png").write_bytes((records_folder / "red.png").read_bytes()[:length])
    with pytest.raises(DataError, match=r"torn\.png"):
        dataset.images(Prompt((View("chip", "image", "torn.png"),)), tmp_path)


def test_tasks_with_and_without_images_cannot_be_mixed(
    make_tasks: MakeTasks, domain: Domain, records_folder: Path
) -> None:
    tasks = [*make_tasks(2), *make_tasks(3, modality="text")[2:]]
    with pytest.raises(DataError, match=r"some tasks show images and some do not \(task `t2`\)"):
        dataset.rows(tasks, domain, records_folder)


def test_held_out_tasks_never_reach_training(make_tasks: MakeTasks, domain: Domain, records_folder: Path) -> None:
    tasks = make_tasks(2, split="test")
    with pytest.raises(DataError, match="2 held-out tasks were given to training, first `t0`"):
        dataset.grpo_dataset(tasks, domain, records_folder)
    traces = [{"task_id": "t1", "completion": "A"}]
    with pytest.raises(DataError, match="1 held-out tasks"):
        dataset.sft_dataset(traces, tasks, domain, records_folder)


def test_a_trace_of_no_task_is_refused(make_tasks: MakeTasks, domain: Domain, records_folder: Path) -> None:
    with pytest.raises(DataError, match="1 traces belong to no task, first `t9`"):
        dataset.sft_dataset([{"task_id": "t9", "completion": "A"}], make_tasks(2), domain, records_folder)


def test_a_text_model_is_not_given_images(make_tasks: MakeTasks, domain: Domain) -> None:
    with pytest.raises(DataError, match="a text-only model was given a prompt with images"):
        dataset.as_text(dataset.messages(domain.render(make_tasks(1)[0])))


def test_parts_keep_their_order_and_texts_in_a_row_become_lines() -> None:
    view = View("chip", "image", "red.png")
    found = dataset.messages(Prompt(("Look:", view, "A:", View("note", "text", "calm"), "Which?")))
    assert found == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image"},
                {"type": "text", "text": "A:\ncalm\nWhich?"},
            ],
        }
    ]


def test_images_come_decoded_upright_and_rgb(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by 90 degrees
    Image.new("L", (20, 10), 200).save(tmp_path / "turned.jpg", exif=exif)
    (found,) = dataset.images(Prompt((View("chip", "image", "turned.jpg"),)), tmp_path)
    assert (found.mode, found.size) == ("RGB", (10, 20))


def test_image_tasks_give_decoded_images_that_equal_those_of_evaluation(
    make_tasks: MakeTasks, domain: Domain, records_folder: Path
) -> None:
    tasks = make_tasks(4)
    found = dataset.grpo_dataset(tasks, domain, records_folder)
    assert found.column_names == ["task_id", "prompt", "images"]
    for task, row in zip(tasks, found, strict=True):
        prompt = domain.render(task)
        expected = dataset.images(prompt, records_folder)
        assert row["task_id"] == task.id
        assert [image.tobytes() for image in row["images"]] == [image.tobytes() for image in expected]
        assert sum(part["type"] == "image" for part in row["prompt"][0]["content"]) == len(expected) == 4


def test_text_tasks_have_no_images_column_and_plain_content(
    make_tasks: MakeTasks, domain: Domain, records_folder: Path
) -> None:
    traces = [{"task_id": "t0", "completion": "<think>x</think><answer>A</answer>"}]
    found = dataset.sft_dataset(traces, make_tasks(2, modality="text"), domain, records_folder)
    assert sorted(found.column_names) == ["completion", "prompt", "task_id"]
    assert found[0]["completion"] == [{"role": "assistant", "content": traces[0]["completion"]}]
    assert found[0]["prompt"][0]["content"].startswith(("red\nA\n", "blue\nA\n", "green\nA\n", "grey\nA\n"))
