"""Truth tables and photos on disk: what is refused, what is counted as missing, which photo belongs to which row."""

from collections import Counter
from pathlib import Path

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr_geo.benchmarks.truths import Photos, cell, distinct, photo_key, position, read_rows


def test_an_absent_file_and_one_that_is_no_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.csv` cannot be read as CSV: .*; download it again"):
        read_rows(tmp_path / "absent.csv")
    (tmp_path / "binary.csv").write_bytes(b"id\n\xff\xfe\n")
    with pytest.raises(DataError, match=r"binary.csv` cannot be read as CSV: .*; download it again"):
        read_rows(tmp_path / "binary.csv")
    (tmp_path / "huge.csv").write_text("id\n" + "x" * 200_000)
    with pytest.raises(DataError, match=r"huge.csv` cannot be read as CSV: field larger than field limit"):
        read_rows(tmp_path / "huge.csv")


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,lat\n1,2\n")
    with pytest.raises(DataError, match=r"has no column `LON` or `longitude`, only \['id', 'lat'\]; download the file"):
        read_rows(tmp_path / "t.csv", ("id",), ("LON", "longitude"))


def test_short_rows_are_filled_and_long_ones_cut(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("\ufeffid,lat\n1\n2, 3 ,4\n", encoding="utf-8")
    rows = read_rows(tmp_path / "t.csv", ("id",))
    assert rows == [{"id": "1", "lat": ""}, {"id": "2", "lat": " 3 "}]
    assert [cell(row, "nothing", "lat", "id") for row in rows] == ["1", "3"]


@pytest.mark.parametrize(("latitude", "longitude"), [
    ("", "1"), ("nan", "1"), ("inf", "1"), ("91", "1"), ("1", "181"), ("north", "1"), ("1", "None"),
])  # fmt: skip
def test_positions_out_of_range_are_none(latitude: str, longitude: str) -> None:
    assert position(latitude, longitude) is None


def test_a_position_may_be_zero() -> None:
    assert position("0", "-0.0") == Coordinates(0.0, 0.0)


def test_a_name_that_comes_again_gets_an_id_of_its_own_and_a_flag() -> None:
    seen = Counter[str]()
    found = [distinct(name, seen) for name in ("a", "b", "a", "a")]
    assert found == [("a", ()), ("b", ()), ("a#2", ("duplicate id",)), ("a#3", ("duplicate id",))]


@pytest.mark.parametrize("name", ["X", "X.jpg", "X.jpg.jpg", "X.JPEG", "X.png", ".jpgX"])
def test_every_suffix_of_a_photo_is_dropped_wherever_it_stands(name: str) -> None:
    assert photo_key(name) == "X"


def test_photos_are_found_in_any_depth_and_missing_ones_named(tmp_path: Path) -> None:
    (tmp_path / "images" / "00").mkdir(parents=True)
    (tmp_path / "images" / "00" / "X.jpg.jpg").touch()
    photos = Photos(tmp_path)
    view, missing = photos.find("X.jpg")
    assert (view.modality, view.content, missing) == ("image", "images/00/X.jpg.jpg", ())
    view, missing = photos.find("Y.jpg")
    assert (view.content, missing) == ("images/Y.jpg", ("images/Y.jpg",))


def test_a_photo_outside_the_folder_is_missing(tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").touch()
    folder = tmp_path / "benchmark"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    assert Photos(folder).find("link.jpg")[1] == ("images/link.jpg",)
    assert Photos(folder).find("../../secret.jpg")[1] == ("images/../../secret.jpg",)
