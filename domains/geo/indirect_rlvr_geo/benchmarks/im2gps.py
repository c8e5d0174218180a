"""Im2GPS, IM2GPS3k and YFCC4k: where on Earth a Flickr photo was taken, answered in coordinates.

Truths are the metadata tables of GeoEstimation (Müller-Budack et al., ECCV 2018), in which the names of the two
coordinate columns are exchanged, or any table with IMG_ID and LAT and LON or latitude and longitude.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.cv_cities import train_city
from indirect_rlvr_geo.benchmarks.distances import (
    PROMPT,
    distance_metrics,
    distance_values,
    read_coordinates,
    required_position,
)
from indirect_rlvr_geo.benchmarks.truths import Photos, cell, degrees, distinct, position, read_rows, truth_position

IDS, LATITUDES, LONGITUDES = ("IMG_ID", "img_id", "id"), ("LAT", "latitude"), ("LON", "longitude")
EXCHANGED = "LAT and LON exchanged in the file, mended"
IMPOSSIBLE = "no usable position in the file"


def benchmarks() -> list[Benchmark]:
    """The three, smallest first."""
    return [
        _benchmark("im2gps", "im2gps_places365.csv", 237),
        _benchmark("im2gps3k", "im2gps3k_places365.csv", 2997),
        _benchmark("yfcc4k", "yfcc4k_places365.csv", 4536),
    ]


def examples(folder: Path, table: str) -> Iterator[Example]:
    """One for each row of the table, photos unopened; the cluster is the photographer where the table names one."""
    rows = read_rows(folder / table, IDS, LATITUDES, LONGITUDES)
    exchanged = are_exchanged(rows)
    photos, seen = Photos(folder), Counter[str]()
    for row in rows:
        name, flags = distinct(cell(row, *IDS), seen)
        latitude, longitude = cell(row, *LATITUDES), cell(row, *LONGITUDES)
        place = position(longitude, latitude) if exchanged else position(latitude, longitude)
        flags += (EXCHANGED,) if exchanged else ()
        flags += train_city(place) if place else (IMPOSSIBLE,)
        view, missing = photos.find(cell(row, *IDS))
        cluster = cell(row, "AUTHOR") or name
        yield Example(name, cluster, Prompt((view, PROMPT)), truth_position(place), missing=missing, flags=flags)


def are_exchanged(rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a table proves that its columns LAT and LON hold each other's values: some "latitude" is beyond 90
    degrees, and all rows are positions when read the other way round."""
    pairs = [(degrees(cell(row, *LATITUDES)), degrees(cell(row, *LONGITUDES))) for row in rows]
    known = [(lat, lon) for lat, lon in pairs if lat is not None and lon is not None]
    return any(abs(lat) > 90 for lat, _ in known) and all(abs(lat) <= 180 and abs(lon) <= 90 for lat, lon in known)


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """{"latitude", "longitude"} in degrees."""
    found = read_coordinates(response.text)
    return None if found is None else truth_position(found)


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """`distance_values`."""
    return distance_values(example, required_position(parsed))


def metrics(graded: Sequence[Graded]) -> Sequence[Metric]:
    """`distance_metrics`."""
    return distance_metrics(graded)


def _benchmark(name: str, table: str, size: int) -> Benchmark:
    source = Source(
        homepage="https://github.com/TIBHannover/GeoEstimation",
        licence="each photo under its own Flickr licence; tables GPL-3.0",
        size=f"{size:,} photos",
        layout=f"{table} (IMG_ID, LAT, LON; GeoEstimation's own table as it is) and images/<IMG_ID>",
        files=(table,),
        revision="GeoEstimation, ECCV 2018",
    )
    about = "coordinates of a Flickr photo: Acc@{1, 25, 200, 750, 2500} km, mean, median, GeoScore"
    return Benchmark(name, about, source, partial(examples, table=table), parse, judge, metrics, main="GeoScore")
