"""verl and EasyR1 read the parquet files, and their `compute_score` pays what the composite pays."""

import asyncio
import importlib.util
import inspect
import math
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr.export import verl
from indirect_rlvr.pipeline import Run


@pytest.fixture(scope="module")
def folder(text_run: Run, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verl") / "out"
    verl.export(text_run, out, str(tokenizer_folder))
    return out


def loaded(path: Path) -> ModuleType:
    """A reward file, imported by its path as both trainers do."""
    spec = importlib.util.spec_from_file_location("custom_reward_fn", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same(found: dict[str, Any], values: dict[str, Any]) -> bool:
    """Equal, with NaN for None."""
    return found.keys() == values.keys() and all(
        math.isnan(found[name]) if value is None else found[name] == value for name, value in values.items()
    )


def test_data_of_another_export_is_refused(folder: Path, rollouts: list[Any]) -> None:
    task = rollouts[0].task
    score = loaded(folder / "verl_reward.py").compute_score
    with pytest.raises(DataError, match=f"the answer of task `{task.id}` is 'Z', the export says '{task.answer}'"):
        score("indirect_rlvr/template", "", "Z", {"task_id": task.id})
    with pytest.raises(DataError, match="task `None` is none of the 16"):
        score("indirect_rlvr/template", "", task.answer)


def test_the_reward_has_the_signature_that_verl_documents(folder: Path) -> None:
    score = loaded(folder / "verl_reward.py").compute_score
    signature = "(data_source, solution_str, ground_truth, extra_info=None, **kwargs)"
    assert str(inspect.signature(score)) == signature


def test_verl_s_reward_is_the_composite(folder: Path, rollouts: list[Any], expected: list[Any]) -> None:
    score = loaded(folder / "verl_reward.py").compute_score
    for rollout, values in zip(rollouts, expected, strict=True):
        info = {"task_id": rollout.task.id, "num_turns": None, "rollout_reward_scores": {}}
        assert same(score("indirect_rlvr/template", rollout.text, rollout.task.answer, extra_info=info), values)


def test_a_term_that_does_not_apply_is_no_zero() -> None:
    found = verl.numbers({"accuracy": 1, "facts": None, "score": 1.0})
    assert same(found, {"accuracy": 1.0, "facts": None, "score": 1.0})


def test_easyr1_s_reward_is_the_composite(folder: Path, rollouts: list[Any], expected: list[Any]) -> None:
    module = loaded(folder / "easyr1_reward.py")
    assert (module.REWARD_NAME, module.REWARD_TYPE) == ("indirect_rlvr_template", "batch")
    inputs = [{"response": r.text, "response_length": len(r.ids), "ground_truth": r.task.id} for r in rollouts]
    for found, values in zip(module.compute_score(inputs), expected, strict=True):
        assert found.pop("overall") == values["score"]
        assert same(found, {name: value for name, value in values.items() if name != "score"})


def test_the_rows_carry_the_columns_of_both(folder: Path, rollouts: list[Any]) -> None:
    by_id = {rollout.task.id: rollout.task for rollout in rollouts}
    seen = set()
    for split in ("train", "test"):
        for index, row in enumerate(pq.read_table(folder / f"{split}.parquet").to_pylist()):
            task = by_id[row["extra_info"]["task_id"]]
            assert row["data_source"] == "indirect_rlvr/template"
            assert row["prompt"] == [{"role": "user", "content": row["problem"]}]
            assert row["reward_model"] == {"style": "rule", "ground_truth": task.answer}
            assert row["extra_info"] == {"index": index, "split": split, "task_id": task.id}
            assert (row["answer"], task.split) == (task.id, split)
            assert task.question.text in row["problem"]
            seen.add(task.id)
    assert seen == set(by_id)


def test_images_stand_in_their_order_in_text_and_column(image_run: Run, tmp_path: Path) -> None:
    verl.export(image_run, tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out" / "test.parquet").to_pylist()
    assert row["problem"] == "<image>A<image>B<image>C<image>Which?"
    colours = [Image.open(BytesIO(image["bytes"])).getpixel((0, 0)) for image in row["images"]]
    assert colours == [(220, 30, 30), (220, 30, 30), (30, 200, 30), (30, 30, 220)]
    assert [image["path"] for image in row["images"]][1:] == ["chips/red.png", "chips/green.png", "chips/blue.png"]


@pytest.mark.filterwarnings("ignore")
def test_the_real_verl_pays_the_same_through_its_naive_manager(
    folder: Path, rollouts: list[Any], expected: list[Any], installed: Callable[[str], ModuleType]
) -> None:
    settings = {"path": str(folder / "verl_reward.py"), "name": "compute_score", "reward_kwargs": {}}
    manager = {"source": "register", "name": "naive"}
    check_managed(settings, manager, folder, rollouts, expected, installed)


@pytest.mark.filterwarnings("ignore")
def test_the_real_verl_pays_the_same_through_the_exported_manager(
    folder: Path, rollouts: list[Any], expected: list[Any], installed: Callable[[str], ModuleType]
) -> None:
    module = {"path": str(folder / "verl_manager.py")}
    manager = {"source": "importlib", "name": "TokenRewardManager", "module": module}
    check_managed({"path": None}, manager, folder, rollouts, expected, installed)


def check_managed(
    function: dict[str, Any],
    manager: dict[str, Any],
    folder: Path,
    rollouts: list[Any],
    expected: list[Any],
    installed: Callable[[str], ModuleType],
) -> None:
    """verl's own loading and calling of a reward, on the sampled tokens padded to one length."""
    import numpy as np
    import torch
    from transformers import AutoTokenizer

    reward, protocol = installed("verl.trainer.ppo.reward"), installed("verl")
    config = installed("omegaconf").OmegaConf.create(
        {"reward": {"custom_reward_function": function, "reward_manager": manager}}
    )
    made = reward.load_reward_manager(config, AutoTokenizer.from_pretrained(folder / "tokenizer"))
    width = max(len(rollout.ids) for rollout in rollouts)
    for rollout, values in zip(rollouts, expected, strict=True):
        row = torch.tensor([rollout.ids + [0] * (width - len(rollout.ids))])
        attention = torch.tensor([[1] * 3 + [1] * len(rollout.ids) + [0] * (width - len(rollout.ids))])
        columns = {
            "data_source": "indirect_rlvr/template",
            "reward_model": {"style": "rule", "ground_truth": rollout.task.answer},
            "extra_info": {"task_id": rollout.task.id},
        }
        data = protocol.DataProto.from_dict(
            tensors={"responses": row, "attention_mask": attention},
            non_tensors={name: np.array([value], dtype=object) for name, value in columns.items()},
        )
        found = made.loop.run_until_complete(made.run_single(data))
        assert found["reward_score"] == values["score"]
        assert same(found["reward_extra_info"], values)
    asyncio.set_event_loop(None)


@pytest.mark.filterwarnings("ignore")
def test_the_real_verl_reads_the_rows(
    folder: Path, image_run: Run, tmp_path: Path, installed: Callable[[str], ModuleType]
) -> None:
    from transformers import AutoTokenizer

    dataset, conf = installed("verl.utils.dataset.rl_dataset"), installed("omegaconf").OmegaConf
    config = conf.create({"filter_overlong_prompts": False, "cache_dir": str(tmp_path / "cache")})
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    rows = dataset.RLHFDataset(str(folder / "train.parquet"), tokenizer, config)
    assert len(rows) == 8
    assert rows[0]["raw_prompt"] == rows[0]["prompt"]
    verl.export(image_run, tmp_path / "out")
    shown = dataset.RLHFDataset(str(tmp_path / "out" / "test.parquet"), tokenizer, config, processor=object())
    parts = shown[0]["raw_prompt"][0]["content"]
    assert [part["type"] for part in parts] == ["image", "text"] * 4
    assert [part["image"].getpixel((0, 0)) for part in parts if part["type"] == "image"][1:] == [
        (220, 30, 30), (30, 200, 30), (30, 30, 220)
    ]  # fmt: skip
