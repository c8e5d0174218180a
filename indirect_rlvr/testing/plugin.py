"""The pytest plugin: one line in a pack's test file becomes the whole battery, one test for each invariant.

    from indirect_rlvr.testing.plugin import Battery

    test_rewards = Battery("clinic")

It is loaded by pytest wherever the package is installed, so it imports nothing else until a battery is found.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from indirect_rlvr.testing.battery import Case


@dataclass(frozen=True)
class Battery:
    """Every invariant for every term of a domain, on `tasks` of its tasks.

    `roles` says of the domain's own terms what they pay for ("answer", "bonus", …; see `subject.Role`); the core's are
    known, and any other is "text"; `group_roles` says it of group terms ("length", "diversity"). `examples` is the
    number of random completions for each term and task.
    """

    domain: str
    recipe: str = "default"
    roles: dict[str, Literal["answer", "bonus", "format", "repetition", "overlong", "trace", "text"]] = field(
        default_factory=dict
    )
    group_roles: dict[str, Literal["length", "diversity", "any"]] = field(default_factory=dict)
    tasks: int = 2
    examples: int = 100

    def cases(self) -> Iterator["Case"]:
        """The cases, made of a small sample of the domain's world."""
        from indirect_rlvr.checks import sample
        from indirect_rlvr.rewards.composite import build
        from indirect_rlvr.testing.battery import cases, whole_cases
        from indirect_rlvr.testing.subject import GROUP_ROLES, ROLES

        with TemporaryDirectory() as folder:
            world = sample(self.domain, Path(folder), self.recipe)
            reward = build(world.recipe.reward, world.domain.rewards())
            tasks = world.tasks[: self.tasks]
            yield from cases(reward.terms, tasks, {**ROLES, **self.roles}, self.examples)
            yield from whole_cases(reward, tasks, {**GROUP_ROLES, **self.group_roles})


class BatteryCollector(pytest.Collector):
    """The tests of one battery."""

    battery: Battery

    def collect(self) -> Iterator[pytest.Item]:
        for case in self.battery.cases():
            item = BatteryItem.from_parent(self, name=case.name)
            item.case = case
            yield item


class BatteryItem(pytest.Item):
    """One invariant of one term on one task."""

    case: "Case"

    def runtest(self) -> None:
        if self.case.unheld:
            pytest.skip(self.case.unheld)
        self.case.run()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: None = None) -> str:  # type: ignore[override]
        """What is wrong, in one line: the traceback would show the battery, not the reward."""
        return str(excinfo.value)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> BatteryCollector | None:
    """Collect every module-level `Battery`, whatever its name."""
    if not isinstance(obj, Battery):
        return None
    made = BatteryCollector.from_parent(collector, name=name)
    made.battery = obj
    return made
