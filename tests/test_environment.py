"""The installed environment: nothing that breaks or bloats a CPU install, and a core that loads light."""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LIGHT = (
    "indirect_rlvr.cli",
    "indirect_rlvr.packs",
    "indirect_rlvr.checks",
    "indirect_rlvr.pipeline",
    "indirect_rlvr.testing",
    "indirect_rlvr.data.audit",
    "indirect_rlvr.rewards.composite",
    "indirect_rlvr.evaluation.stats",
    "indirect_rlvr.evaluation.session",
    "indirect_rlvr.reporting.write",
    "indirect_rlvr_geo.hooks",
    "indirect_rlvr_geo.benchmarks.suite",
    "indirect_rlvr_template.hooks",
)
HEAVY = ("torch", "transformers", "trl", "datasets")


def test_the_cpu_environment_holds_no_cuda_and_no_torchvision() -> None:
    import torch

    if torch.version.cuda is not None:
        pytest.skip("this environment has the CUDA build of torch")
    names = {str(distribution.name).lower() for distribution in distributions()}
    unwanted = sorted(n for n in names if n.startswith("nvidia-") or n in {"triton", "torchvision", "torchaudio"})
    assert unwanted == []


def test_what_is_installed_is_what_was_pinned() -> None:
    pins = [Requirement(line) for line in PROJECT["dependencies"]]
    assert [str(pin) for pin in pins if version(pin.name) not in pin.specifier] == []


@pytest.mark.parametrize("module", LIGHT)
def test_the_core_and_the_packs_import_without_the_heavy_libraries(module: str) -> None:
    code = f"import {module}, sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_no_pack_is_imported_by_the_core() -> None:
    guilty = [
        str(path.relative_to(ROOT))
        for path in (ROOT / "indirect_rlvr").rglob("*.py")
        if re.search(r"(?m)^\s*(import|from) indirect_rlvr_", path.read_text())
    ]
    assert guilty == []


def test_tests_run_on_one_thread_and_without_network() -> None:
    import torch

    assert torch.get_num_threads() == 1
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_no_file_of_the_core_has_outgrown_its_purpose() -> None:
    sizes = {path.name: len(path.read_text().splitlines()) for path in (ROOT / "indirect_rlvr").rglob("*.py")}
    assert {name: lines for name, lines in sizes.items() if lines > 400} == {}
