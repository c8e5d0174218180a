"""Places of the geo pack: true coordinates, splits that share no ground, facts that agree with the elevation model."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.records import load, place_poses, place_record
from indirect_rlvr_geo.settings import Settings
from indirect_rlvr_geo.terrain import HALF_WIDTH_M, Pose, elevation_at, horizon_degrees, load_terrain, sector_means

SPARSE = Settings(spacing_m=1500.0)


def test_a_missing_elevation_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.npz"):
        next(iter(load(Settings(elevation_file=str(tmp_path / "nowhere.npz")), tmp_path, 0)))


def test_a_truncated_elevation_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(DataError, match="cut.npz"):
        next(iter(load(Settings(elevation_file=str(tmp_path / "cut.npz")), tmp_path, 0)))


def test_an_elevation_file_with_a_hole_is_refused(tmp_path: Path) -> None:
    holed = np.full((344, 403), 300.0)
    holed[5, 5] = np.nan
    corners = {"xmin": -84.4, "xmax": -84.0, "ymin": 36.7, "ymax": 36.4, "dx": 1 / 1200, "dy": 1 / 1200}
    np.savez(tmp_path / "holed.npz", elevation=holed, **corners)
    with pytest.raises(DataError, match="holed.npz"):
        next(iter(load(Settings(elevation_file=str(tmp_path / "holed.npz")), tmp_path, 0)))


@pytest.mark.parametrize(
    ("corners", "named"),
    [
        ({"xmin": -84.4, "ymin": 91.0, "ymax": 91.3}, "latitudes 91"),
        ({"xmin": 400.0, "ymin": 36.7, "ymax": 36.4}, "longitudes 400"),
    ],
)
def test_an_elevation_file_that_lies_nowhere_on_earth_is_refused(
    tmp_path: Path, corners: dict[str, float], named: str
) -> None:
    np.savez(tmp_path / "off.npz", elevation=np.full((344, 403), 300.0), dx=1 / 1200, dy=1 / 1200, xmax=0.0, **corners)
    with pytest.raises(DataError, match=named):
        next(iter(load(Settings(elevation_file=str(tmp_path / "off.npz")), tmp_path, 0)))


def test_longitude_and_latitude_are_degrees_in_that_order_around_the_jacksboro_fault(tmp_path: Path) -> None:
    for record in load(SPARSE, tmp_path, 0):
        assert -84.5 < float(record.facts["longitude"]) < -83.9
        assert 36.3 < float(record.facts["latitude"]) < 36.8


def test_a_degree_of_longitude_is_shorter_than_a_degree_of_latitude() -> None:
    terrain = load_terrain()
    west, south = terrain.degrees(0.0, 0.0)
    east, north = terrain.degrees(10_000.0, 10_000.0)
    metres = math.radians(north - south) * 6_371_000
    assert metres == pytest.approx(10_000, rel=1e-3)
    assert (east - west) / (north - south) == pytest.approx(1 / math.cos(math.radians(36.5)), rel=0.01)


def test_north_is_up_in_the_elevation_model() -> None:
    """The file's first row is its northern edge: the Cumberland ridge (over 900 m) is found where its pixel says."""
    terrain = load_terrain()
    row, column = np.unravel_index(np.argmax(terrain.elevation), terrain.elevation.shape)
    x, y = column * terrain.cell_x, row * terrain.cell_y
    assert float(elevation_at(terrain, np.asarray(x), np.asarray(y))) == pytest.approx(float(terrain.elevation.max()))
    import matplotlib.cbook

    with np.load(matplotlib.cbook.get_sample_data("jacksboro_fault_dem.npz", asfileobj=False)) as raw:
        top = raw["ymin"] if raw["ymin"] > raw["ymax"] else raw["ymax"]
        from_file = float(top) - float(raw["dy"]) * int(np.argmax(raw["elevation"].max(axis=1)))
    assert terrain.degrees(x, y)[1] == pytest.approx(from_file, abs=0.002)


def test_a_ridge_to_the_east_raises_the_eastern_horizon_only() -> None:
    from indirect_rlvr_geo.terrain import Terrain

    ground = np.zeros((60, 60), dtype=np.float32)
    ground[:, 36:] = 200.0
    terrain = Terrain(ground, 90.0, 90.0, 0.0, 0.0)
    means = dict(
        zip(
            ("N", "NE", "E", "SE", "S", "SW", "W", "NW"),
            sector_means(horizon_degrees(terrain, Pose(30 * 90.0, 30 * 90.0))),
            strict=True,
        )
    )
    assert means["E"] > 15
    assert means["W"] < 1
    assert means["E"] == max(means.values())


def test_training_and_held_out_chips_share_no_ground(tmp_path: Path) -> None:
    records = list(load(Settings(spacing_m=400.0), tmp_path, 0))
    sides = {
        split: np.array([[r.facts["x_m"], r.facts["y_m"]] for r in records if r.split == split], dtype=float)
        for split in ("train", "test")
    }
    gaps = np.abs(sides["train"][:, None] - sides["test"][None]).max(axis=2)
    assert gaps.min() >= 2 * HALF_WIDTH_M - 0.2


def test_a_block_is_on_one_side_only(tmp_path: Path) -> None:
    sides: dict[str, set[str]] = {}
    for record in load(SPARSE, tmp_path, 0):
        sides.setdefault(record.cluster, set()).add(record.split)
    assert all(len(found) == 1 for found in sides.values())
    assert {side for found in sides.values() for side in found} == {"train", "test"}


def test_places_keep_their_spacing() -> None:
    points = np.array([(p.x, p.y) for p in place_poses(load_terrain(), 300.0, 0)])
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    assert distances.min() >= 300.0


def test_the_same_seed_gives_the_same_pixels_and_another_seed_gives_others(tmp_path: Path) -> None:
    terrain, pose = load_terrain(), Pose(12_000.0, 12_000.0)
    pictures = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name / "views").mkdir(parents=True)
        record = place_record(terrain, pose, tmp_path / name, seed)
        pictures.append((tmp_path / name / record.views["ground"].content).read_bytes())
    assert pictures[0] == pictures[1] != pictures[2]


def test_views_are_real_images_of_whole_tokens(tmp_path: Path) -> None:
    (tmp_path / "views").mkdir()
    record = place_record(load_terrain(), Pose(12_000.0, 12_000.0), tmp_path, 0)
    for view in record.views.values():
        with Image.open(tmp_path / view.content) as image:
            assert image.mode == "RGB"
            assert image.width % 28 == image.height % 28 == 0
