"""Prepares a made-up CV-Cities of the real number of pairs: minutes, flat memory; and headers against full decoding.

Usage: python benchmarks/prepare.py RESULT.json [PAIRS]. The images are tiny and all different (a JPEG with a number as
its comment), so the disk's share is that of many small files; the decoding ratio is measured on the real sizes.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from indirect_rlvr.run import write_json
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES
from indirect_rlvr_geo.prepare.images import look

PAIRS = 223_736
PUBLISHED_SIZES = (1024, 512), (746, 746)
PHOTOS = 60
REPEATS = 5
SMALLER = 8
"""The same data set with a limit of so much less, for the ratios."""


def main(result: Path, pairs: int) -> None:
    """Measure both and write them."""
    with tempfile.TemporaryDirectory() as folder:
        listed = lay_out(Path(folder) / "in", pairs)
        scale = [measure(Path(folder), limit) for limit in (listed // SMALLER, listed)]
    small, large = scale
    cost = [each["seconds"] / each["pairs"] for each in scale]
    found = {
        "scale": scale,
        "memory_ratio": round(large["peak_mib"] / small["peak_mib"], 2),
        "cost_of_a_pair_ratio": round(cost[1] / cost[0], 2),
        **headers(),
    }
    write_json(result, found)
    print(json.dumps(found, indent=2))


def measure(folder: Path, limit: int) -> dict[str, float]:
    """Pairs, seconds and peak memory in MiB of one preparation, in a process of its own."""
    command = [sys.executable, __file__, "--prepare", str(folder / "in"), str(folder / f"out-{limit}"), str(limit)]
    found: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def prepare(root: Path, out: Path, limit: int) -> None:
    """What the process of its own does."""
    from indirect_rlvr_geo.prepare import run
    from indirect_rlvr_geo.prepare.options import Options

    start = time.perf_counter()
    made = run.prepare("cv-cities", root, out, limit, Options(), lambda line: None)
    seconds = time.perf_counter() - start
    assert sum(made["records"].values()) == made["listed"], made["dropped"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"pairs": made["listed"], "seconds": round(seconds, 1), "peak_mib": round(peak)}))


def lay_out(root: Path, pairs: int) -> int:
    """Sixteen cities with an equal share of the pairs on a grid of 40 m."""
    tile, panorama = (tiny(size) for size in ((56, 56), (112, 56)))
    each = pairs // len(CITIES)
    for city, known in CITIES.items():
        for kind in ("sat_img", "pano_img"):
            (root / city / kind).mkdir(parents=True)
        rows = []
        for number in range(each):
            north, east = divmod(number, 120)
            latitude = known.latitude_deg + (north - 60) * 40 / 111_195
            longitude = known.longitude_deg + (east - 60) * 40 / 111_195
            paths = [f"{city}/{kind}/{number:06d}.jpg" for kind in ("sat_img", "pano_img")]
            rows.append(f"{number:06d},{longitude:.7f},{latitude:.7f},{city},{paths[0]},{paths[1]}\n")
            for path, data in zip(paths, (tile, panorama), strict=True):
                (root / path).write_bytes(commented(data, path))
        (root / city / "img_info.csv").write_text("".join(rows))
    return each * len(CITIES)


def tiny(size: tuple[int, int]) -> bytes:
    """A JPEG of noise."""
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        noise(size, 0).save(file.name)
        return Path(file.name).read_bytes()


def commented(jpeg: bytes, text: str) -> bytes:
    """The same picture with a comment segment after its first marker."""
    data = text.encode()
    return jpeg[:2] + b"\xff\xfe" + (len(data) + 2).to_bytes(2, "big") + data + jpeg[2:]


def noise(size: tuple[int, int], key: int) -> Image.Image:
    """Blobs, about as compressible as a photo."""
    coarse = np.random.default_rng(key).integers(0, 256, (size[1] // 6, size[0] // 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def headers() -> dict[str, float]:
    """Looking at an image's header against decoding it, side by side, on images of the published sizes."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.jpg" for n in range(PHOTOS)]
        for n, path in enumerate(paths):
            noise(PUBLISHED_SIZES[n % 2], n).save(path, quality=90)
        ratios = [decode(paths) / check(paths) for _ in range(REPEATS)]
    return {"decoding_over_header": round(float(np.median(ratios)), 1)}


def decode(paths: list[Path]) -> float:
    """Seconds to decode all."""
    start = time.perf_counter()
    for path in paths:
        with Image.open(path) as image:
            image.convert("RGB")
    return time.perf_counter() - start


def check(paths: list[Path]) -> float:
    """Seconds to look at all headers."""
    start = time.perf_counter()
    assert not any(look(path).reason for path in paths)
    return time.perf_counter() - start


if __name__ == "__main__":
    if sys.argv[1] == "--prepare":
        prepare(Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else PAIRS)
