"""One line in a pack's test file gives the whole battery, and what it says of a bad reward can be read."""

from pathlib import Path

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.testing.rows import KINDS, reward_table

pytest_plugins = ("pytester",)

ONE_LINE = """
from indirect_rlvr.testing.plugin import Battery

test_rewards = Battery("template", tasks=1, examples=5)
"""
BAD = """
import pathlib
import tempfile

from indirect_rlvr.checks import sample
from indirect_rlvr.testing.battery import cases
from indirect_rlvr.testing.plugin import Battery
from indirect_rlvr.types import Outcome, Term


class Bad(Battery):
    def cases(self):
        with tempfile.TemporaryDirectory() as folder:
            task = sample("template", pathlib.Path(folder)).tasks[0]
        return cases([Term("accuracy", 0.0, 1.0, score)], [task], examples=5)


def score(task, completion):
    return Outcome(float(task.answer in completion.text))


test_bad = Bad("template")
"""


def test_one_line_gives_a_test_for_every_invariant(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_pack=ONE_LINE)
    result = pytester.runpytest_inprocess("-p", "indirect_rlvr.testing.plugin", "-q")
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] > 30
    assert set(outcomes) <= {"passed", "warnings"}


def test_a_bad_reward_fails_with_the_reason_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_pack=BAD)
    result = pytester.runpytest_inprocess("-p", "indirect_rlvr.testing.plugin", "-q")
    assert result.parseoutcomes()["failed"] >= 3
    result.stdout.fnmatch_lines(["*reward term `accuracy` at task * pays 1.0 for an answer without tags and 0.0 for*"])
    assert "Traceback" not in result.stdout.str()


def test_the_table_has_every_term_on_every_kind_of_completion() -> None:
    rows = reward_table("template", 3)
    terms = {str(row["term"]) for row in rows}
    assert {"accuracy", "format", "total"} <= terms
    assert len(rows) == len(terms) * len(KINDS)
    value = {(row["term"], row["completion"]): row["mean"] for row in rows}
    assert [value["accuracy", kind] for kind in KINDS] == [1.0, 0.0, 0.0, 0.0, 0.0]
    assert value["total", "gold"] == max(value["total", kind] for kind in KINDS)


def test_more_rows_than_there_are_tasks_are_refused() -> None:
    with pytest.raises(DataError, match="ask for no more --rows than that"):
        reward_table("template", 10**6)


def test_the_plugin_imports_nothing_of_the_package_but_itself() -> None:
    source = (Path(__file__).parents[2] / "indirect_rlvr/testing/plugin.py").read_text(encoding="utf-8")
    top = [line for line in source.splitlines() if line.startswith(("import", "from"))]
    assert not [line for line in top if "indirect_rlvr" in line or "hypothesis" in line]
