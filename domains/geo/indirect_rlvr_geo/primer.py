"""Generic skills for the tiny model, in place of pretraining: describe, compare, use evidence, answer in a letter.

What priming never contains: a candidate set that holds the query's own place, a held-out block, or an exam-style
question whose letter is more than a guess. Exam-style questions are answered with a letter drawn at random (with a
liking for the early letters, as language models have one), after evidence by a rule drawn at random, or after none.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from indirect_rlvr.types import Primer, PrimerExample
from indirect_rlvr_geo import skills
from indirect_rlvr_geo.language import lexicon
from indirect_rlvr_geo.terrain import Terrain, load_terrain

ABOUT = (
    "Views of training blocks, rotated and mirrored: describing horizons, slope and elevation of one view; comparing "
    "two elevations; choosing the most or least alike of five lists or of five overhead views, none of them the place "
    "of the ground view, with the evidence written out. Exam-style questions (pairing without a true pair, and the "
    "target tasks) were answered by a random letter, two in three after evidence by a random rule."
)

SKILLS: tuple[tuple[Callable[[Terrain, np.random.Generator], PrimerExample], float], ...] = (
    (skills.describe_overhead, 0.42),
    (skills.describe_ground, 0.05),
    (skills.compare_heights, 0.03),
    (skills.keep_best, 0.25),
    (skills.match_lists, 0.12),
    (skills.match_views, 0.12),
    (skills.guess_pairing, 0.13),
    (skills.guess_horizon, 0.04),
    (skills.guess_higher, 0.03),
    (skills.guess_level, 0.06),
)


def primer() -> Primer:
    """The generic skills of this domain, with the weights that were primed on them beforehand."""
    terrain = load_terrain()
    return Primer(lexicon(), partial(primer_example, terrain), ABOUT, Path(__file__).parent / "primed")


def primer_example(terrain: Terrain, seed: int, index: int) -> PrimerExample:
    """Example number `index`, a pure function of (seed, index)."""
    rng = np.random.default_rng([seed, index])
    chosen, weights = zip(*SKILLS, strict=True)
    return chosen[rng.choice(len(chosen), p=np.array(weights) / sum(weights))](terrain, rng)
