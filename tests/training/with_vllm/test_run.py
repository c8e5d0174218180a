"""A whole run of the geo pack with rollouts from vLLM."""

import json
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr import engine

SHORT = {
    "records.spacing_m": 1200, "tasks.train": 24, "tasks.test": 16, "scaffold.count": 24, "model.prime.steps": 20,
    "sft.steps": 2, "grpo.steps": 2, "grpo.prompts_per_step": 2, "grpo.group_size": 4, "grpo.max_completion_tokens": 24,
    "evaluation.tasks": 8, "evaluation.control_tasks": 8, "evaluation.targets": 8,
    "grpo.trl.use_vllm": "true", "grpo.trl.vllm_mode": "colocate",
}  # fmt: skip


def test_a_run_goes_through_every_stage_with_rollouts_from_vllm(
    started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run, name = engine.prepare("geo", "default", [f"{key}={value}" for key, value in SHORT.items()], tmp_path / "out")
    engine.execute(run, name, None, None)
    assert json.loads((run.folder / "manifest.json").read_text())["state"] == "complete"
    for stage in ("grpo", "grpo-zero"):
        log = [json.loads(line) for line in (run.folder / stage / "log.jsonl").read_text().splitlines()]
        assert max(line["sampling/sampling_logp_difference/mean"] for line in log) < 0.01
        assert len((run.folder / stage / "rollouts.jsonl").read_text().splitlines()) == 16
    assert len(started.told) >= 2
