"""A picture is known again after another size, compression or exposure, and no other picture is taken for it."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from indirect_rlvr.data import phash

PHOTOS = Path(__file__).parents[3] / "shared/data/global_streetscapes_sample"


def picture(seed: int, side: int = 160) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def again(image: Image.Image) -> Image.Image:
    """Smaller, darker, and through a JPEG."""
    small = ImageEnhance.Brightness(image.resize((image.width * 2 // 3, image.height * 2 // 3))).enhance(0.8)
    stream = BytesIO()
    small.save(stream, "JPEG", quality=60)
    return Image.open(stream)


def same(one: Image.Image, other: Image.Image) -> bool:
    first, second = phash.grey(one), phash.grey(other)
    near = (phash.hashed(first) ^ phash.hashed(second)).bit_count() <= phash.NEAR
    return near and phash.alike(first, second)


@pytest.mark.parametrize("seed", range(10))
def test_a_picture_is_known_again_and_its_mirror_is_not(seed: int) -> None:
    image = picture(seed)
    assert same(image, again(image))
    assert not same(image, image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def test_other_pictures_are_told_apart() -> None:
    images = [picture(seed) for seed in range(40)]
    assert not any(same(images[i], images[j]) for i in range(40) for j in range(i))


def test_pictures_of_one_colour_are_never_alike() -> None:
    plain = phash.grey(Image.new("RGB", (50, 50), (90, 90, 90)))
    assert not plain.any()
    assert not phash.alike(plain, plain)


def test_real_photos_are_known_again_and_told_apart() -> None:
    paths = sorted(path for path in PHOTOS.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not paths:
        pytest.skip("the streetscapes sample is not beside the repository (../shared/data)")
    images = [Image.open(path).convert("RGB").resize((320, 240)) for path in paths]
    assert all(same(image, again(image)) for image in images)
    assert not any(same(images[i], images[j]) for i in range(len(images)) for j in range(i))


def test_the_banded_search_finds_exactly_the_pairs_that_all_comparisons_find() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2**63, 300, dtype=np.uint64)
    flips = np.array([sum(1 << int(b) for b in rng.choice(63, n % 9, replace=False)) for n in range(300)], np.uint64)
    second = np.concatenate([first[::-1] ^ flips, first[:3]])
    for most in (0, 3, 6):
        apart = np.bitwise_count(first[:, None] ^ second[None, :])
        assert phash.near_pairs(first, second, most).tolist() == np.argwhere(apart <= most).tolist()


def test_nothing_is_near_where_there_is_nothing() -> None:
    none = np.zeros(0, dtype=np.uint64)
    assert phash.near_pairs(none, none).shape == (0, 2)
