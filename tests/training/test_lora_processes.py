"""Two processes (DDP over gloo) train adapters as one does, and a killed training of them ends in equal bytes."""

from pathlib import Path
from typing import Any

import pytest
from launching import GRPO, SFT, apart, start, trained
from stopped import contents

pytestmark = pytest.mark.slow
LORA = {"lora": {"rank": 4, "alpha": 8}}


def test_two_processes_train_adapters_as_one_does_and_resume_to_the_byte(
    tmp_path: Path, vision_folder: Path, records_folder: Path
) -> None:
    common = {"start": str(vision_folder), "records": str(records_folder), "model": LORA}

    def job(kind: str, out: str, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {**common, "kind": kind, "out": str(tmp_path / out), "settings": settings, **more}

    killed = start([job("grpo", "killed", GRPO, does="kill", at=12)], 2, tmp_path / "first")
    assert killed.returncode != 0
    assert list((tmp_path / ".killed.partial").glob("checkpoint-*/adapter_model.safetensors"))
    jobs = [job("sft", "sft", SFT), job("grpo", "grpo", GRPO), job("grpo", "killed", GRPO)]
    one, other = trained(jobs, 2, tmp_path / "second")
    assert [made["weights_sha256"] for made in one] == [made["weights_sha256"] for made in other]
    assert contents(tmp_path / "killed") == contents(tmp_path / "grpo")
    replayed = job("grpo", "alone/grpo", GRPO, replay=str(tmp_path / "grpo" / "rollouts.jsonl"))
    trained([replayed], 1, tmp_path / "third")
    assert apart(tmp_path / "grpo", tmp_path / "alone" / "grpo", vision_folder) < 1e-3
