"""The built-in target tasks on held-out terrain: four questions about single views or two views, balanced answers.

They share the kinds of their views with the proxy task and nothing else: no training stage sees a true answer to them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Literal

from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Benchmark, Example, Prompt, Record
from indirect_rlvr_geo.facts import levels
from indirect_rlvr_geo.language import DIRECTIONS, LETTERS, target_question

SUITES = ("paper", "terrain")
LEAD = 2
"""The highest direction, and the higher of two places, lead by at least this many levels: no ties."""


def build(records: Sequence[Record], count: int, seed: int) -> list[Benchmark]:
    """The four target tasks, at most `count` examples each, the right answer equally often under each letter."""
    ordered = sorted(records, key=lambda record: keyed_rng(seed, "target", record.id).random())
    level_text = "of a place by its overhead view, among five levels two apart"
    return [
        _benchmark("highest-horizon", "direction of the highest horizon of a ground view", _horizons, ordered, count),
        _benchmark("higher-place", "the higher of two places by their overhead views", _higher, ordered, count),
        _benchmark("slope-class", f"mean slope {level_text}", _slopes, ordered, count),
        _benchmark("elevation-band", f"elevation {level_text}", _elevations, ordered, count),
    ]


def _benchmark(
    name: str,
    description: str,
    examples: Callable[[Sequence[Record], Random], Iterator[Example]],
    records: Sequence[Record],
    count: int,
) -> Benchmark:
    def chosen(_: Path) -> list[Example]:
        by_answer: dict[str, list[Example]] = defaultdict(list)
        labels: list[str] = []
        for example in examples(records, keyed_rng(0, name)):
            by_answer[example.truth["answer"]].append(example)
            labels = example.truth["labels"]
        each = min([count // len(labels), *(len(by_answer[letter]) for letter in labels)]) if labels else 0
        return [example for letter in labels for example in by_answer[letter][:each]]

    return choice_benchmark(name, description, chosen, suites=SUITES)


def _horizons(records: Sequence[Record], rng: Random) -> Iterator[Example]:
    for record in records:
        found = levels(record.facts)
        first, second = sorted((found[d] for d in DIRECTIONS), reverse=True)[:2]
        names = rng.sample(list(DIRECTIONS), len(DIRECTIONS))
        if first - second >= LEAD:
            asked = target_question("horizon", [DIRECTIONS[name] for name in names])
            answer = LETTERS[[found[name] for name in names].index(first)]
            prompt = Prompt(("Ground view:", record.views["ground"], f" {asked}"))
            yield choice_example(f"highest-horizon-{record.id}", record.cluster, prompt, LETTERS[:4], answer)


def _higher(records: Sequence[Record], rng: Random) -> Iterator[Example]:
    for first, second in zip(records[::2], records[1::2], strict=False):
        difference = levels(first.facts)["elevation"] - levels(second.facts)["elevation"]
        if abs(difference) >= LEAD:
            views = ("\nA:", first.views["overhead"], "\nB:", second.views["overhead"])
            prompt = Prompt((*views, f" {target_question('higher')}"))
            answer = "A" if difference > 0 else "B"
            yield choice_example(f"higher-place-{first.id}-{second.id}", first.cluster, prompt, ("A", "B"), answer)


def _slopes(records: Sequence[Record], rng: Random) -> Iterator[Example]:
    return _levels(records, rng, "slope")


def _elevations(records: Sequence[Record], rng: Random) -> Iterator[Example]:
    return _levels(records, rng, "elevation")


def _levels(records: Sequence[Record], rng: Random, fact: Literal["slope", "elevation"]) -> Iterator[Example]:
    for record in records:
        level = levels(record.facts)[fact]
        options = rng.sample(range(level % 2, 10, 2), len(LETTERS))
        asked = target_question(fact, [f"{fact} {option}" for option in options])
        prompt = Prompt(("Overhead view:", record.views["overhead"], f" {asked}"))
        yield choice_example(f"{fact}-{record.id}", record.cluster, prompt, LETTERS, LETTERS[options.index(level)])
