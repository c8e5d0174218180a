"""What preparation and a run do to each image of their records, against decoding it once.

    python benchmarks/image_costs.py benchmarks/results/image_costs.json --photos FOLDER

Any 20 photos will do; they are scaled to the sizes of CV-Cities first (1024 × 512 and 746 × 746, JPEG of quality 95).
Processor time of one thread, the best of five rounds; the ratios are what counts. Under a minute.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from indirect_rlvr.data import records as store
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.run import write_json
from indirect_rlvr.types import Record, View
from indirect_rlvr_geo.prepare import images

SIZES = {"panorama": (1024, 512), "satellite": (746, 746)}
IMAGES, ROUNDS = 20, 5
OF_CV_CITIES = 223_736


def scaled(photos: Path, folder: Path, size: tuple[int, int]) -> list[str]:
    """The first photos at that size; returns their names in `folder`."""
    chosen = sorted(photos.iterdir())[:IMAGES]
    for number, path in enumerate(chosen):
        with Image.open(path) as photo:
            photo.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(folder / f"{number}.jpg", quality=95)
    return [f"{number}.jpg" for number in range(len(chosen))]


def milliseconds(work: Callable[[str], object], names: list[str]) -> float:
    """Processor time of one image."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for name in names:
            work(name)
        rounds.append(time.process_time() - began)
    return 1000 * min(rounds) / len(names)


def measure(folder: Path, names: list[str]) -> dict[str, Any]:
    """Each step for itself, and how many times the decoding it takes."""

    def record(name: str) -> list[Record]:
        return [Record(name, "c", {"ground": View("ground", "image", name)}, {})]

    def decode(name: str) -> None:
        with Image.open(folder / name) as image:
            image.load()

    spent = {
        "decode": milliseconds(decode, names),
        "header, in the preparation": milliseconds(lambda name: images.look(folder / name), names),
        "whole file, with decode=true": milliseconds(lambda name: images.damage(folder / name), names),
        "check, in the stage records": milliseconds(lambda name: store.load(record(name), folder), names),
        "measurements, in records and in tasks": milliseconds(
            lambda name: Looks(folder).of(View("ground", "image", name)), names
        ),
    }
    return {"ms": spent, "times_decoding": {name: value / spent["decode"] for name, value in spent.items()}}


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    asked = parser.parse_args()
    found = {}
    for name, size in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            found[name] = measure(Path(folder), scaled(asked.photos, Path(folder), size))
    spent = [each["ms"] for each in found.values()]
    run = sum(ms["check, in the stage records"] + 2 * ms["measurements, in records and in tasks"] for ms in spent)
    hours = {"hours_of_all_cv_cities_on_one_thread": run * OF_CV_CITIES / 3_600_000}
    write_json(
        asked.result,
        {
            "command": "python benchmarks/image_costs.py benchmarks/results/image_costs.json --photos FOLDER",
            "images": IMAGES,
            **found,
            **hours,
        },
    )
    print(json.dumps({**found, **hours}, indent=2))


if __name__ == "__main__":
    main()
