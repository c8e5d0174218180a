"""Every reward term on real rows, with completions that are right, wrong, empty, hedged and hostile: one table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from indirect_rlvr.checks import TASKS, World, sample
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.composite import Composite, Score, build
from indirect_rlvr.rewards.spread import moments, spread
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.testing.invariants import HOSTILE
from indirect_rlvr.testing.subject import raw, written
from indirect_rlvr.types import Completion, ProxyTask


def reward_table(name: str, rows: int, recipe: str = "default") -> list[dict[str, object]]:
    """One row for each term of a domain's reward and kind of completion: the mean and the spread of its value over
    `rows` tasks, how many were unparsable or did not apply, and its share of the λ·spread over all kinds.

    Raises DataError where the sample has fewer tasks, and whatever RlvrError the domain or a term raises.
    """
    with TemporaryDirectory() as folder:
        world = sample(name, Path(folder), recipe, tasks=max(TASKS, rows))
        tasks = world.tasks[:rows]
        if len(tasks) < rows:
            raise DataError(f"a sample of domain `{name}` gives {len(tasks)} tasks; ask for no more --rows than that")
        reward = build(world.recipe.reward, world.domain.rewards())
        scores = {kind: [_score(reward, task, make(world, task)) for task in tasks] for kind, make in KINDS.items()}
    return list(_rows(reward, scores))


def _rows(reward: Composite, scores: Mapping[str, Sequence[Score]]) -> Iterator[dict[str, object]]:
    everything = [score for kind in scores.values() for score in kind]
    shares = {row.name: row.share for row in spread(reward, everything)}
    for kind, found in scores.items():
        for row in spread(reward, found):
            yield {
                "term": row.name, "weight": row.weight, "completion": kind, "mean": row.mean, "std": row.std,
                "unparsable": row.unparsable, "not applicable": row.not_applicable, "share of spread": shares[row.name],
            }  # fmt: skip
        mean, std = moments([score.total for score in found])
        yield {
            "term": "total", "weight": None, "completion": kind, "mean": mean, "std": std, "unparsable": None,
            "not applicable": None, "share of spread": None,
        }  # fmt: skip


def _score(reward: Composite, task: ProxyTask, completion: Completion) -> Score:
    """The score as a member of a group of two equal completions, so that group terms have something to see."""
    return reward.score_group(task, [completion, completion])[0]


def _trace(world: World, task: ProxyTask) -> str:
    """The domain's scaffold without its answer, or a few words where it writes none."""
    text = world.domain.scaffold(task, keyed_rng(world.recipe.seed, "reward check", task.id)) or ""
    return text.partition("<think>")[2].partition("</think>")[0] or "because"


def _gold(world: World, task: ProxyTask) -> Completion:
    return written(task.answer, tokens=100, thought=_trace(world, task))


def _wrong(world: World, task: ProxyTask) -> Completion:
    return written(_other(task), tokens=100, thought=_trace(world, task))


def _hedged(world: World, task: ProxyTask) -> Completion:
    return written(f"{task.answer} or {_other(task)}", tokens=100)


def _hostile(world: World, task: ProxyTask) -> Completion:
    piece = keyed_rng(world.recipe.seed, "hostile", task.id).choice(HOSTILE)
    return raw(piece * (5_000 // len(piece)), [7] * 2048)


def _other(task: ProxyTask) -> str:
    return next(label for label in task.labels if label != task.answer)


KINDS: Mapping[str, Callable[[World, ProxyTask], Completion]] = {
    "gold": _gold,
    "wrong": _wrong,
    "hedged": _hedged,
    "empty": lambda world, task: raw("", ()),
    "hostile": _hostile,
}
"""What is scored on each task."""
