"""What is measured of a file is what was put into it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indirect_rlvr.data.looks import NUISANCES, Look, Looks, same_picture
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import View


def measured(look: Look) -> dict[str, float]:
    return dict(zip(NUISANCES, look.nuisance.tolist(), strict=True))


def look(folder: Path, name: str) -> Look:
    return Looks(folder).of(View("tile", "image", name))


def test_a_torn_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"^image 'torn.png' does not decode: "):
        look(tmp_path, "torn.png")


def test_size_colour_exposure_and_compression_are_what_they_are(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), (255, 0, 51))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    for name, quality in (("fine.jpg", 95), ("coarse.jpg", 20)):
        image.save(tmp_path / name, quality=quality)
    image.save(tmp_path / "a.png")
    found = measured(look(tmp_path, "a.png"))
    assert found["file size"] == pytest.approx(np.log1p((tmp_path / "a.png").stat().st_size))
    assert (found["width"], found["height"], found["JPEG tables"], found["text length"]) == (40, 20, 0, 0)
    assert [found[name] for name in ("red", "green", "blue")] == pytest.approx([1.0, 0.5, 0.6])
    assert found["brightness"] == pytest.approx(0.7)
    assert found["clipped pixels"] == 0.5
    fine, coarse = (measured(look(tmp_path, name))["JPEG tables"] for name in ("fine.jpg", "coarse.jpg"))
    assert 0 < fine < coarse


def test_a_text_has_a_length_and_no_picture() -> None:
    found = Looks(Path()).of(View("code", "text", "héé"))
    assert measured(found)["text length"] == pytest.approx(np.log(6))
    assert sum(found.nuisance[:-1]) == 0
    assert not same_picture(found, found)


def test_a_file_is_read_once(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    looks = Looks(tmp_path)
    first = looks.of(View("tile", "image", "a.png"))
    (tmp_path / "a.png").unlink()
    assert looks.of(View("other", "image", "a.png")) is first


def test_pictures_are_the_same_only_if_hash_and_grey_values_agree() -> None:
    grey, other = np.zeros((2, 32, 32), dtype=np.float32)
    grey[0, 0] = other[5, 5] = 1.0
    one = Look("a", np.zeros(0), np.zeros(0), grey, 0)
    assert same_picture(one, Look("b", np.zeros(0), np.zeros(0), grey, 0b111111))
    assert not same_picture(one, Look("b", np.zeros(0), np.zeros(0), grey, 0b1111111))
    assert not same_picture(one, Look("b", np.zeros(0), np.zeros(0), other, 0))
