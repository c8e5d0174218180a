"""Two processes (DDP over gloo) train adapters as one does, and a killed training of them ends in equal bytes."""

from pathlib import Path

import pytest
from launching import GRPO, SFT, Trainings, apart, start
from stopped import contents

pytestmark = pytest.mark.slow
LORA = {"lora": {"rank": 4, "alpha": 8}}


def test_two_processes_train_adapters_as_one_does_and_resume_to_the_byte(
    tmp_path: Path, vision_folder: Path, records_folder: Path
) -> None:
    made = Trainings(tmp_path, vision_folder, records_folder, model=LORA)
    killed = start([made.job("grpo", "killed", GRPO, does="kill", at=12)], 2, tmp_path / "first")
    assert killed.returncode != 0
    assert list((tmp_path / ".killed.partial").glob("checkpoint-*/adapter_model.safetensors"))
    jobs = {"sft": made.job("sft", "sft", SFT), "grpo": made.job("grpo", "grpo", GRPO)}
    made.run({**jobs, "killed": made.job("grpo", "killed", GRPO)}, 2, "second")
    assert all(one["weights_sha256"] == other["weights_sha256"] for one, other in made.found.values())
    assert contents(tmp_path / "killed") == contents(tmp_path / "grpo")
    replayed = made.job("grpo", "alone/grpo", GRPO, replay=str(tmp_path / "grpo" / "rollouts.jsonl"))
    made.run({"alone": replayed}, 1, "third")
    assert apart(tmp_path / "grpo", tmp_path / "alone" / "grpo", vision_folder) < 1e-3
