"""The anchor ring on real terrain: the run stops before any training, and goes on only when told to, on record."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from indirect_rlvr.cli import app


def make_tasks(out: Path, *options: str) -> Result:
    small = ("records.spacing_m=600", "tasks.sampler=ring", "tasks.train=250", "tasks.test=100")
    overrides = [part for setting in small for part in ("--set", setting)]
    return CliRunner().invoke(
        app, ["run", "--domain", "geo", "--until", "tasks", "--out", str(out), *overrides, *options]
    )


def test_tasks_that_leak_stop_the_run_unless_that_is_allowed_and_recorded(tmp_path: Path) -> None:
    refused = make_tasks(tmp_path)
    assert refused.exit_code == 1
    assert "probe `medoid` sees only candidates" in refused.stderr and "--allow-leaks" in refused.stderr
    assert json.loads((tmp_path / "audit.json").read_text())["overridden"] == []
    allowed = make_tasks(tmp_path, "--allow-leaks")
    assert allowed.exit_code == 0, allowed.stderr
    recorded = json.loads((tmp_path / "audit.json").read_text())["overridden"]
    assert any("medoid" in line for line in recorded)
    assert json.loads((tmp_path / "manifest.json").read_text())["artefacts"]["tasks"]["leaks_allowed"] == recorded
