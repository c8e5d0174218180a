"""Real places on the real elevation model: where they are, what is true of them, and their two views."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Record, Scalar, Split, View
from indirect_rlvr_geo.settings import Settings
from indirect_rlvr_geo.terrain import (
    HALF_WIDTH_M,
    SECTORS,
    Pose,
    Terrain,
    block_of,
    elevation_at,
    fits_block,
    horizon_degrees,
    is_held_out,
    load_terrain,
    mean_slope_degrees,
    sector_means,
)
from indirect_rlvr_geo.views import ground_view, overhead_view


def load(settings: Settings, folder: Path, seed: int) -> Iterator[Record]:
    """Yield every place with its views written as PNG files into `folder/views`.

    `facts`: longitude and latitude in degrees, elevation_m, mean_slope_deg, the position x_m and y_m in metres from the
    model's south-west corner, and the mean horizon angle of each sector in degrees (`horizon_N` … `horizon_NW`).
    """
    terrain = load_terrain(settings.elevation_file)
    (folder / "views").mkdir(parents=True, exist_ok=True)
    for pose in place_poses(terrain, settings.spacing_m, seed):
        yield place_record(terrain, pose, folder, seed)


def place_poses(terrain: Terrain, spacing: float, seed: int) -> Iterator[Pose]:
    """Places at least `spacing` metres apart whose overhead chips stay inside their block.

    One candidate position in each cell of a grid of side `spacing`, drawn by a keyed hash; a candidate too close to an
    accepted one is left out.
    """
    accepted: dict[tuple[int, int], Pose] = {}
    for row in range(int(terrain.height // spacing) + 1):
        for column in range(int(terrain.width // spacing) + 1):
            rng = keyed_rng(seed, "place", column, row)
            pose = Pose((column + rng.random()) * spacing, (row + rng.random()) * spacing)
            near = (accepted.get((column + i, row + j)) for i in (-1, 0, 1) for j in (-1, 0))
            clear = all(p is None or (p.x - pose.x) ** 2 + (p.y - pose.y) ** 2 >= spacing**2 for p in near)
            if clear and fits_block(terrain, pose):
                accepted[column, row] = pose
                yield pose


def place_record(terrain: Terrain, pose: Pose, folder: Path, seed: int) -> Record:
    """The record of one place; its id is its position in metres."""
    name = f"x{pose.x:08.1f}-y{pose.y:08.1f}"
    column, row = block_of(pose.x, pose.y)
    longitude, latitude = terrain.degrees(pose.x, pose.y)
    facts: dict[str, Scalar] = {
        "longitude": round(longitude, 6),
        "latitude": round(latitude, 6),
        "x_m": round(pose.x, 1),
        "y_m": round(pose.y, 1),
        "elevation_m": round(float(elevation_at(terrain, np.asarray(pose.x), np.asarray(pose.y))), 1),
        "mean_slope_deg": round(mean_slope_degrees(terrain, pose), 3),
        "chip_half_width_m": HALF_WIDTH_M,
    }
    means = sector_means(horizon_degrees(terrain, pose))
    facts |= {f"horizon_{sector}": round(float(angle), 3) for sector, angle in zip(SECTORS, means, strict=True)}
    views = {}
    for kind, draw in (("ground", ground_view), ("overhead", overhead_view)):
        rng = np.random.default_rng(keyed_rng(seed, kind, name).getrandbits(64))
        path = f"views/{name}-{kind}.png"
        draw(terrain, pose, rng).save(folder / path)
        views[kind] = View(kind, "image", path)
    split: Split = "test" if is_held_out(pose.x, pose.y) else "train"
    return Record(name, f"block-{column:02d}-{row:02d}", views, facts, split)
