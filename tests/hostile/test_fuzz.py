"""Spoiled input of every kind ends in a result or in one message, in time and inside its folder; the short form."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from target_models import TARGETS as OF_MODELS
from targets import TARGETS

EXAMPLES = {"checkpoint": 8, "picture": 40, "results": 25, "lines_of_a_run": 20, "audited": 15, "rollouts": 25}
"""Where it is not 50; `benchmarks/fuzz.py` runs as many as there is time for."""


@pytest.mark.parametrize("name", [*TARGETS, *OF_MODELS])
def test_no_input_crashes_hangs_or_writes_elsewhere(name: str, tmp_path: Path) -> None:
    target = {**TARGETS, **OF_MODELS}[name]
    folder = tmp_path / "declared"

    @settings(
        max_examples=EXAMPLES.get(name, 50),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one(draw: st.DataObject) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        target(draw, folder)

    one()
