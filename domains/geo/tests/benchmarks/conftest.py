"""What tests of published benchmarks share: examples answered by hand, scored as the runner scores them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indirect_rlvr.evaluation.grade import grade, metrics
from indirect_rlvr.types import Benchmark, Response

Found = dict[tuple[str, str, str], dict[str, Any]]
Scored = Callable[[Benchmark, Path, Mapping[str, str | Response]], Found]


@pytest.fixture
def scored() -> Scored:
    """Metrics by (task, name, convention) of answers by example id; whoever has none said nothing."""

    def run(benchmark: Benchmark, folder: Path, answers: Mapping[str, str | Response]) -> Found:
        examples = list(benchmark.examples(folder))
        assert set(answers) <= {example.id for example in examples}
        said = {name: Response(text) if isinstance(text, str) else text for name, text in answers.items()}
        found = metrics(benchmark, grade(benchmark, examples, said))
        keyed = {(m["task"], m["name"], m["convention"]): m for m in found}
        assert len(keyed) == len(found), "two metrics have the same task, name and convention"
        return keyed

    return run


@pytest.fixture
def picture() -> Callable[[Path], None]:
    """Writes a small image to a path."""

    def write(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (90, 120, 60)).save(path)

    return write
