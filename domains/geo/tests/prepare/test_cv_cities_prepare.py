"""CV-Cities prepared: split by city, pictures that cannot be right taken out, the same bytes after a kill."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.run import prepare

Made = Callable[..., dict[str, Any]]
Cities = Callable[..., Path]


def rows(out: Path) -> list[dict[str, Any]]:
    return pa.concat_tables([pq.read_table(path) for path in sorted((out / "records").glob("*.parquet"))]).to_pylist()


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def state(out: Path) -> str:
    return str(json.loads((out / "manifest.json").read_text())["state"])


def test_cities_are_held_out_as_the_benchmarks_flag_them(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    made("cv-cities", cv_cities(tmp_path / "in", each=3), tmp_path / "out")
    sides = {(row["city"], row["split"]) for row in rows(tmp_path / "out")}
    flags = {(city.name, "train" if city.trained_on else "test") for city in CITIES.values()}
    assert sides <= flags
    assert {side for _, side in sides} == {"train", "test"}


def test_longitude_comes_before_latitude_in_the_table_and_degrees_come_out(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    made("cv-cities", cv_cities(tmp_path / "in", each=3, months=["2019-05"]), tmp_path / "out")
    row = next(row for row in rows(tmp_path / "out") if row["city"] == "Taipei")
    assert row["latitude"] == pytest.approx(25.03, abs=0.01)
    assert row["longitude"] == pytest.approx(121.56, abs=0.01)
    assert (row["captured"], row["captured_s"]) == ("2019-05", 1_556_668_800.0)
    assert (row["ground_width"], row["ground_height"]) == (112, 56)


def test_paths_may_be_relative_to_the_city_too(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    root = cv_cities(tmp_path / "in", each=3)
    whole = made("cv-cities", root, tmp_path / "whole")
    for table in root.glob("*/img_info.csv"):
        table.write_text(table.read_text().replace(f"{table.parent.name}/", "/"))
    own = made("cv-cities", root, tmp_path / "own")
    assert [row["ground"] for row in rows(tmp_path / "own")] == [row["ground"] for row in rows(tmp_path / "whole")]
    assert own["records"] == whole["records"]


def test_an_image_of_nowhere_that_stands_for_many_places_takes_them_all_out(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root = cv_cities(tmp_path / "in")
    tiles = sorted((root / "rio" / "sat_img").iterdir())
    for tile in tiles[1:3]:
        tile.write_bytes(tiles[0].read_bytes())
    kept = made("cv-cities", root, tmp_path / "out")
    assert kept["dropped"] == {"one picture at different places": 3}
    assert kept["records"] == {"train": 20, "test": 17}


def test_only_images_that_agree_in_every_byte_are_one_picture(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    import numpy as np
    from PIL import Image

    root = cv_cities(tmp_path / "in", each=3)
    table = root / "rio" / "img_info.csv"
    table.write_text(table.read_text().replace(".jpg", ".bmp"))
    for number, path in enumerate(sorted(root.glob("rio/*/*.jpg"))):
        pixels = np.zeros((200, 200, 3), dtype=np.uint8)
        pixels[100, number] = 255
        Image.fromarray(pixels).save(path.with_suffix(".bmp"))
    kept = made("cv-cities", root, tmp_path / "out")
    assert kept["dropped"] == {}
    own = [row["overhead_content"] for row in rows(tmp_path / "out") if row["city"] == "Rio de Janeiro"]
    assert len(set(own)) == 3


def test_a_pair_that_comes_again_is_a_duplicate_and_another_month_is_not(
    tmp_path: Path, cv_cities: Cities, made: Made, picture: Callable[..., Path]
) -> None:
    root = cv_cities(tmp_path / "in", each=3, months=["2019-05"])
    table = root / "rio" / "img_info.csv"
    name, longitude, latitude, *_ = table.read_text().splitlines()[0].split(",")
    for again in ("copy_2019-05", "later_2021-11"):
        ground, overhead = root / "rio" / "pano_img" / f"{again}.jpg", root / "rio" / "sat_img" / f"{again}.jpg"
        shutil.copyfile(root / "rio" / "sat_img" / f"{name}.jpg", overhead)
        shutil.copyfile(root / "rio" / "pano_img" / f"{name}.jpg", ground)
        with table.open("a") as stream:
            stream.write(f"{again},{longitude},{latitude},rio,rio/sat_img/{again}.jpg,rio/pano_img/{again}.jpg\n")
    picture(root / "rio" / "pano_img" / "later_2021-11.jpg", "another season", size=(112, 56))
    kept = made("cv-cities", root, tmp_path / "out")
    assert kept["dropped"] == {"duplicate of an earlier pair": 1}
    assert kept["repeats"] == {"places": 1, "pairs": 2, "places_in_different_months": 1}
    same = [row for row in rows(tmp_path / "out") if row["latitude"] == pytest.approx(float(latitude), abs=1e-9)]
    assert len({row["place"] for row in same}) == 1
    assert sorted(row["captured"] for row in same) == ["2019-05", "2021-11"]


def test_an_id_that_comes_twice_is_named(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    table = cv_cities(tmp_path / "in", each=3) / "rio" / "img_info.csv"
    first = table.read_text().splitlines()[0]
    table.write_text(table.read_text() + first + "\n")
    with pytest.raises(DataError, match=r"the id `rio/pano_img/rio_00000\.jpg` comes twice, as pairs 7 and 10"):
        made("cv-cities", tmp_path / "in", tmp_path / "out", shard=4)


def test_a_limit_takes_an_even_share_of_each_city(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    kept = made("cv-cities", cv_cities(tmp_path / "in"), tmp_path / "out", limit=10)
    assert {city: sum(count.values()) for city, count in kept["cities"].items()} == {
        "Barcelona": 3, "Cape Town": 3, "Rio de Janeiro": 2, "Taipei": 2
    }  # fmt: skip


def test_images_over_the_cap_get_a_smaller_copy_once_and_the_others_are_only_named(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    out = tmp_path / "out"
    made("cv-cities", cv_cities(tmp_path / "in", each=3), out, max_pixels=56 * 56)
    for row in rows(out):
        assert (out / row["ground_copy"]).is_file()
        assert row["ground_width"] * row["ground_height"] <= 56 * 56
        assert row["overhead_copy"] == ""
    assert len(list((out / "images").iterdir())) == 12


def test_any_number_of_shards_gives_the_same_records(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    root = cv_cities(tmp_path / "in")
    made("cv-cities", root, tmp_path / "one")
    made("cv-cities", root, tmp_path / "many", shard=7)
    assert len(list((tmp_path / "many" / "records").iterdir())) == 6
    assert rows(tmp_path / "one") == rows(tmp_path / "many")


def test_another_data_set_or_setting_never_goes_into_the_same_folder(
    tmp_path: Path, cv_cities: Cities, made: Made
) -> None:
    root, out = cv_cities(tmp_path / "in", each=3), tmp_path / "out"
    first = made("cv-cities", root, out)
    assert made("cv-cities", root, out) == first
    with pytest.raises(RunError, match="another data set, table or settings"):
        made("cv-cities", root, out, max_pixels=4000)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(RunError, match="is not empty"):
        made("cv-cities", root, tmp_path / "full")


def test_a_shard_changed_since_is_noticed(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    root, out = cv_cities(tmp_path / "in", each=3), tmp_path / "out"
    made("cv-cities", root, out)
    (out / "records" / "00000.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="torn or was changed"):
        made("cv-cities", root, out)


KILLED = """
import os, signal, sys
from pathlib import Path
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.run import prepare

lines = []


def say(line):
    lines.append(line)
    if sum("of 40 pairs" in line for line in lines) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)


prepare("cv-cities", Path(sys.argv[1]), Path(sys.argv[2]), 0, Options(shard=7, max_pixels=2000), say)
"""


@pytest.mark.parametrize("parts", [1, 4, 6])
def test_after_a_kill_the_same_command_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, cv_cities: Cities, parts: int
) -> None:
    root, out, fresh = cv_cities(tmp_path / "in"), tmp_path / "out", tmp_path / "fresh"
    options = Options(shard=7, max_pixels=2000)
    prepare("cv-cities", root, fresh, 0, options, lambda line: None)
    child = subprocess.run([sys.executable, "-c", KILLED, str(root), str(out), str(parts)])
    assert child.returncode == -signal.SIGKILL
    done = {path.name: path.stat().st_ino for path in (out / "parts").glob("*.parquet")}
    assert len(done) == parts
    assert state(out) == "partial"
    (out / "parts" / ".00005.parquet.tmp").write_bytes(b"PAR1 torn")
    prepare("cv-cities", root, out, 0, options, lambda line: None)
    assert contents(out) == contents(fresh)


def test_a_part_torn_by_a_power_cut_is_made_again(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    root, out = cv_cities(tmp_path / "in"), tmp_path / "out"
    torn = sorted((root / "taipei" / "pano_img").iterdir())[-1]
    data = torn.read_bytes()
    torn.write_bytes(data[:-50])
    with pytest.raises(DataError):
        made("cv-cities", root, out, shard=5)
    (out / "parts" / "00002.parquet").write_bytes(b"PAR1 and nothing more")
    torn.write_bytes(data)
    assert made("cv-cities", root, out, shard=5)["records"] == {"train": 20, "test": 20}


def test_finished_parts_are_not_read_again(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    root, out = cv_cities(tmp_path / "in"), tmp_path / "out"
    torn = sorted((root / "taipei" / "pano_img").iterdir())[-1]
    data = torn.read_bytes()
    torn.write_bytes(data[:-50])
    with pytest.raises(DataError):
        made("cv-cities", root, out, shard=5)
    before = {path.name: path.stat().st_mtime_ns for path in sorted(out.glob("parts/*.parquet"))}
    with pytest.raises(DataError):
        made("cv-cities", root, out, shard=5)
    after = {path.name: path.stat().st_mtime_ns for path in sorted(out.glob("parts/*.parquet"))}
    assert [name for name in before if before[name] != after[name]] == ["00007.parquet"]
