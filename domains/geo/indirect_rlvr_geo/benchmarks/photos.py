"""Any folder of photos with GPS positions as a benchmark: where were they taken? Nobody trained on your own."""

from collections.abc import Iterator
from pathlib import Path

from indirect_rlvr.types import Benchmark, Example, Prompt, Source
from indirect_rlvr_geo.benchmarks import im2gps
from indirect_rlvr_geo.benchmarks.distances import PROMPT
from indirect_rlvr_geo.benchmarks.exif import photo_position
from indirect_rlvr_geo.benchmarks.files import photo
from indirect_rlvr_geo.benchmarks.truths import PHOTOS, truth_position

NO_POSITION = "no GPS position in the photo"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".tif", ".tiff", ".png", ".webp"})


def benchmarks() -> list[Benchmark]:
    """The photos that lie in the folder."""
    source = Source(
        homepage="your own camera",
        licence="yours",
        size="any number of photos",
        layout="images/<anything>.jpg with GPS positions in their EXIF data; a sub-folder counts as one place",
        files=(PHOTOS,),
    )
    about = "coordinates of photos that carry their GPS position: Acc@km, mean, median, GeoScore"
    return [
        Benchmark("own-photos", about, source, examples, im2gps.parse, im2gps.judge, im2gps.metrics, main="GeoScore")
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One for each photo below `images`, by path; the cluster is its folder. Models see pixels alone, never EXIF."""
    for path in sorted((folder / PHOTOS).rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        name = path.relative_to(folder).as_posix()
        view, missing = photo(folder, name, "photo")
        place = None if missing else photo_position(path)
        flags = () if place else (NO_POSITION,)
        cluster = path.parent.relative_to(folder).as_posix()
        yield Example(name, cluster, Prompt((view, PROMPT)), truth_position(place), missing=missing, flags=flags)
