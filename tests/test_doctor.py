"""What would stop a run is told from what is worth knowing, each with what to do."""

import json
import sys
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from indirect_rlvr import doctor
from indirect_rlvr.cli import app


def distribution(folder: Path, name: str, number: str, *needs: str) -> None:
    """An installed distribution, as far as its metadata says."""
    info = folder / f"{name.replace('-', '_')}-{number}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {number}", *(f"Requires-Dist: {n}" for n in needs)]
    (info / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that comes before the real ones."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_a_package_of_another_version_stops_with_the_command_that_mends_it(site: Path) -> None:
    distribution(site, "trl", "0.9.1")
    [found] = doctor.packages()
    pin = next(line for line in requires("indirect-rlvr") or [] if line.startswith("trl=="))
    assert (found.name, found.state, found.detail) == ("trl", "stops", f"0.9.1; tested with {pin}")
    assert found.remedy == f"pip install '{pin}'"


def test_what_is_installed_here_fits_together() -> None:
    assert [finding.state for finding in doctor.packages()] == ["well"]


def test_a_cuda_torchvision_beside_a_cpu_torch_is_a_trap(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distribution(site, "torchvision", "0.99.0")
    (site / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    found = doctor.torchvision()
    assert found.state == "stops"
    assert "was not built for torch" in found.detail and "operator torchvision::nms does not exist" in found.detail
    assert "pip uninstall torchvision" in found.remedy


def test_vllm_for_another_torch_stops(site: Path) -> None:
    distribution(site, "vllm", "0.31.0", "torch==2.99.0", 'tomli; python_version < "3.0"')
    found = doctor.vllm()
    assert found.state == "stops"
    assert found.detail == f"vllm 0.31.0 needs torch==2.99.0, and {version('torch')} is installed"


def test_vllm_for_this_torch_is_well(site: Path) -> None:
    distribution(site, "vllm", "0.31.0", f"torch=={version('torch').partition('+')[0]}")
    assert doctor.vllm().state == "well"


def test_an_extra_that_is_not_there_is_no_fault(site: Path) -> None:
    assert {finding.state for finding in doctor.extras()} <= {"well", "note"}


def test_more_threads_than_processors_are_worth_knowing() -> None:
    assert doctor.threads({"OMP_NUM_THREADS": "8", "LOCAL_WORLD_SIZE": "2"}, 8).state == "note"
    assert doctor.threads({"OMP_NUM_THREADS": "4", "LOCAL_WORLD_SIZE": "2"}, 8).state == "well"
    assert doctor.threads({"OMP_NUM_THREADS": "many"}, 8).state == "well"
    assert doctor.threads({}, 8).state == "well"


def test_a_place_that_cannot_be_written_stops() -> None:
    found = doctor.writable("runs folder", Path("/proc/self/runs"))
    assert found.state == "stops"
    assert found.detail.startswith("cannot write in `/proc/self`: ")


def test_room_and_place_are_looked_at_where_the_folder_will_be(tmp_path: Path) -> None:
    out = tmp_path / "not" / "there" / "yet"
    assert doctor.writable("runs folder", out).state == "well"
    assert f"`{tmp_path}`" in doctor.disk(out).detail
    assert not out.exists() and not list(tmp_path.iterdir())


def test_a_wrong_recipe_stops_with_its_own_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('domain = "template"\n[grpo]\nstep = 3\n')
    [found] = doctor.run("template", str(path), tmp_path, {})
    assert found.state == "stops" and "unknown key `grpo.step`" in found.detail


def test_a_recipe_that_contradicts_itself_hides_nothing_else_that_is_lacking(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('domain = "template"\n[parallel]\ngpu = "h100"\nprocesses = 64\n[grpo.trl]\nuse_vllm = 1\nn = 2\n')
    done = CliRunner().invoke(app, ["doctor", "-d", "template", "-r", str(path), "-o", str(tmp_path), "--json"])
    stops = {row["name"]: row["detail"] for row in json.loads(done.stdout) if row["state"] == "stops"}
    assert done.exit_code == 1
    assert "`grpo.trl.n` is no option of trl.GRPOConfig" in stops[f"recipe {path} of template"]
    assert "made for 64 x H100" in stops["recipe's GPUs"]
    assert ("recipe's vllm" in stops) == (find_spec("vllm") is None)


@pytest.mark.parametrize(("environment", "state"), [({}, "note"), ({"HF_HUB_OFFLINE": "1"}, "stops")])
def test_a_model_that_is_nowhere_stops_only_where_it_cannot_be_fetched(
    environment: dict[str, str], state: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('domain = "template"\n[model]\npath = "somebody/something"\n')
    found = doctor.run("template", str(path), tmp_path, environment)[-1]
    assert (found.state, found.remedy) == (state, "hf download somebody/something")


def test_a_model_path_that_is_no_hub_id_stops(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('domain = "template"\n[model]\npath = "/no/such/folder"\n')
    assert doctor.run("template", str(path), tmp_path, {})[0].state == "stops"


def test_the_command_prints_marks_and_ends_with_1_only_where_something_stops(tmp_path: Path) -> None:
    arguments = ["doctor", "--out", str(tmp_path), "--domain", "template"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0 and "✓ packages" in done.stdout and "✗" not in done.stdout
    assert {line[0] for line in done.stdout.splitlines()} <= set("✓– ")
    wrong = CliRunner().invoke(app, [*arguments, "--recipe", "huge", "--json"])
    assert wrong.exit_code == 1
    assert [row["name"] for row in json.loads(wrong.stdout) if row["state"] == "stops"] == ["recipe huge of template"]


def test_the_probe_is_python_that_runs() -> None:
    compile(doctor.PROBE, sys.executable, "exec")
