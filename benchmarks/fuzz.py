"""Fuzz everything that reads what others wrote, for as many minutes as are given; the long form of `tests/hostile`.

    python benchmarks/fuzz.py benchmarks/results/fuzz.json --minutes 60
    python benchmarks/fuzz.py benchmarks/results/fuzz_guided.json --minutes 60 --guided

With `--guided`, which needs `pip install atheris`, examples are led by the branches that earlier ones reached. Each
target has a process and an equal share of the time, and new random seeds all the while. A finding is printed as it
came, not shrunk, and the exit code is then 1. The result file counts examples and names findings.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
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
LIBFUZZER = ("-timeout=120", "-len_control=0", "-max_len=8192", "-verbosity=0")
"""Seconds after which an example counts as hung, and bytes that lead one."""


def main() -> int:
    """Run the targets one after another; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("result", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--target", action="append", help="only this one; may be given again")
    parser.add_argument("--guided", action="store_true", help="led by coverage; needs atheris")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        (guided if given.guided else fuzz)(given.alone, 60 * given.minutes)
        return 0
    names = given.target or sorted(targets())
    share = given.minutes / len(names)
    found = {name: in_a_process(name, share, given.guided) for name in names}
    total = {key: sum(row[key] for row in found.values()) for key in ("examples", "seconds")}
    given.result.write_text(json.dumps({"total": total, "targets": found}, indent=2) + "\n", encoding="utf-8")
    for name, row in found.items():
        print(f"{name:16} {row['examples']:8,} examples  {row['seconds']:7.0f} s  {len(row['findings'])} findings")
        print("".join(f"\n{finding}\n" for finding in row["findings"]), end="")
    return int(any(row["findings"] for row in found.values()))


def in_a_process(name: str, minutes: float, is_guided: bool) -> dict[str, Any]:
    """What one target found in a process of its own; its death is a finding too."""
    led = ["--guided"] if is_guided else []
    command = [sys.executable, __file__, "unused", "--alone", name, "--minutes", str(minutes), *led]
    quiet = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        said = f"the process ended with {done.returncode}: {done.stderr[-SHOWN:]}"
        return {"examples": 0, "seconds": 60 * minutes, "findings": [said]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


class Examples:
    """A target that is given an empty folder for each example, and counts them."""

    def __init__(self, name: str, folder: Path) -> None:
        warnings.simplefilter("ignore")
        self._target, self._folder = targets()[name], folder / "declared"
        self._count, self._began = 0, time.monotonic()

    def __call__(self, draw: Any) -> None:
        self._count += 1
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._target(draw, self._folder)

    def are_over(self, seconds: float) -> bool:
        """Whether the time is."""
        return time.monotonic() - self._began >= seconds

    def say(self, *findings: BaseException) -> None:
        """Print what was found as a line of JSON."""
        said = ["".join(traceback.format_exception(finding))[-SHOWN:] for finding in findings]
        seconds = round(time.monotonic() - self._began, 1)
        print(json.dumps({"examples": self._count, "seconds": seconds, "findings": said}), flush=True)


def fuzz(name: str, seconds: float) -> None:
    """Examples of one target until the time is over; stops at its first finding."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    wanted = settings(
        max_examples=BATCH,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    with TemporaryDirectory() as folder:
        one = Examples(name, Path(folder))
        while not one.are_over(seconds):
            try:
                seed(SystemRandom().getrandbits(64))(wanted(given(st.data())(one.__call__)))()
            except Exception as error:  # whatever it is, it is what we look for
                return one.say(error)
    return one.say()


def guided(name: str, seconds: float) -> None:
    """As `fuzz`, led by coverage; ends this process, as libFuzzer does."""
    import atheris
    from hypothesis import given, settings
    from hypothesis import strategies as st

    with TemporaryDirectory() as folder:
        with atheris.instrument_imports(include=["indirect_rlvr", "indirect_rlvr_geo"]):
            one = Examples(name, Path(folder))
        test: Any = settings(deadline=None, database=None)(given(st.data())(one.__call__))

        def example(led: bytes) -> None:
            try:
                test.hypothesis.fuzz_one_input(led)
            except Exception as error:  # whatever it is, it is what we look for
                one.say(error)
            else:
                if not one.are_over(seconds):
                    return
                one.say()
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)

        atheris.Setup([sys.argv[0], *LIBFUZZER, f"-artifact_prefix={folder}/"], example)
        atheris.Fuzz()


def targets() -> dict[str, Any]:
    """Every target by name."""
    import target_models
    import targets as of_files

    return {**of_files.TARGETS, **target_models.TARGETS}


if __name__ == "__main__":
    sys.exit(main())
