"""Positions in EXIF data, and any folder of photos as a benchmark."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.benchmarks import photos
from indirect_rlvr_geo.benchmarks.exif import photo_position

REAL = Path(__file__).parents[5] / "shared/data/opensfm_gps/data"
BERLIN = {1: "N", 2: (52.0, 31.0, 8.1), 3: "E", 4: (13.0, 24.0, 1.06)}


def photo(path: Path, gps: Mapping[int, object] | None) -> Path:
    exif = Image.Exif()
    if gps is not None:
        exif[0x8825] = dict(gps)
    Image.new("RGB", (8, 6)).save(path, exif=exif)
    return path


def test_a_file_that_is_no_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("not a photo")
    with pytest.raises(DataError, match=r"x.jpg` is no photo that can be read: UnidentifiedImageError: .*; remove it"):
        photo_position(tmp_path / "x.jpg")


@pytest.mark.parametrize("gps", [
    None, {}, {1: "N", 2: (52.0, 31.0, 8.1)}, BERLIN | {1: "X"}, BERLIN | {1: ""}, BERLIN | {2: (152.0, 0.0, 0.0)},
    BERLIN | {4: (181.0, 0.0, 0.0)}, BERLIN | {2: (52.0,)},
])  # fmt: skip
def test_a_broken_position_is_none(tmp_path: Path, gps: Mapping[int, object] | None) -> None:
    assert photo_position(photo(tmp_path / "x.jpg", gps)) is None


def test_south_and_west_are_negative(tmp_path: Path) -> None:
    found = photo_position(photo(tmp_path / "x.jpg", BERLIN | {1: "S", 3: "W"}))
    assert found == pytest.approx((-52.51892, -13.40029), abs=1e-5)


def test_photos_without_a_position_are_flagged_and_folders_are_places(tmp_path: Path) -> None:
    (tmp_path / "images" / "trip").mkdir(parents=True)
    photo(tmp_path / "images" / "trip" / "a.JPG", BERLIN)
    photo(tmp_path / "images" / "b.jpg", None)
    (tmp_path / "images" / "notes.txt").touch()
    benchmark = photos.benchmarks()[0]
    examples = list(benchmark.examples(tmp_path))
    assert [example.id for example in examples] == ["images/b.jpg", "images/trip/a.JPG"]
    assert [example.flags for example in examples] == [(photos.NO_POSITION,), ()]
    assert examples[1].cluster == "images/trip"
    assert examples[1].truth["latitude"] == pytest.approx(52.51892, abs=1e-5)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/opensfm_gps")
@pytest.mark.parametrize(("place", "latitude", "longitude"), [("berlin", 52.5189, 13.4003), ("lund", 55.698, 13.195)])
def test_real_photos_say_where_they_were_taken(place: str, latitude: float, longitude: float) -> None:
    files = sorted((REAL / place / "images").glob("*.jpg"))
    assert len(files) == 3
    for file in files:
        assert photo_position(file) == pytest.approx((latitude, longitude), abs=6e-4)
