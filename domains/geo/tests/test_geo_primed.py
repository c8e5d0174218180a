"""The weights that ship with the pack are what its own code makes, and priming never saw what it must not see."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from indirect_rlvr import engine, manifest
from indirect_rlvr.run import file_digest
from indirect_rlvr.training import base
from indirect_rlvr.training.prime import prime
from indirect_rlvr.training.tiny import ImageOnlyProcessor
from indirect_rlvr_geo import skills
from indirect_rlvr_geo.primer import SKILLS, primer
from indirect_rlvr_geo.terrain import fits_block, is_held_out, load_terrain

SHIPPED = primer().shipped
REPLAYED = 3


def shipped_note() -> dict:
    assert SHIPPED is not None
    return json.loads((SHIPPED / base.PRIMING).read_text(encoding="utf-8"))


def test_the_shipped_weights_are_small_and_are_the_ones_the_note_names() -> None:
    assert SHIPPED is not None
    weights = SHIPPED / "model.safetensors"
    assert weights.stat().st_size <= 8_000_000
    assert file_digest(weights) == shipped_note()["weights_sha256"]
    assert not [path.name for path in SHIPPED.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


def test_the_shipped_processor_is_what_its_code_writes_for_whoever_has_torchvision(tmp_path: Path) -> None:
    """Read by the stock classes there: an older one gave a tokenizer alone, which sees no image."""
    assert SHIPPED is not None
    ImageOnlyProcessor.from_pretrained(SHIPPED).save_pretrained(tmp_path)
    assert "Qwen2VLVideoProcessor" in (SHIPPED / "processor_config.json").read_text(encoding="utf-8")
    for name in ("processor_config.json", "chat_template.jinja", "tokenizer.json"):
        assert (tmp_path / name).read_bytes() == (SHIPPED / name).read_bytes()


def test_the_default_recipe_takes_the_shipped_weights() -> None:
    run, _ = engine.prepare("geo", "default", [], Path("unused"))
    assert base.priming_key(run.recipe, primer()) == shipped_note()["key"]
    assert base.primed(run.domain, run.recipe) == SHIPPED


def test_priming_replays_its_first_steps(tmp_path: Path) -> None:
    """Byte for byte on the kind of processor that made the weights; elsewhere rounding differs in the last bits."""
    run, _ = engine.prepare("geo", "default", [], tmp_path)
    settings = run.recipe.model.prime
    torch.set_num_threads(1)
    facts = prime(run.recipe.model.tiny, settings, primer(), tmp_path, stop=REPLAYED)
    note = shipped_note()
    expected = note["first_losses"][:REPLAYED]
    if manifest.processor() == note["processor"]:
        assert facts["first_losses"] == expected
    else:
        assert facts["first_losses"] == pytest.approx(expected, rel=1e-3)


def test_priming_poses_stay_inside_training_blocks() -> None:
    terrain, rng = load_terrain(), np.random.default_rng(0)
    for _ in range(200):
        pose = skills.priming_pose(terrain, rng)
        assert not is_held_out(pose.x, pose.y)
        assert fits_block(terrain, pose)


def test_candidates_of_a_priming_example_are_apart_from_the_place_of_its_ground_view() -> None:
    terrain, rng = load_terrain(), np.random.default_rng(1)
    query = skills.priming_pose(terrain, rng)
    for _ in range(200):
        other = skills.priming_pose(terrain, rng, near=query)
        assert math.hypot(other.x - query.x, other.y - query.y) >= skills.APART_M


def test_every_priming_example_is_a_pure_function_of_seed_and_index() -> None:
    first, again, other = (primer().example(seed, 5) for seed in (0, 0, 1))
    assert first.completion == again.completion
    assert [np.asarray(image).tobytes() for image in first.images] == [
        np.asarray(image).tobytes() for image in again.images
    ]
    assert first != other


def test_exam_answers_in_priming_do_not_follow_the_nearest_candidate() -> None:
    """An exam answer agrees with the evidence's best letter hardly more often than a guess would."""
    terrain, rng = load_terrain(), np.random.default_rng(2)
    follows = []
    for _ in range(300):
        text = skills.guess_pairing(terrain, rng).completion
        if " best " in text:
            best = text.rpartition(" best ")[2].split()[1][0]
            follows.append(best == text.rpartition("<answer>")[2][0])
    assert 0.15 < sum(follows) / len(follows) < 0.40


def test_every_skill_has_a_weight_and_a_sentence() -> None:
    assert sum(weight for _, weight in SKILLS) == pytest.approx(1.0)
    assert all(skill.__doc__ for skill, _ in SKILLS)
