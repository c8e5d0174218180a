"""Generic skills for the tiny model, in place of pretraining: describe, compare, use evidence, answer in a letter.

What priming never contains: a candidate set that holds the query's own place, a held-out block, or a target task
answered by anything but a guess. Exam-style questions are answered by a guess (A is the favourite, as language models
have one), at once or after evidence; only pairing, where no true pair is shown and the rule of the evidence is drawn at
random, follows the evidence now and then.
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
    "target tasks) were answered by a guess that favours A, one in three at once, two in three after evidence. For "
    "pairing the rule of the evidence (most or least alike) was random; one in ten answers after evidence followed it."
)

SKILLS: tuple[tuple[Callable[[Terrain, np.random.Generator], PrimerExample], float], ...] = (
    (skills.describe_overhead, 0.34),
    (skills.describe_ground, 0.04),
    (skills.compare_heights, 0.02),
    (skills.keep_best, 0.16),
    (skills.match_lists, 0.11),
    (skills.match_views, 0.10),
    (skills.guess_pairing, 0.10),
    (skills.guess_horizon, 0.05),
    (skills.guess_higher, 0.02),
    (skills.guess_level, 0.06),
)


def primer() -> Primer:
    """The generic skills of this domain, with the weights that were primed on them beforehand."""
    terrain = load_terrain()
    return Primer(lexicon(), partial(primer_example, terrain), ABOUT, Path(__file__).parent / "primed")


def primer_example(terrain: Terrain, seed: int, index: int) -> PrimerExample:
    """Example number `index`, a pure function of (seed, index)."""
    rng = np.random.default_rng([seed, index])
    weights = np.array([weight for _, weight in SKILLS])
    skill, _ = SKILLS[rng.choice(len(SKILLS), p=weights / sum(weights.tolist()))]
    return skill(terrain, rng)
