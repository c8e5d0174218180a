"""The built-in target tasks on held-out terrain: four questions about single views or two views, balanced answers.

They share their views' kinds with the proxy task and nothing else: no training stage sees their questions answered.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Benchmark, Example, Prompt, Record, View
from indirect_rlvr_geo.facts import levels
from indirect_rlvr_geo.language import DIRECTIONS, LETTERS, target_question

BANDS = ("levels 0 to 2", "levels 3 to 6", "levels 7 to 9")
"""Three classes of a level; the bounds leave the middle one wider because levels err towards the middle."""
MARGIN = 2
"""The highest direction, or the higher of two places, leads by at least this many levels: no ties."""


def build(records: Sequence[Record], count: int, seed: int) -> list[Benchmark]:
    """The four target tasks, at most `count` examples each, the right answer equally often under each letter."""
    ordered = sorted(records, key=lambda record: keyed_rng(seed, "target", record.id).random())
    return [
        _benchmark("highest-horizon", "direction of the highest horizon in a ground view", _horizons(ordered), count),
        _benchmark("higher-place", "the higher of two places by their overhead views", _higher(ordered, seed), count),
        _benchmark("slope-class", "mean slope of an overhead view in three classes", _bands(ordered, "slope"), count),
        _benchmark("elevation-band", "elevation of a place in three bands", _bands(ordered, "elevation"), count),
    ]


def _benchmark(name: str, description: str, found: Iterator[Example], count: int) -> Benchmark:
    by_answer: dict[str, list[Example]] = defaultdict(list)
    options = 0
    for example in found:
        by_answer[example.answer].append(example)
        options = len(example.labels)
    each = min(count // options, *(len(by_answer[letter]) for letter in LETTERS[:options])) if options else 0
    examples = [example for letter in sorted(by_answer) for example in by_answer[letter][:each]]
    return Benchmark(name, description, 1 / options if options else 0.0, tuple(examples))


def _horizons(records: Sequence[Record]) -> Iterator[Example]:
    for record in records:
        found = levels(record.facts)
        first, second = sorted((found[d] for d in DIRECTIONS), reverse=True)[:2]
        if first - second >= MARGIN:
            answer = LETTERS[max(range(len(DIRECTIONS)), key=lambda i: found[list(DIRECTIONS)[i]])]
            asked = _ask("horizon", tuple(DIRECTIONS.values()))
            prompt = Prompt(("Ground view:", record.views["ground"], f"\n{asked}"))
            yield Example(f"highest-horizon-{record.id}", record.cluster, prompt, tuple(LETTERS[:4]), answer)


def _higher(records: Sequence[Record], seed: int) -> Iterator[Example]:
    for first, second in zip(records[::2], records[1::2], strict=False):
        difference = levels(first.facts)["elevation"] - levels(second.facts)["elevation"]
        if abs(difference) >= MARGIN:
            views = (first.views["overhead"], second.views["overhead"])
            prompt = Prompt((*_labelled(views), f"\n{_ask('higher')}"))
            answer = "A" if difference > 0 else "B"
            yield Example(f"higher-place-{first.id}-{second.id}", first.cluster, prompt, ("A", "B"), answer)


def _bands(records: Sequence[Record], fact: str) -> Iterator[Example]:
    for record in records:
        level = levels(record.facts)[fact]
        answer = LETTERS[0 if level <= 2 else 1 if level <= 6 else 2]
        prompt = Prompt(("Overhead view:", record.views["overhead"], f"\n{_ask(fact, BANDS)}"))
        yield Example(f"{fact}-{record.id}", record.cluster, prompt, tuple(LETTERS[:3]), answer)


def _labelled(views: Sequence[View]) -> Iterator[str | View]:
    for letter, view in zip(LETTERS, views, strict=False):
        yield f"\n{letter}:"
        yield view


def _ask(kind: str, options: tuple[str, ...] = ()) -> str:
    return target_question(kind, options)  # type: ignore[arg-type]
