"""Token counts and memory of the flagship for prompts of prepared records, images as large as real ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr import engine
from indirect_rlvr.estimate import estimate, prompts
from indirect_rlvr_geo.prepare.images import capped

PHOTOS = Path(__file__).parents[5] / "shared/data/global_streetscapes_sample/images"
CAP = 262_144


def test_the_flagship_s_prompts_of_prepared_records_are_measured_and_it_fits(
    tmp_path: Path, cv_cities: Callable[..., Path], picture: Callable[..., Path], made: Callable[..., object]
) -> None:
    root = cv_cities(tmp_path / "in", each=30, names=("barcelona", "taipei"))
    for path in root.glob("*/*/*.jpg"):
        side = (2048, 1024) if path.parent.name == "pano_img" else (512, 512)
        Image.open(path).resize(side).save(path)
    made("cv-cities", root, tmp_path / "out", max_pixels=CAP)
    run, _ = engine.prepare(
        "geo", "geo-r1-7b-8xh100", [f"records.prepared={tmp_path}/out", "records.photos.cells_m=[1000.0, 4000.0]"],
        tmp_path / "run",
    )  # fmt: skip
    base = prompts.base(run)
    found = estimate.estimate(run, base)
    image_tokens = 26 * 13 + 5 * 18 * 18  # 724 x 362 pixels and 512 x 512, 28 to a token
    assert not found.prompts.missing and found.prompts.images == 6
    assert found.prompts.patches == found.prompts.most_patches == 4 * image_tokens
    words = found.prompts.most_tokens - image_tokens - prompts.FRAME - 6 * prompts.AROUND
    assert 40 < words < 200
    assert found.held.total == 8_292_166_656
    assert 45e9 < found.memory["grpo"].peak < 65e9 and found.memory["grpo"].band[1] < found.card.memory


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the shared street photos are not here")
def test_real_photos_under_the_recipes_cap_have_at_most_the_tokens_that_recipes_say(tmp_path: Path) -> None:
    run, _ = engine.prepare("geo", "geo-r1-7b-8xh100", [], tmp_path / "run")
    base = prompts.base(run)
    vision = base.shape.vision
    assert vision is not None
    counts = set()
    for path in PHOTOS.glob("*.jpeg"):
        with Image.open(path) as photo:
            counts.add(prompts.patches_of(*capped(*photo.size, CAP), vision, base.pixels) // 4)
    assert counts and 300 < min(counts) <= max(counts) <= 345
