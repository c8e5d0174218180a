"""What a policy is recognised by: the files that decide its answers, and no log."""

from pathlib import Path

import pytest

from indirect_rlvr.training.policies import model_digest

NAMES = ("model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "merges.txt", "spiece.model")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "log.jsonl", "rollouts.jsonl", "priming.json"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_another_file_that_decides_answers_is_another_policy(folder: Path, name: str) -> None:
    before = model_digest(folder)
    (folder / name).write_text("other")
    changed = model_digest(folder)
    (folder / name).unlink()
    assert len({before, changed, model_digest(folder)}) == 3


@pytest.mark.parametrize("name", ["log.jsonl", "rollouts.jsonl", "priming.json"])
def test_a_log_with_other_times_is_the_same_policy(folder: Path, name: str) -> None:
    before = model_digest(folder)
    (folder / name).write_text('{"step_seconds": 2.5}')
    assert model_digest(folder) == before


def test_a_base_by_reference_is_known_by_what_it_refers_to(tmp_path: Path) -> None:
    digests = set()
    for path in ("Qwen/one", "Qwen/two"):
        (tmp_path / "reference.json").write_text(path)
        digests.add(model_digest(tmp_path))
    assert len(digests) == 2
