"""The real elevation model and its geometry: elevations, horizons, slopes, blocks. Pictures are left to `views`.

Source: `jacksboro_fault_dem.npz`, shipped inside Matplotlib (USGS, 3 arc-seconds, about 30 x 32 km around the Jacksboro
fault, Tennessee, 236 to 1076 m). Row 0 lies in the north: the file's `ymin` is the larger latitude.
Positions are metres east (`x`) and north (`y`) of the south-west corner.
"""

import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib.cbook
import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.errors import DataError

Array = NDArray[np.floating]

METRES_PER_DEGREE = 111_195.0  # sphere of 6371 km
SECTORS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
AZIMUTHS = 64  # directions of a horizon, eight to a sector
EYE_M = 2.0  # height of the eye above the ground
HALF_WIDTH_M = 1000.0  # an overhead chip shows 2 x 2 km; the haze hides everything beyond this distance from the eye
RANGES_M = np.arange(60.0, HALF_WIDTH_M + 1.0, 40.0)  # where a line of sight is sampled
BLOCK_M = 5000.0  # side of the checkerboard's blocks
EXPECTED = "expected an .npz: `elevation` (metres, row 0 in the north), `dx`, `dy`, `xmin`, `ymin`, `ymax` (degrees)"


@dataclass(frozen=True)
class Terrain:
    """Elevations in metres, row 0 in the south, the cells' sides in metres and the south-west corner in degrees."""

    elevation: Array
    cell_x: float
    cell_y: float
    west: float
    south: float

    @property
    def width(self) -> float:
        """Metres from the western to the eastern edge."""
        return float(self.elevation.shape[1] - 1) * self.cell_x

    @property
    def height(self) -> float:
        """Metres from the southern to the northern edge."""
        return float(self.elevation.shape[0] - 1) * self.cell_y

    def degrees(self, x: float, y: float) -> tuple[float, float]:
        """Longitude and latitude of a position."""
        latitude = self.south + y / METRES_PER_DEGREE
        middle = math.radians(self.south + self.height / 2 / METRES_PER_DEGREE)
        return self.west + x / (METRES_PER_DEGREE * math.cos(middle)), latitude


@dataclass(frozen=True)
class Pose:
    """Where an observer stands and which way is "forward": `turn` in radians clockwise from north, optionally mirrored.

    Proxy tasks use only `turn=0, mirror=False`; rotating and mirroring both views together is an exact symmetry of the
    geometry and serves as augmentation.
    """

    x: float
    y: float
    turn: float = 0.0
    mirror: bool = False

    def to_world(self, right: Array, forward: Array) -> tuple[Array, Array]:
        """World positions of points given in the observer's frame, in metres."""
        right = -right if self.mirror else right
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        return self.x + right * cos + forward * sin, self.y - right * sin + forward * cos


def load_terrain(path: str = "") -> Terrain:
    """Read an elevation model in the format of the one inside Matplotlib, which an empty path stands for."""
    path = path or str(matplotlib.cbook.get_sample_data("jacksboro_fault_dem.npz", asfileobj=False))
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as data:
            elevation = data["elevation"].astype(np.float32)
            step_x, step_y, west = (float(data[name]) for name in ("dx", "dy", "xmin"))
            south = min(float(data["ymin"]), float(data["ymax"]))
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"elevation model `{path}` cannot be read ({error!r}); {EXPECTED}") from error
    if elevation.ndim != 2 or min(elevation.shape) < 2 or not np.isfinite(elevation).all():
        raise DataError(f"elevation model `{path}`: shape {elevation.shape} or values that are not finite; {EXPECTED}")
    north, east = south + step_y * elevation.shape[0], west + step_x * elevation.shape[1]
    if not (-90 <= south < north <= 90 and -180 <= west < east <= 180):
        raise DataError(
            f"elevation model `{path}` spans latitudes {south:g} to {north:g} and longitudes {west:g} to {east:g}; "
            f"expected -90 to 90 and -180 to 180, in that order; {EXPECTED}"
        )
    middle = math.radians(south + step_y * elevation.shape[0] / 2)
    cell_x = step_x * METRES_PER_DEGREE * math.cos(middle)
    return Terrain(np.ascontiguousarray(elevation[::-1]), cell_x, step_y * METRES_PER_DEGREE, west, south)


def elevation_at(terrain: Terrain, x: Array, y: Array) -> Array:
    """Bilinear elevation in metres at positions of any shape; positions outside the grid take the edge's value."""
    rows, columns = terrain.elevation.shape
    column = np.clip(np.asarray(x) / terrain.cell_x, 0, columns - 1.001)
    row = np.clip(np.asarray(y) / terrain.cell_y, 0, rows - 1.001)
    left, low = column.astype(np.int64), row.astype(np.int64)
    right_share, high_share = (column - left).astype(np.float32), (row - low).astype(np.float32)
    flat, index = terrain.elevation.ravel(), low * columns + left
    south = flat[index] * (1 - right_share) + flat[index + 1] * right_share
    north = flat[index + columns] * (1 - right_share) + flat[index + columns + 1] * right_share
    metres: Array = south * (1 - high_share) + north * high_share
    return metres


def azimuths() -> Array:
    """The `AZIMUTHS` directions in radians clockwise from forward, starting at the left edge of sector N."""
    return (np.arange(AZIMUTHS) + 0.5) * (2 * math.pi / AZIMUTHS) - math.pi / len(SECTORS)


def horizon_degrees(terrain: Terrain, pose: Pose) -> Array:
    """The angle of the visible horizon above the horizontal in each of the `AZIMUTHS` directions, in degrees.

    The haze hides what lies beyond `HALF_WIDTH_M`, so the horizon is decided by ground that the chip shows too.
    """
    angle = azimuths()[:, None]
    x, y = pose.to_world(np.sin(angle) * RANGES_M, np.cos(angle) * RANGES_M)
    here = elevation_at(terrain, np.asarray(pose.x), np.asarray(pose.y)) + EYE_M
    degrees: Array = np.degrees(np.arctan((elevation_at(terrain, x, y) - here) / RANGES_M).max(axis=1))
    return degrees


def sector_means(horizon: Array) -> Array:
    """Mean horizon angle of each of the eight sectors, in degrees."""
    means: Array = horizon.reshape(len(SECTORS), -1).mean(axis=1)
    return means


def chip_elevation(terrain: Terrain, pose: Pose, pixels: int, half_width: float = HALF_WIDTH_M) -> Array:
    """Elevations at the pixel centres of an overhead chip in metres, row 0 forward, column 0 left."""
    axis = ((np.arange(pixels) + 0.5) / pixels * 2 - 1) * half_width
    return elevation_at(terrain, *pose.to_world(axis[None, :], -axis[:, None]))


def mean_slope_degrees(terrain: Terrain, pose: Pose, pixels: int = 21) -> float:
    """Mean steepness of the ground inside the overhead chip, in degrees."""
    ground = chip_elevation(terrain, pose, pixels)
    down, right = np.gradient(ground, 2 * HALF_WIDTH_M / pixels)
    return float(np.degrees(np.arctan(np.hypot(down, right))).mean())


def block_of(x: float, y: float, block: float = BLOCK_M) -> tuple[int, int]:
    """Column and row of the block that holds a position."""
    return int(x // block), int(y // block)


def is_held_out(x: float, y: float, block: float = BLOCK_M) -> bool:
    """Whether the position lies in a held-out block: the black squares of a checkerboard."""
    return sum(block_of(x, y, block)) % 2 == 1


def fits_block(terrain: Terrain, pose: Pose, block: float = BLOCK_M) -> bool:
    """Whether the whole chip (turned as the pose says) stays inside its own block and inside the elevation model.

    A chip that fits shows no ground of any other block, so training and held-out chips never overlap.
    """
    reach = HALF_WIDTH_M * (abs(math.cos(pose.turn)) + abs(math.sin(pose.turn))) - 1e-6
    column, row = block_of(pose.x, pose.y, block)
    west, south = column * block, row * block
    east, north = min(west + block, terrain.width), min(south + block, terrain.height)
    return west + reach <= pose.x <= east - reach and south + reach <= pose.y <= north - reach
