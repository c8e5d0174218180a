"""At the default size a shortcut worth five points is found and clean tasks pass: one trial each of what
`benchmarks/audit_power.py` does two hundred times, on pictures."""

from pathlib import Path

import pytest

from indirect_rlvr.config import Tasks
from indirect_rlvr.data.audit import audit, findings
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.probe import Probe
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Neighbourhood, ProxyTask, Question, Split, View

K = 5
FIRST = 1 / K + 0.05
"""How often the planted rule is right."""

SHADE = Probe("shade", "nuisance", lambda task, folder: [float(v.content.split()[0]) for v in task.question.candidates])


def world(planted: str, seed: int) -> list[ProxyTask]:
    """Tasks of the default size; the answer is the first, the longest or the darkest of its set a little too often."""
    sizes: tuple[tuple[Split, int], ...] = (("train", Tasks().train), ("test", Tasks().test))
    return [_task(f"{split}-{n}", split, n, planted, seed) for split, count in sizes for n in range(count)]


def _task(name: str, split: Split, number: int, planted: str, seed: int) -> ProxyTask:
    rng = keyed_rng(seed, name)
    texts = [f"{rng.randrange(100_000, 999_999)} {'x' * rng.randrange(1000)}" for _ in range(K)]
    order = {
        "clean": rng.sample(range(K), K),
        "position": list(range(K)),
        "length": sorted(range(K), key=lambda i: -len(texts[i])),
        "shade": sorted(range(K), key=lambda i: float(texts[i].split()[0])),
    }[planted]
    place = order[0] if rng.random() < (FIRST if planted != "clean" else 1 / K) else rng.choice(order[1:])
    if planted != "position":  # positions even: the set is turned until the answer stands where it should
        turn = (number - place) % K
        texts = texts[-turn:] + texts[:-turn] if turn else texts
        place = number % K
    views = tuple(View("code", "text", text) for text in texts)
    question = Question("Which code?", (View("note", "text", name),), views, {})
    ids = tuple(f"{name}-{i}" for i in range(K))
    return ProxyTask(
        name, f"{split}-{number // 20}", split, 0, question, tuple("ABCDE"), "ABCDE"[place], ids[place], ids
    )


def found(planted: str, seed: int) -> list[str]:
    tasks = world(planted, seed)
    alpha = Tasks().audit_alpha
    return findings(audit(tasks, [], Neighbourhood(), Looks(Path()), alpha, own_probes=[SHADE]))


@pytest.mark.parametrize(
    ("planted", "probe"), [("position", "answer index"), ("length", "text length"), ("shade", "shade")]
)
def test_five_points_are_found_by_the_probe_that_sees_them(planted: str, probe: str) -> None:
    assert any(line.startswith(f"probe `{probe}`") for line in found(planted, seed=0))


def test_clean_tasks_pass() -> None:
    assert found("clean", seed=0) == []
