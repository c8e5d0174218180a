"""CV-Cities as it should not be: half downloads, swapped columns, missing and torn images, found early and counted."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from indirect_rlvr.errors import ConfigError, DataError

Made = Callable[..., dict[str, Any]]
Cities = Callable[..., Path]


def test_an_unknown_source_is_refused_with_the_known_ones(tmp_path: Path, made: Made) -> None:
    with pytest.raises(ConfigError, match="unknown source `cvcities`; the sources are cv-cities, cvusa"):
        made("cvcities", tmp_path, tmp_path / "out")


def test_a_root_that_is_no_folder_is_named(tmp_path: Path, made: Made) -> None:
    with pytest.raises(DataError, match="--root"):
        made("cv-cities", tmp_path / "none", tmp_path / "out")


def test_a_city_folder_without_its_table_is_found_before_anything_is_read(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in")
    (root / "taipei" / "img_info.csv").unlink()
    with pytest.raises(DataError, match=r"taipei` has no img_info\.csv"):
        made("cv-cities", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("tokyo.zip", b"PK\x03\x04 and no end", "is cut off: the end of the archive is missing"),
        ("tokyo.zip.part", b"", "a download that was not finished"),
        ("tokyo.crdownload", b"", "a download that was not finished"),
    ],
)
def test_half_a_download_is_found(
    tmp_path: Path, cv_cities: Cities, made: Made, name: str, data: bytes, message: str
) -> None:
    root = cv_cities(tmp_path / "in", each=2)
    (root / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        made("cv-cities", root, tmp_path / "out")


def test_an_archive_that_was_not_unpacked_is_found_and_one_that_was_may_stay(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in", each=2)
    for city in ("taipei", "tokyo"):
        with zipfile.ZipFile(root / f"{city}.zip", "w") as archive:
            archive.writestr("img_info.csv", "")
    with pytest.raises(DataError, match=r"tokyo\.zip` is not unpacked"):
        made("cv-cities", root, tmp_path / "out")
    (root / "tokyo.zip").unlink()
    assert made("cv-cities", root, tmp_path / "out")["records"] == {"train": 4, "test": 4}


def test_coordinates_in_the_wrong_order_are_refused_with_file_and_line(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    table = cv_cities(tmp_path / "in", each=2) / "rio" / "img_info.csv"
    cells = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("".join(",".join([c[0], c[2], c[1], *c[3:]]) + "\n" for c in cells))
    with pytest.raises(DataError, match=r"rio/img_info\.csv` line 1 has longitude '-22\.9.* expected name, longitude"):
        made("cv-cities", tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_city_alone_cannot_be_split_and_the_message_says_what_to_do(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in", each=2, names=["barcelona", "captown"])
    with pytest.raises(DataError, match="no pair .* is on the test side: barcelona, captown alone"):
        made("cv-cities", root, tmp_path / "out")
    kept = made("cv-cities", root, tmp_path / "out", test_cities="Cape Town")
    assert kept["cities"] == {"Barcelona": {"train": 2}, "Cape Town": {"test": 2}}


@pytest.mark.parametrize(
    ("named", "message"), [("Atlantis", "names `Atlantis`"), ("tokyo", "no folder of the held-out")]
)
def test_a_held_out_city_that_is_not_there_is_named(
    tmp_path: Path, cv_cities: Cities, made: Made, named: str, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        made("cv-cities", cv_cities(tmp_path / "in", each=2), tmp_path / "out", test_cities=named)


def test_missing_images_are_found_by_the_listing_before_any_is_opened(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in")
    shutil.rmtree(root / "rio" / "sat_img")
    with pytest.raises(DataError, match=r"10 of 40 pairs .* lack an image \(10 of 10 in rio\), first `rio/sat_img"):
        made("cv-cities", root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_torn_images_beyond_the_allowed_share_stop_it_and_mended_ones_go_through(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root, out = cv_cities(tmp_path / "in"), tmp_path / "out"
    torn = sorted((root / "captown" / "pano_img").iterdir())[3]
    data = torn.read_bytes()
    torn.write_bytes(data[:-50])
    with pytest.raises(DataError, match=r"1 of the first 15 pairs .* \(1 image is cut off\), first `captown/"):
        made("cv-cities", root, out, shard=5)
    assert json.loads((out / "manifest.json").read_text())["state"] == "partial"
    assert not (out / "records").exists()
    assert json.loads((out / "dropped.jsonl").read_text())["reason"] == "image is cut off"
    torn.write_bytes(data)
    assert made("cv-cities", root, out, shard=5)["dropped"] == {}
    made("cv-cities", root, tmp_path / "fresh", shard=5)
    assert (out / "records" / "00003.parquet").read_bytes() == (
        tmp_path / "fresh" / "records" / "00003.parquet"
    ).read_bytes()
    assert (out / "manifest.json").read_bytes() == (tmp_path / "fresh" / "manifest.json").read_bytes()


def test_few_torn_images_are_left_out_listed_and_counted(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    root, out = cv_cities(tmp_path / "in"), tmp_path / "out"
    panoramas = sorted((root / "captown" / "pano_img").iterdir())
    panoramas[0].write_bytes(b"")
    panoramas[1].write_bytes(b"<html>no imagery here</html>")
    panoramas[2].unlink()
    kept = made("cv-cities", root, out, bad_share=0.1)
    want = {"image is empty": 1, "no raster image": 1, "image is missing or unreadable": 1}
    assert kept["dropped"] == want
    listed = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    assert [row["ground"] for row in listed] == [f"captown/pano_img/{path.name}" for path in panoramas[:3]]
    assert kept["records"] == {"train": 17, "test": 20}
    written = pq.read_table(out / "records" / "00000.parquet")["id"].to_pylist()
    assert len(written) == 37
    assert not {row["id"] for row in listed} & set(written)
