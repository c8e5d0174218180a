"""CVUSA, CVACT, VIGOR and University-1652 in the layouts they come in, as records that no set can misuse."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

from indirect_rlvr.data import mining, negatives
from indirect_rlvr.data.columns import Columns, Job
from indirect_rlvr.errors import DataError
from indirect_rlvr_geo import prepared
from indirect_rlvr_geo.prepare import utm
from indirect_rlvr_geo.settings import Photos, Settings

Made = Callable[..., dict[str, Any]]
Call = Callable[..., Path]


def rows(out: Path) -> list[dict[str, Any]]:
    return pa.concat_tables([pq.read_table(path) for path in sorted((out / "records").glob("*.parquet"))]).to_pylist()


@pytest.mark.parametrize(
    ("east", "north", "latitude", "longitude"),
    [
        (693_000.0, 6_090_000.0, -35.3146049, 149.1230261),
        (685_000.0, 6_100_000.0, -35.2260043, 149.0328221),
        (500_000.0, 6_000_000.0, -36.1447181, 147.0),
        (280_000.0, 6_130_000.0, -34.9486587, 144.5908348),
    ],
)
def test_metres_of_zone_55_are_the_degrees_that_proj_gives(
    east: float, north: float, latitude: float, longitude: float
) -> None:
    assert utm.degrees(east, north, 55, south=True) == pytest.approx((latitude, longitude), abs=1e-7)


def test_the_northern_half_counts_from_the_equator() -> None:
    assert utm.degrees(500_000.0, 0.0, 31, south=False) == pytest.approx((0.0, 3.0))


def cvusa(root: Path, picture: Call, lines: Call) -> Path:
    for name, start in (("train", 0), ("val", 100)):
        numbers = range(start, start + 5)
        pairs = [f"bingmap/19/{n:07d}.jpg,streetview/panos/{n:07d}.jpg,annotations/{n}.png" for n in numbers]
        lines(root / "splits" / f"{name}-19zl.csv", *pairs)
        for n in numbers:
            picture(root / f"bingmap/19/{n:07d}.jpg", "a", n)
            picture(root / f"streetview/panos/{n:07d}.jpg", "g", n, size=(112, 28))
    return root


def test_cvusa_keeps_the_authors_files_and_has_no_positions(
    tmp_path: Path, made: Made, picture: Call, lines: Call
) -> None:
    kept = made("cvusa", cvusa(tmp_path / "in", picture, lines), tmp_path / "out")
    assert (kept["records"], kept["positions"]) == ({"train": 5, "test": 5}, False)
    assert "no coordinates" in kept["notes"][0]
    sides = {row["ground"]: row["split"] for row in rows(tmp_path / "out")}
    assert sides["streetview/panos/0000004.jpg"] == "train"
    assert sides["streetview/panos/0000100.jpg"] == "test"
    near = prepared.neighbourhood(Settings(prepared=str(tmp_path / "out")))
    assert (near.position, near.cells, near.match_keys) == (None, (), ("place",))


def test_a_split_file_of_cvusa_that_is_missing_is_named(tmp_path: Path, made: Made, picture: Call, lines: Call) -> None:
    (cvusa(tmp_path / "in", picture, lines) / "splits" / "train-19zl.csv").unlink()
    with pytest.raises(DataError, match="train-19zl.csv"):
        made("cvusa", tmp_path / "in", tmp_path / "out")


def cvact(root: Path, picture: Call) -> Path:
    east, north = np.meshgrid(690_000 + 700.0 * np.arange(8), 6_090_000 + 700.0 * np.arange(8))
    names = [f"pano{n:02d}" for n in range(64)]
    indices = np.arange(1, 65)
    sets = {"trainSet": indices[indices % 3 > 0], "valSet": indices[indices % 3 == 0]}
    fields = {name: {f"{name[:-3]}Num": len(own), f"{name[:-3]}Ind": own.reshape(-1, 1)} for name, own in sets.items()}
    metres = np.column_stack([east.ravel(), north.ravel()])
    root.mkdir(parents=True)
    savemat(root / "ACT_data.mat", {"panoIds": np.array(names, dtype=object).reshape(-1, 1), "utm": metres, **fields})
    for name in names:
        picture(root / f"ANU_data_small/streetview/{name}_grdView.jpg", name, size=(112, 56))
        picture(root / f"ANU_data_small/satview_polish/{name}_satView_polish.jpg", name, "sat")
    return root


def test_cvact_holds_out_whole_blocks_of_one_city_and_only_validation_pairs(
    tmp_path: Path, made: Made, picture: Call
) -> None:
    kept = made("cvact", cvact(tmp_path / "in", picture), tmp_path / "out", test_share=0.4)
    sides: dict[str, set[str]] = {}
    for row in rows(tmp_path / "out"):
        sides.setdefault(row["cluster"], set()).add(row["split"])
        number = int(row["id"].removeprefix("pano")) + 1
        assert row["split"] == ("test" if number % 3 == 0 else "train")
        assert -35.4 < row["latitude"] < -35.2
        assert 149.0 < row["longitude"] < 149.3
    assert all(len(own) == 1 for own in sides.values())
    assert kept["records"]["train"] > 5
    assert kept["records"]["test"] > 1


def test_a_torn_mat_file_is_refused(tmp_path: Path, made: Made, picture: Call) -> None:
    path = cvact(tmp_path / "in", picture) / "ACT_data.mat"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"ACT_data\.mat"):
        made("cvact", tmp_path / "in", tmp_path / "out")


SEATTLE, CHICAGO = (47.61, -122.33), (41.88, -87.63)
TILE = 35.0
"""Metres between the centres of neighbouring tiles: half a tile, so that four tiles show each place."""


def vigor(
    root: Path, picture: Call, lines: Call, folders: tuple[str, str] = ("{city}/panorama", "{city}/satellite")
) -> Path:
    """Tiles on a grid, two panoramas at each crossing; the nearest tile is the positive, the next three the semis."""
    for city, (latitude, longitude) in {"Seattle": SEATTLE, "Chicago": CHICAGO}.items():
        up, right = 1 / 111_195, 1 / (111_195 * np.cos(np.radians(latitude)))
        centres = [(x * TILE, y * TILE) for x in range(8) for y in range(8)]
        tiles = [f"satellite_{latitude + y * up:.7f}_{longitude + x * right:.7f}.png" for x, y in centres]
        rng, rows = np.random.default_rng(len(city)), []
        for number in range(60):
            x, y = rng.uniform(TILE, 6 * TILE, 2)
            nearest = np.argsort([np.hypot(x - a, y - b) for a, b in centres])[:4]
            name = f"id-{number},{latitude + y * up:.6f},{longitude + x * right:.6f},.jpg"
            rows.append(" ".join([name, *(f"{tiles[tile]} 0.0 0.0" for tile in nearest)]))
            picture(root / folders[0].format(city=city) / name, city, number, size=(112, 56))
        for tile in tiles:
            picture(root / folders[1].format(city=city) / tile, city, tile)
        lines(root / "splits" / city / "pano_label_balanced.txt", *rows)
    return root


def shown_by(row: dict[str, Any]) -> set[str]:
    return {row["overhead"], *row["covers"].split("|")}


@pytest.mark.parametrize("r_min", [0.0, 20.0])
def test_no_semi_positive_of_vigor_is_ever_a_negative_in_a_run(
    tmp_path: Path, made: Made, picture: Call, lines: Call, r_min: float
) -> None:
    made("vigor", vigor(tmp_path / "in", picture, lines), tmp_path / "out")
    settings = Settings(
        prepared=str(tmp_path / "out"), photos=Photos(cells_m=(300.0,), min_separation_m=r_min, buffer_m=0.0)
    )
    (tmp_path / "run").mkdir()
    records = list(prepared.load(settings, tmp_path / "run"))
    by_id = {row["id"]: row for row in rows(tmp_path / "out")}
    near = prepared.neighbourhood(settings)
    sets, _ = negatives.form_sets(records, near, 3, seed=0)
    assert len(sets) > 5
    for one, other in (pair for each in sets for pair in combinations(each.members, 2)):
        assert by_id[other]["overhead"] not in shown_by(by_id[one])
        assert by_id[one]["overhead"] not in shown_by(by_id[other])


def test_without_the_rule_semi_positives_would_be_negatives(
    tmp_path: Path, made: Made, picture: Call, lines: Call
) -> None:
    from dataclasses import replace

    made("vigor", vigor(tmp_path / "in", picture, lines), tmp_path / "out")
    settings = Settings(prepared=str(tmp_path / "out"), photos=Photos(cells_m=(300.0,), min_separation_m=0.0))
    (tmp_path / "run").mkdir()
    records = list(prepared.load(settings, tmp_path / "run"))
    near = replace(prepared.neighbourhood(settings), matches=None)
    sets, _ = negatives.form_sets(records, near, 3, seed=0)
    by_id = {record.id: record for record in records}
    pairs = [pair for each in sets for pair in combinations(each.members, 2)]
    assert any(prepared.shows_the_other(by_id[one], by_id[other]) for one, other in pairs)


def test_the_default_separation_keeps_semi_positives_out_of_what_is_mined(
    tmp_path: Path, made: Made, picture: Call, lines: Call
) -> None:
    made("vigor", vigor(tmp_path / "in", picture, lines), tmp_path / "out")
    columns = Columns(position=("longitude", "latitude"), split="split", match=("place",))
    job = Job(columns, k=2, cells=(800.0,), r_min=Photos().min_separation_m)
    mining.mine_files([tmp_path / "out" / "records" / "00000.parquet"], tmp_path / "sets", job)
    by_id = {row["id"]: row for row in rows(tmp_path / "out")}
    found = mining.read_sets(tmp_path / "sets")["members"].to_pylist()
    assert len(found) > 4
    for one, other in (pair for members in found for pair in combinations(members, 2)):
        assert by_id[other]["overhead"] not in shown_by(by_id[one])


def test_vigor_holds_out_the_cities_of_its_cross_area_split_in_either_layout(
    tmp_path: Path, made: Made, picture: Call, lines: Call
) -> None:
    first = made("vigor", vigor(tmp_path / "a", picture, lines), tmp_path / "out-a")
    folders = ("ground/{city}", "satellite/{city}")
    second = made("vigor", vigor(tmp_path / "b", picture, lines, folders), tmp_path / "out-b")
    assert first["cities"] == second["cities"] == {"Chicago": {"test": 60}, "Seattle": {"train": 60}}
    row = rows(tmp_path / "out-a")[0]
    assert row["latitude"] == pytest.approx(CHICAGO[0], abs=0.01)
    assert len(row["covers"].split("|")) == 3


def test_labels_of_vigor_without_images_are_refused(tmp_path: Path, made: Made, lines: Call) -> None:
    lines(tmp_path / "in" / "splits" / "Chicago" / "pano_label_balanced.txt", "x")
    with pytest.raises(DataError, match="has the labels of Chicago and not its images"):
        made("vigor", tmp_path / "in", tmp_path / "out")


def test_a_panorama_of_vigor_without_a_position_in_its_name_is_named(
    tmp_path: Path, made: Made, picture: Call, lines: Call
) -> None:
    root = vigor(tmp_path / "in", picture, lines)
    lines(root / "splits" / "Chicago" / "pano_label_balanced.txt", "somewhere.jpg " + " ".join(["t.png 0 0"] * 4))
    with pytest.raises(DataError, match=r"'somewhere\.jpg', which has no position"):
        made("vigor", root, tmp_path / "out")


def university(root: Path, picture: Call) -> Path:
    for folder, building in (("train", "0839"), ("train", "0842"), ("test", "0001"), ("test", "0002")):
        street, satellite = ("street", "satellite") if folder == "train" else ("query_street", "gallery_satellite")
        for number in range(2):
            picture(root / folder / street / building / f"{number}.jpg", building, number)
        picture(root / folder / satellite / building / f"{building}.jpg", building, "sat")
    return root


def test_street_images_of_one_building_are_one_place(tmp_path: Path, made: Made, picture: Call) -> None:
    kept = made("university1652", university(tmp_path / "in", picture), tmp_path / "out")
    assert kept["records"] == {"train": 4, "test": 4}
    assert {(row["place"], row["cluster"]) for row in rows(tmp_path / "out")} == {
        (building, building) for building in ("0839", "0842", "0001", "0002")
    }
    assert kept["repeats"]["places"] == 4


def test_a_missing_part_of_university_is_named(tmp_path: Path, made: Made, picture: Call) -> None:
    import shutil

    shutil.rmtree(university(tmp_path / "in", picture) / "test" / "query_street")
    with pytest.raises(DataError, match="query_street` is not there"):
        made("university1652", tmp_path / "in", tmp_path / "out")
