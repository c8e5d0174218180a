"""An image damaged after the records were checked: the training names its file, and goes on once it is mended."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr import engine
from indirect_rlvr.data import proxy
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import read_json, read_jsonl
from indirect_rlvr.training.dataset import grpo_dataset
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.run import prepare

pytestmark = pytest.mark.slow
STEPS = 4
OWN = (
    "tasks.train=24", "tasks.test=24", "scaffold.count=0", f"grpo.steps={STEPS}", "grpo.prompts_per_step=2",
    "grpo.group_size=2", "grpo.save_steps=1", "grpo.max_completion_tokens=8",
)  # fmt: skip


def run(out: Path, prepared: Path, last: str = "grpo-zero") -> list[str]:
    resolved, name = engine.prepare("geo", "default", [*OWN, f"records.prepared={prepared}"], out)
    lines: list[str] = []
    engine.execute(resolved, name, None, last, lines.append)
    return lines


def ended_in(out: Path) -> tuple[Any, ...]:
    rows = [{k: v for k, v in row.items() if k != "step_time"} for row in read_jsonl(out / "grpo-zero" / "log.jsonl")]
    files = ("model.safetensors", "rollouts.jsonl")
    return (rows, *((out / "grpo-zero" / name).read_bytes() for name in files))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, cv_cities: Callable[..., Path]) -> Path:
    made = tmp_path_factory.mktemp("pairs")
    cv_cities(made / "in", each=20)
    prepare("cv-cities", made / "in", made / "out", 0, Options(), lambda line: None)
    return made / "out"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, prepared: Path) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    run(out, prepared)
    return out


def first_seen_late(out: Path) -> str:
    """An image that the training shows in its last step, and in none before."""
    tasks = {task.id: task for task in proxy.read(out / "tasks.jsonl")}
    shown: dict[str, int] = {}
    for row in read_jsonl(out / "grpo-zero" / "rollouts.jsonl"):
        question = tasks[row["task_id"]].question
        for view in (*question.query, *question.candidates):
            shown.setdefault(view.content, row["step"])
    late = sorted(name for name, step in shown.items() if step == STEPS)
    assert late
    return late[0]


def damage(image: Path) -> bytes:
    """Give the image a file of its own, the middle of which is lost; returns what it was."""
    whole = image.read_bytes()
    image.unlink()
    half = len(whole) // 2
    image.write_bytes(whole[:half] + b"\xff" * 64 + whole[half + 64 :])
    return whole


def test_a_damaged_image_stops_the_step_that_shows_it_and_once_mended_the_run_ends_in_the_same_bytes(
    tmp_path: Path, prepared: Path, undisturbed: Path
) -> None:
    out = tmp_path / "run"
    run(out, prepared, "base")
    image = out / "records" / first_seen_late(undisturbed)
    whole = damage(image)
    with pytest.raises(DataError, match=rf"image `.*{image.name}` cannot be decoded: .*; write it again"):
        run(out, prepared)
    manifest = read_json(out / "manifest.json")
    assert manifest["state"] == "interrupted"
    assert image.name in manifest["stopped"]
    assert list(manifest["stages"]) == ["records", "tasks", "base"]
    kept = sorted(path.parent.name for path in out.glob(".grpo-zero.partial/checkpoint-*/complete.json"))
    assert kept == ["checkpoint-2", "checkpoint-3"]
    image.write_bytes(whole)
    assert sum("finished before, skipped" in line for line in run(out, prepared)) == 3
    assert ended_in(out) == ended_in(undisturbed)


def test_without_shared_prompts_and_in_sft_the_file_is_named_too(prepared: Path, undisturbed: Path) -> None:
    resolved, _ = engine.prepare("geo", "default", [*OWN, f"records.prepared={prepared}"], undisturbed)
    tasks = [task for task in proxy.read(undisturbed / "tasks.jsonl") if task.split == "train"]
    rows = grpo_dataset(tasks, resolved.domain, resolved.views)
    image = resolved.views / tasks[0].question.query[0].content
    whole = damage(image)
    with pytest.raises(DataError, match=rf"image `.*{image.name}` cannot be decoded: "):
        print(rows[0])
    image.write_bytes(whole)
    assert rows[0]["images"][0].mode == "RGB"
