"""CV-Cities as it should not be: half downloads, swapped columns, missing and torn images, found early and counted."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from indirect_rlvr import cli
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


def spoil(path: Path, how: str) -> None:
    """Damage in the middle: the header and the end are those of a whole file."""
    data, half = path.read_bytes(), path.stat().st_size // 2
    path.write_bytes(data[:half] + {"markers": b"\xff" * 64, "zeros": bytes(10_000)}[how] + data[half + 64 :])


def test_damage_in_the_middle_passes_the_headers_and_is_found_where_everything_is_decoded(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in")
    panoramas = sorted((root / "captown" / "pano_img").iterdir())
    spoil(panoramas[2], "markers")
    spoil(panoramas[5], "zeros")
    assert made("cv-cities", root, tmp_path / "headers")["dropped"] == {}
    with pytest.raises(DataError, match="1 image that does not decode, 1 JPEG with a gap of zeros"):
        made("cv-cities", root, tmp_path / "whole", decode=True)
    kept = made("cv-cities", root, tmp_path / "kept", decode=True, bad_share=0.1)
    assert kept["dropped"] == {
        "JPEG with a gap of zeros, as unfinished downloads leave": 1,
        "image that does not decode": 1,
    }
    listed = [json.loads(line)["ground"] for line in (tmp_path / "kept" / "dropped.jsonl").read_text().splitlines()]
    assert listed == [f"captown/pano_img/{panoramas[number].name}" for number in (2, 5)]


def test_damage_that_the_headers_hide_stops_the_run_with_the_record_and_the_next_preparation_finds_it(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root, run = cv_cities(tmp_path / "in"), tmp_path / "run"
    whole = (spoiled := sorted((root / "captown" / "pano_img").iterdir())[2]).read_bytes()
    spoil(spoiled, "markers")
    made("cv-cities", root, tmp_path / "out")
    words = ["run", "--domain", "geo", "--out", str(run), "--until", "records"]
    words += ["--set", f"records.prepared={tmp_path / 'out'}"]
    said = CliRunner().invoke(cli.app, words)
    assert said.exit_code == 1
    assert f"rlvr: record `captown/pano_img/{spoiled.name}`: view `ground`: image 'views/" in said.output
    assert "does not decode" in said.output
    assert not (run / "records").exists()
    spoiled.write_bytes(whole)
    again = CliRunner().invoke(cli.app, words)
    assert again.exit_code == 0, again.output
    assert "40 records kept" in again.output


def test_a_city_folder_that_is_missing_is_said_and_the_others_are_prepared(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in")
    shutil.rmtree(root / "taipei")
    kept = made("cv-cities", root, tmp_path / "out")
    assert kept["cities"] == {"Barcelona": {"train": 10}, "Cape Town": {"train": 10}, "Rio de Janeiro": {"test": 10}}
    assert kept["notes"][0].startswith("3 of 16 cities are there; not: ")
    assert "taipei" in kept["notes"][0]


def test_a_side_that_loses_its_last_pair_is_refused_with_the_list_it_names(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in", each=2, names=["barcelona", "rio"])
    tiles = sorted((root / "rio" / "sat_img").iterdir())
    tiles[1].write_bytes(tiles[0].read_bytes())
    with pytest.raises(DataError, match=r"no pair of the test side can be used; `.*dropped\.jsonl` says why"):
        made("cv-cities", root, tmp_path / "out")
    listed = [json.loads(line)["reason"] for line in (tmp_path / "out" / "dropped.jsonl").read_text().splitlines()]
    assert listed == ["one picture at different places"] * 2
