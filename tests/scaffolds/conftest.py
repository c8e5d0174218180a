"""The toy world's records and pictures, and teachers that say what a test tells them to; no model."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import chips
import pytest
from teaching import Say, Server, teacher

from indirect_rlvr.domain import Domain
from indirect_rlvr.types import ProxyTask, Record


@pytest.fixture(scope="session")
def make_tasks() -> Callable[..., list[ProxyTask]]:
    return chips.make_tasks


@pytest.fixture(scope="session")
def records() -> dict[str, Record]:
    facts = {f"r{colour}": {"colour": colour, "box": "wooden"} for colour in chips.COLOURS}
    return {name: Record(name, "c", {}, told) for name, told in facts.items()}


@pytest.fixture(scope="session")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chips.paint(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="session")
def domain() -> Domain:
    return Domain("toy", chips.ToyDomain, {})


@pytest.fixture(scope="session")
def toy_plugin() -> type:
    return chips.ToyDomain


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """(say, usage=…, finish=…) to a server that is stopped after the test."""
    with ExitStack() as running:

        def start(say: Say, **how: Any) -> Server:
            return running.enter_context(teacher(say, **how))

        yield start
