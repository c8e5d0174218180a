"""Two processes over gloo share prompts and end where TRL's own path ends: weights under DDP, gradients under FSDP2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "shared_prefix_process.py"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "kind"), [("ddp", "DistributedDataParallel"), ("fsdp2", "FSDPQwen2_5_VLForConditionalGeneration")]
)
def test_two_processes_end_where_trl_ends(mode: str, kind: str, vision_folder: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [*launch, str(SCRIPT), mode, str(vision_folder), str(result)],
        env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(result.read_text())
    assert (found["kind"], found["used"]) == (kind, True)
    assert found["apart"] <= 1e-4 * found["moved"]
    assert found["moved"] > 1e-3
