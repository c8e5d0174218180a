"""Fuzz everything that reads what others wrote, for as many minutes as are given; the long form of `tests/hostile`.

    python benchmarks/fuzz.py benchmarks/results/fuzz.json --minutes 60

Each target has a process and an equal share of the time, and new random seeds all the while. A finding is printed
as it came, not shrunk, and the exit code is then 1. The result file counts examples and names findings.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "hostile")]
BATCH = 50
"""Examples between two looks at the clock."""
SHOWN = 1500
"""Characters of a finding that are kept."""


def main() -> int:
    """Run the targets one after another; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--target", action="append", help="only this one; may be given again")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(fuzz(given.alone, 60 * given.minutes)))
        return 0
    names = given.target or sorted(targets())
    share = given.minutes / len(names)
    found = {name: in_a_process(name, share) for name in names}
    total = {key: sum(row[key] for row in found.values()) for key in ("examples", "seconds")}
    given.result.write_text(json.dumps({"total": total, "targets": found}, indent=2) + "\n", encoding="utf-8")
    for name, row in found.items():
        print(f"{name:16} {row['examples']:8,} examples  {row['seconds']:7.0f} s  {len(row['findings'])} findings")
        print("".join(f"\n{finding}\n" for finding in row["findings"]), end="")
    return int(any(row["findings"] for row in found.values()))


def in_a_process(name: str, minutes: float) -> dict[str, Any]:
    """What one target found in a process of its own; its death is a finding too."""
    command = [sys.executable, __file__, "unused", "--alone", name, "--minutes", str(minutes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"the process ended with {done.returncode}: {done.stderr[-SHOWN:]}"
        return {"examples": 0, "seconds": 60 * minutes, "findings": [said]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def fuzz(name: str, seconds: float) -> dict[str, Any]:
    """Examples of one target until the time is over; stops at its first finding."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    warnings.simplefilter("ignore")
    target = targets()[name]
    began, count = time.monotonic(), 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary) / "declared"

        def one(draw: st.DataObject) -> None:
            nonlocal count
            count += 1
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            target(draw, folder)

        wanted = settings(
            max_examples=BATCH,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        while time.monotonic() - began < seconds:
            try:
                seed(SystemRandom().getrandbits(64))(wanted(given(st.data())(one)))()
            except Exception as error:  # whatever it is, it is what we look for
                return _row(count, began, [_said(error)])
    return _row(count, began, [])


def targets() -> dict[str, Any]:
    """Every target by name."""
    import target_models
    import targets as of_files

    return {**of_files.TARGETS, **target_models.TARGETS}


def _row(count: int, began: float, findings: list[str]) -> dict[str, Any]:
    return {"examples": count, "seconds": round(time.monotonic() - began, 1), "findings": findings}


def _said(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))[-SHOWN:]


if __name__ == "__main__":
    sys.exit(main())
