"""Data sets in miniature, in the layouts they are published in; every picture is another one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.run import prepare

CENTRES = {"barcelona": (41.39, 2.17), "captown": (-33.93, 18.42), "taipei": (25.03, 121.56), "rio": (-22.91, -43.17)}


def draw(path: Path, *key: object, size: tuple[int, int] = (56, 56)) -> Path:
    """Blobs of colour drawn from the key alone, so that no two keys look alike; JPEG, or PNG by the suffix."""
    rng = np.random.default_rng([ord(char) for char in "/".join(map(str, key or (path.name,)))])
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def write(path: Path, *rows: str) -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    return path


def cities(root: Path, each: int = 10, names: Sequence[str] = tuple(CENTRES), months: Sequence[str] = ()) -> Path:
    """`each` pairs a city about 100 m apart, in the columns of CV-Cities: longitude before latitude."""
    for city in names:
        latitude, longitude = CENTRES[city]
        rng = np.random.default_rng(len(city))
        rows = []
        for number in range(each):
            east, north = np.array(divmod(number, 8)) * 100.0 + rng.uniform(0, 20, 2)
            lat, lon = latitude + north / 111_195, longitude + east / (111_195 * np.cos(np.radians(latitude)))
            name = f"{city}_{number:05d}" + (f"_{months[number % len(months)]}" if months else "")
            sat, pano = f"{city}/sat_img/{name}.jpg", f"{city}/pano_img/{name}.jpg"
            rows.append(f"{name},{lon:.7f},{lat:.7f},{city},{sat},{pano}")
            draw(root / sat, city, "sat", number)
            draw(root / pano, city, "pano", number, size=(112, 56))
        write(root / city / "img_info.csv", *rows)
    return root


@pytest.fixture
def picture() -> Callable[..., Path]:
    return draw


@pytest.fixture
def lines() -> Callable[..., Path]:
    return write


@pytest.fixture(scope="session")
def cv_cities() -> Callable[..., Path]:
    return cities


@pytest.fixture
def made() -> Callable[..., dict[str, Any]]:
    """Prepare, with the settings as keywords."""

    def run(source: str, root: Path, out: Path, limit: int = 0, **settings: Any) -> dict[str, Any]:
        return prepare(source, root, out, limit, Options(**settings), lambda line: None)

    return run
