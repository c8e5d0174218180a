"""Images judged by their headers: every way to be torn is a reason, and whole ones of every format pass."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indirect_rlvr_geo.prepare import images
from indirect_rlvr_geo.prepare.images import capped, content, look, shrink

SUFFIXES = ("jpg", "png", "webp", "tif", "bmp")


def test_a_missing_and_an_empty_image_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert look(tmp_path / "none.jpg").reason == images.MISSING
    assert look(tmp_path / "empty.jpg").reason == images.EMPTY


@pytest.mark.parametrize("data", [b"<html>Sorry, we have no imagery here</html>", b"\x00" * 4096, b"%!PS-Adobe-3.0"])
def test_what_is_no_raster_image_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "it.jpg").write_bytes(data)
    assert look(tmp_path / "it.jpg").reason == images.NO_IMAGE


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_an_image_that_ends_early_is_found_without_decoding_it(
    tmp_path: Path, picture: Callable[..., Path], suffix: str, share: float
) -> None:
    path = picture(tmp_path / f"it.{suffix}", size=(300, 200))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert look(path).reason in (images.CUT_OFF, images.NO_IMAGE)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_whole_image_gives_its_size(tmp_path: Path, picture: Callable[..., Path], suffix: str) -> None:
    seen = look(picture(tmp_path / f"it.{suffix}", size=(300, 200)))
    assert (seen.reason, seen.width, seen.height) == ("", 300, 200)


def test_a_tiled_tiff_that_ends_early_is_found(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "tiled.tif", tiffinfo={322: 128, 323: 128})
    assert look(tmp_path / "tiled.tif").reason == ""
    data = (tmp_path / "tiled.tif").read_bytes()
    (tmp_path / "tiled.tif").write_bytes(data[:-100])
    assert look(tmp_path / "tiled.tif").reason == images.CUT_OFF


def test_bytes_after_the_end_of_a_jpeg_are_allowed(tmp_path: Path, picture: Callable[..., Path]) -> None:
    path = picture(tmp_path / "it.jpg")
    path.write_bytes(path.read_bytes() + b"\x00" * 500)
    assert look(path).reason == ""


def test_sixteen_bits_a_channel_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64), dtype=np.uint16)).save(tmp_path / "deep.tif")
    assert look(tmp_path / "deep.tif").reason == images.DEEP


def test_an_image_smaller_than_a_visual_token_is_refused(tmp_path: Path, picture: Callable[..., Path]) -> None:
    assert look(picture(tmp_path / "it.png", size=(300, 27))).reason == images.TOO_SMALL


@pytest.mark.parametrize("side", [8000, 20_000])
def test_more_pixels_than_a_run_would_open_are_refused_by_the_header(tmp_path: Path, side: int) -> None:
    data = io.BytesIO()
    Image.new("1", (side, side)).save(data, "PNG")
    (tmp_path / "large.png").write_bytes(data.getvalue())
    assert look(tmp_path / "large.png").reason == images.TOO_LARGE


def test_sketches_tell_images_apart_and_all_bytes_tell_the_rest(tmp_path: Path, picture: Callable[..., Path]) -> None:
    one, other = picture(tmp_path / "a.jpg", 1), picture(tmp_path / "b.jpg", 2)
    assert look(one).sketch != look(other).sketch
    middle = np.zeros((200, 200, 3), dtype=np.uint8)
    Image.fromarray(middle).save(tmp_path / "c.bmp")
    middle[100] = 255
    Image.fromarray(middle).save(tmp_path / "d.bmp")
    assert look(tmp_path / "c.bmp").sketch == look(tmp_path / "d.bmp").sketch
    assert content(tmp_path / "c.bmp") != content(tmp_path / "d.bmp")


@pytest.mark.parametrize(("width", "height"), [(1024, 512), (746, 746), (10_000, 28), (513, 511)])
def test_a_cap_keeps_the_shape_and_is_never_exceeded(width: int, height: int) -> None:
    small = capped(width, height, 262_144)
    assert small[0] * small[1] <= 262_144
    assert small[0] * small[1] > 0.9 * 262_144
    assert small[0] / small[1] == pytest.approx(width / height, rel=0.02)


def test_a_smaller_copy_shows_the_same_in_fewer_pixels(tmp_path: Path, picture: Callable[..., Path]) -> None:
    whole = picture(tmp_path / "it.jpg", size=(400, 200))
    assert shrink(whole, tmp_path / "copies" / "it.jpg", 5000) == ("", 100, 50)
    with Image.open(tmp_path / "copies" / "it.jpg") as small, Image.open(whole) as large:
        want = np.asarray(large.resize((100, 50), Image.Resampling.BOX), dtype=float)
        assert np.abs(np.asarray(small, dtype=float) - want).mean() < 6
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["it.jpg"]


def test_a_copy_of_a_torn_image_is_not_written(tmp_path: Path, picture: Callable[..., Path]) -> None:
    whole = picture(tmp_path / "it.png", size=(400, 200))
    data = bytearray(whole.read_bytes())
    data[len(data) // 2 :] = b"\x00" * (len(data) - len(data) // 2)
    whole.write_bytes(data)
    assert shrink(whole, tmp_path / "copies" / "it.png", 5000)[0] == images.DAMAGED
    assert not (tmp_path / "copies").exists()
