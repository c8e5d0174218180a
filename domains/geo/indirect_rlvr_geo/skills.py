"""The generic skills of the primer, one function each: a terrain and a random generator in, one example out."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from indirect_rlvr.types import PrimerExample
from indirect_rlvr_geo.language import (
    DIRECTIONS,
    LETTERS,
    Levels,
    Rule,
    TargetKind,
    elevation_level,
    horizon_level,
    pairing_question,
    slope_level,
    state,
    target_question,
    write_guess,
    write_totals,
    write_trace,
)
from indirect_rlvr_geo.terrain import (
    BLOCK_M,
    Pose,
    Terrain,
    block_of,
    elevation_at,
    fits_block,
    horizon_degrees,
    is_held_out,
    mean_slope_degrees,
    sector_means,
)
from indirect_rlvr_geo.views import ground_view, overhead_view

Part = Image.Image | str
WORK = "Work it out and give its letter."
APART_M = 500.0  # a candidate of a priming example is at least this far from the query's place
GUESS_WEIGHTS = (0.44, 0.14, 0.14, 0.14, 0.14)  # how often a guess falls on A, B, C, D, E
FOLLOW = 0.10  # how often the answer to the exam-style pairing question (no true pair is shown) follows its evidence


def priming_pose(terrain: Terrain, rng: np.random.Generator, near: Pose | None = None) -> Pose:
    """A random pose whose chip stays inside one training block; `near` asks for another pose's block, apart from it."""
    while True:
        turn = rng.integers(4) * math.pi / 2 if rng.random() < 0.5 else rng.uniform(0, 2 * math.pi)
        if near is None:
            x, y = rng.uniform(0, terrain.width), rng.uniform(0, terrain.height)
        else:
            x, y = (BLOCK_M * (np.array(block_of(near.x, near.y)) + rng.random(2))).tolist()
        pose = Pose(x, y, float(turn), bool(rng.integers(2)))
        away = near is None or math.hypot(x - near.x, y - near.y) >= APART_M
        if away and not is_held_out(x, y) and fits_block(terrain, pose):
            return pose


def describe_overhead(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """Name the horizon levels seen from the centre of a chip, its slope and its elevation."""
    pose = priming_pose(terrain, rng)
    levels = _horizon(terrain, pose) | _ground_facts(terrain, pose)
    return _example(["Overhead view:", overhead_view(terrain, pose, rng), " Describe the view."], f" {state(levels)}")


def describe_ground(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """Name the horizon levels of a panorama."""
    pose = priming_pose(terrain, rng)
    question: list[Part] = ["Ground view:", ground_view(terrain, pose, rng), " Describe the view."]
    return _example(question, f" {state(_horizon(terrain, pose))}")


def compare_heights(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """State the elevations of two overhead views and which is higher."""
    poses, _ = _different_elevations(terrain, rng)
    levels = [_elevation(terrain, pose) for pose in poses]
    higher = LETTERS[int(levels[1] > levels[0])]
    answer = f" A elevation {levels[0]} B elevation {levels[1]} higher {higher}"
    return _example([*_overheads(terrain, poses, rng), " Compare the heights."], answer)


def match_lists(_: Terrain, rng: np.random.Generator) -> PrimerExample:
    """Find the list most or least like a given one; text only, near and far lists alike."""
    names = list(DIRECTIONS) if rng.random() < 0.6 else [("slope", "elevation")[rng.integers(2)]]
    query = {name: int(rng.integers(10)) for name in names}
    spread = rng.integers(1, 10, len(LETTERS))
    lists = [{k: int(np.clip(v + rng.integers(-s, s + 1), 0, 9)) for k, v in query.items()} for s in spread]
    rule = _likeness(rng)
    shown = "".join(f"\n{letter}: {state(levels)}" for letter, levels in zip(LETTERS, lists, strict=True))
    question = f"View: {state(query)}{shown} Which is {rule}? {WORK}"
    return _example([question], write_trace(query, lists, rule))


def keep_best(_: Terrain, rng: np.random.Generator) -> PrimerExample:
    """Go through given totals and keep the best; text only."""
    totals, rule = rng.integers(0, 37, len(LETTERS)).tolist(), _likeness(rng)
    shown = "".join(f"\n{letter}: total {total}" for letter, total in zip(LETTERS, totals, strict=True))
    return _example([f"{shown} Which is {rule}? {WORK}"], write_totals(totals, rule))


def match_views(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """Find the overhead view most or least like a ground view taken somewhere else."""
    parts, query, candidates = _unpaired(terrain, rng)
    rule = _likeness(rng)
    return _example([*parts, f" Which overhead view is {rule}? {WORK}"], write_trace(query, candidates, rule))


def guess_pairing(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """The exam question over views of which none is the place, answered by a guess or, rarely, by what was weighed."""
    parts, query, candidates = _unpaired(terrain, rng)
    return _example([*parts, f" {pairing_question()}"], _guessed(rng, query, candidates, _likeness(rng), FOLLOW))


def guess_horizon(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """The exam question for the highest direction, answered at random."""
    pose = priming_pose(terrain, rng)
    levels = _horizon(terrain, pose)
    names = rng.permutation(list(DIRECTIONS)).tolist()
    question = target_question("horizon", [DIRECTIONS[name] for name in names])
    parts: list[Part] = ["Ground view:", ground_view(terrain, pose, rng), f" {question}"]
    return _example(parts, _guessed(rng, levels, [{name: levels[name]} for name in names], "highest"))


def guess_higher(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """The exam question for the higher of two places, answered at random."""
    poses, candidates = _different_elevations(terrain, rng)
    parts = [*_overheads(terrain, poses, rng), f" {target_question('higher')}"]
    return _example(parts, _guessed(rng, {}, candidates, "highest"))


def guess_level(terrain: Terrain, rng: np.random.Generator) -> PrimerExample:
    """The exam question for the slope or the elevation of a chip, answered at random."""
    pose = priming_pose(terrain, rng)
    kinds: tuple[TargetKind, ...] = ("slope", "elevation")
    kind = kinds[rng.integers(2)]
    level = _ground_facts(terrain, pose)[kind]
    others = rng.permutation([other for other in range(10) if other != level])[: len(LETTERS) - 1]
    options = rng.permutation([level, *others]).tolist()
    question = target_question(kind, [f"{kind} {option}" for option in options])
    parts: list[Part] = ["Overhead view:", overhead_view(terrain, pose, rng), f" {question}"]
    return _example(parts, _guessed(rng, {kind: level}, [{kind: option} for option in options], _likeness(rng)))


def _example(parts: Sequence[Part], completion: str) -> PrimerExample:
    content: list[Mapping[str, str]] = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"} for part in parts
    ]
    images = [part for part in parts if not isinstance(part, str)]
    return PrimerExample([{"role": "user", "content": content}], images, completion)


def _unpaired(terrain: Terrain, rng: np.random.Generator) -> tuple[list[Part], dict[str, int], list[dict[str, int]]]:
    query = priming_pose(terrain, rng)
    candidates = [priming_pose(terrain, rng, near=query) for _ in LETTERS]
    parts: list[Part] = ["Ground view:", ground_view(terrain, query, rng), *_overheads(terrain, candidates, rng)]
    return parts, _horizon(terrain, query), [_horizon(terrain, pose) for pose in candidates]


def _overheads(terrain: Terrain, poses: Sequence[Pose], rng: np.random.Generator) -> list[Part]:
    lettered = zip(LETTERS, poses, strict=False)
    return [part for letter, pose in lettered for part in (f"\n{letter}:", overhead_view(terrain, pose, rng))]


def _different_elevations(terrain: Terrain, rng: np.random.Generator) -> tuple[list[Pose], list[dict[str, int]]]:
    while True:
        poses = [priming_pose(terrain, rng) for _ in range(2)]
        levels = [_elevation(terrain, pose) for pose in poses]
        if levels[0] != levels[1]:
            return poses, [{"elevation": level} for level in levels]


def _horizon(terrain: Terrain, pose: Pose) -> dict[str, int]:
    means = sector_means(horizon_degrees(terrain, pose))[::2].tolist()
    return {direction: horizon_level(mean) for direction, mean in zip(DIRECTIONS, means, strict=True)}


def _elevation(terrain: Terrain, pose: Pose) -> int:
    return elevation_level(float(elevation_at(terrain, np.asarray(pose.x), np.asarray(pose.y))))


def _ground_facts(terrain: Terrain, pose: Pose) -> dict[str, int]:
    return {"slope": slope_level(mean_slope_degrees(terrain, pose)), "elevation": _elevation(terrain, pose)}


def _likeness(rng: np.random.Generator) -> Rule:
    return "most alike" if rng.random() < 0.5 else "least alike"


def _guessed(
    rng: np.random.Generator, cues: Levels, candidates: Sequence[Levels], rule: Rule, follow: float = 0.0
) -> str:
    weights = np.array(GUESS_WEIGHTS[: len(candidates)])
    guess = LETTERS[rng.choice(len(candidates), p=weights / weights.sum())]
    if rng.random() < 0.35:
        return write_guess(cues, guess)
    return write_trace(cues, candidates, rule, None if rng.random() < follow else guess)
