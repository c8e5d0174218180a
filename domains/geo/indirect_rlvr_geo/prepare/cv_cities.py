"""CV-Cities as pairs: sixteen cities, the authors' ten to train on and six held out; read by the benchmarks' reader."""

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Split
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES, city_id, images_below, rows, spot, tables
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Group, Listing, Pair, block, month_in

PARTIAL = (".part", ".partial", ".incomplete", ".crdownload", ".aria2", ".tmp")
"""What downloaders append to a file that is not whole."""


def listing(root: Path, options: Options) -> Listing:
    """The cities that are there, by name; raises DataError for a download that is not whole or not unpacked."""
    _check_downloads(root)
    found = tables(root)
    if not found:
        raise DataError(f"`{root}` has no <city>/img_info.csv; unpack the cities of CV-Cities there, one folder each")
    held_out = _held_out(options)
    unknown = sorted(held_out - found.keys()) if options.test_cities else []
    if unknown:
        raise DataError(f"`{root}` has no folder of the held-out city {', '.join(unknown)}; it has {', '.join(found)}")
    absent = [city for city in CITIES if city not in found]
    notes = [f"{len(found)} of {len(CITIES)} cities are there; not: {', '.join(absent)}"] if absent else []
    groups = [Group(city, partial(_pairs, root, city, path, city in held_out)) for city, path in found.items()]
    about = "Whole cities are held out: " + ", ".join(CITIES[city].name for city in found if city in held_out) + "."
    return Listing(tuple(groups), about, tuple(notes))


def _held_out(options: Options) -> set[str]:
    if not options.test_cities:
        return {city for city, known in CITIES.items() if not known.trained_on}
    named = {written: city_id(written) for written in options.test_cities}
    for written, city in named.items():
        if city is None:
            raise DataError(f"`test_cities` names `{written}`; the cities of the data set are {', '.join(CITIES)}")
    return {city for city in named.values() if city}


def _check_downloads(root: Path) -> None:
    """A city that came half: torn or still packed archives, traces of a downloader, folders without their table."""
    for path in sorted(root.iterdir()):
        city = city_id(path.name.partition(".")[0])
        if city is None:
            continue
        if path.suffix.lower() in PARTIAL:
            raise DataError(f"`{path}` is a download that was not finished; finish it, unpack it, or remove it")
        if path.suffix.lower() == ".zip" and not zipfile.is_zipfile(path):
            raise DataError(f"`{path}` is cut off: the end of the archive is missing; download it again, or remove it")
        if path.suffix.lower() == ".zip" and not any(root.glob(f"{path.stem}/img_info.csv")):
            raise DataError(f"`{path}` is not unpacked; unpack it into `{root / path.stem}`, or remove it")
        if path.is_dir() and not (path / "img_info.csv").is_file():
            raise DataError(f"`{path}` has no img_info.csv, so it is not whole; unpack the city again, or remove it")


def _pairs(root: Path, city: str, table: Path, held_out: bool) -> Iterator[Pair]:
    base = None
    side: Split = "test" if held_out else "train"
    for place in rows(city, table):
        if base is None:
            base = images_below(root, table, place)
            if base is None:
                raise DataError(
                    f"`{table}` line 1 names the panorama {place.panorama!r}, which is neither below `{root}` nor "
                    f"below `{table.parent}`; unpack the city again"
                )
        lat, lon = place.latitude_deg, place.longitude_deg
        ground = base + place.panorama
        yield Pair(
            id=ground,
            cluster=f"{city} {block(lat, lon)}",
            ground=ground,
            overhead=base + place.satellite,
            split=side,
            city=CITIES[city].name,
            place="{} {:.5f} {:.5f}".format(city, *spot(lat, lon)),
            latitude_deg=lat,
            longitude_deg=lon,
            captured=month_in(place.name) or month_in(Path(place.panorama).name),
        )
