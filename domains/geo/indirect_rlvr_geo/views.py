"""Pictures of a place: the ground panorama and the overhead chip. The relief, which decides, comes from `terrain`.

Everything drawn from `rng` is nuisance and says nothing about the place: exposure, haze, tint, sun, sensor noise.
Both views carry the same compass colours at their border, as a map carries a compass rose.
"""

import math

import numpy as np
from PIL import Image

from indirect_rlvr_geo.terrain import (
    HALF_WIDTH_M,
    Array,
    Pose,
    Terrain,
    azimuths,
    chip_elevation,
    horizon_degrees,
)

PANORAMA_SIZE = (224, 28)  # pixels: one 28-pixel column for each 45-degree sector, N first
PANORAMA_DEGREES = (-12.0, 24.0)  # angles shown at the bottom and the top of the panorama's picture area
CHIP_PIXELS = 84
RIBBON = 3  # pixels of the compass ribbon below a panorama and of the frame around a chip
RELIEF_M = 300.0  # relative elevation that saturates a chip's red channel
ELEVATION_M = (200.0, 1100.0)  # absolute elevation shown as no blue and as full blue


def compass_colour(azimuth: Array) -> Array:
    """The colour of a direction (radians clockwise from forward): a colour wheel, channels last, 0 to 1."""
    return 0.5 + 0.5 * np.cos(azimuth[..., None] - np.array([0.0, 2.0, 4.0]) * math.pi / 3)


def ground_view(terrain: Terrain, pose: Pose, rng: np.random.Generator) -> Image.Image:
    """A full-circle panorama: the silhouette of the horizon under a hazy sky, sector N at the left edge."""
    width, height = PANORAMA_SIZE
    rows, (low, high) = height - RIBBON, PANORAMA_DEGREES
    column_azimuth = (np.arange(width) + 0.5) * (2 * math.pi / width) - math.pi / 8
    horizon = np.interp(column_azimuth, azimuths(), horizon_degrees(terrain, pose), period=2 * math.pi)
    skyline = (high - horizon) / (high - low) * rows  # pixels of sky in each column
    ground_share = np.clip(np.arange(rows)[:, None] + 1 - skyline, 0, 1)[..., None]
    sky = np.linspace(0.55, 0.9, rows)[:, None, None] * rng.uniform([0.7, 0.8, 0.9], [0.9, 1.0, 1.1])
    soil = rng.uniform([0.12, 0.18, 0.08], [0.3, 0.34, 0.2]) + rng.normal(0, 0.03, (rows, width, 1))
    picture = sky * (1 - ground_share) + soil * ground_share
    haze, exposure = rng.uniform(0, 0.25), rng.uniform(0.85, 1.15)
    picture = (picture * (1 - haze) + haze * 0.7) * exposure
    return _finish(np.concatenate([picture, np.broadcast_to(compass_colour(column_azimuth), (RIBBON, width, 3))]), rng)


def overhead_view(terrain: Terrain, pose: Pose, rng: np.random.Generator) -> Image.Image:
    """A relief map centred on the place, forward up: red is height above the place, green shading, blue elevation."""
    ground = chip_elevation(terrain, pose, CHIP_PIXELS)
    centre = ground[CHIP_PIXELS // 2 - 1 : CHIP_PIXELS // 2 + 1, CHIP_PIXELS // 2 - 1 : CHIP_PIXELS // 2 + 1].mean()
    down, right = np.gradient(ground, 2 * HALF_WIDTH_M / CHIP_PIXELS)
    sun = math.radians(315 + rng.uniform(-40, 40))
    light = (1 - right * math.sin(sun) + down * math.cos(sun)) / np.sqrt(2 * (1 + right**2 + down**2))
    low, high = ELEVATION_M
    relief = 0.5 + (ground - centre) / (2 * RELIEF_M)
    picture = np.stack([relief, light * rng.uniform(0.9, 1.1), (ground - low) / (high - low)], axis=-1)
    picture[_frame()] = compass_colour(_pixel_azimuth())[_frame()]
    return _finish(picture, rng)


def _finish(picture: Array, rng: np.random.Generator) -> Image.Image:
    noisy = picture + 0.01 * rng.standard_normal(picture.shape, dtype=np.float32)
    return Image.fromarray((np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8))


def _pixel_azimuth() -> Array:
    axis = np.arange(CHIP_PIXELS) - (CHIP_PIXELS - 1) / 2
    azimuth: Array = np.arctan2(axis[None, :], -axis[:, None])
    return azimuth


def _frame() -> np.ndarray:
    inside = slice(RIBBON, CHIP_PIXELS - RIBBON)
    frame = np.ones((CHIP_PIXELS, CHIP_PIXELS), dtype=bool)
    frame[inside, inside] = False
    return frame
