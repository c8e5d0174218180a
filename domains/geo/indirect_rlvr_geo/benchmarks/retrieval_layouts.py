"""The queries and galleries of the cross-view retrieval sets, read from their split files; no image is opened.

Items are named by the path of their image below the data set's folder, in the order of the split files, which is the
order of rows (queries) and columns (gallery) of a similarity matrix.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import cos, radians
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.spatial import cKDTree

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geodesy import EARTH_RADIUS_KM
from indirect_rlvr.types import Split
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES, HALF_TILE_M, Place, places, tables
from indirect_rlvr_geo.benchmarks.files import table

DRONE_TO_SATELLITE, SATELLITE_TO_DRONE = "drone to satellite", "satellite to drone"
VIGOR_CITIES = {
    "same-area": ("Chicago", "NewYork", "SanFrancisco", "Seattle"),
    "cross-area": ("Chicago", "SanFrancisco"),
}
CVUSA_FILES: dict[Split, str] = {"train": "train", "test": "val"}
CVACT_SETS: dict[Split, str] = {"train": "trainSet", "test": "valSet"}
VIGOR_FOLDERS = ("{city}/panorama", "{city}/satellite"), ("ground/{city}", "satellite/{city}")
"""Panoramas and tiles of a city as VIGOR is published, and as the Sample4Geo lineage keeps them."""
_VIGOR_FILES = {"same-area": "same_area_balanced_test.txt", "cross-area": "pano_label_balanced.txt"}


@dataclass(frozen=True, slots=True)
class Query:
    """One query image: its cluster, the gallery items that are right, and those that show the place as well."""

    name: str
    cluster: str
    positives: tuple[str, ...]
    semi: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """Queries that are ranked against the same gallery; `task` is the sub-task they count for."""

    queries: list[Query]
    gallery: list[str]
    task: str = ""


def cv_cities(folder: Path) -> Iterator[Pool]:
    """The six test cities together, as the authors evaluate; tiles within half a tile of a query are semi-positives.

    Raises DataError where no test city is there.
    """
    found = {city: path for city, path in tables(folder).items() if not CITIES[city].trained_on}
    if not found:
        held_out = [city for city, known in CITIES.items() if not known.trained_on]
        raise DataError(f"`{folder}` has none of the test cities {', '.join(held_out)}; download at least one")
    rows = {city: list(places(city, path)) for city, path in found.items()}
    queries = [query for city in rows for query in _city_queries(rows[city])]
    yield Pool(queries, [place.satellite for each in rows.values() for place in each])


def cvusa(folder: Path) -> Iterator[Pool]:
    """The 8,884 test pairs of `cvusa_pairs`."""
    pairs = list(cvusa_pairs(folder, "test"))
    yield Pool([Query(ground, ground, (aerial,)) for aerial, ground in pairs], [aerial for aerial, _ in pairs])


def cvusa_pairs(folder: Path, side: Split) -> Iterator[tuple[str, str]]:
    """Satellite and panorama in each line of splits/train-19zl.csv or splits/val-19zl.csv."""
    path = folder / "splits" / f"{CVUSA_FILES[side]}-19zl.csv"
    yield from ((cells[0], cells[1]) for _, cells in table(path, 2))


@dataclass(frozen=True, slots=True)
class CvactPair:
    """One panorama of Canberra, by its identifier, with its tile, and where it is in UTM zone 55 south, in metres."""

    name: str
    panorama: str
    tile: str
    east_m: float
    north_m: float


def cvact(folder: Path) -> Iterator[Pool]:
    """The 8,884 validation pairs."""
    pairs = cvact_pairs(folder, "test")
    queries = [Query(pair.panorama, pair.name, (pair.tile,)) for pair in pairs]
    yield Pool(queries, list(dict.fromkeys(pair.tile for pair in pairs)))


def cvact_pairs(folder: Path, side: Split) -> list[CvactPair]:
    """The identifiers that `trainSet` or `valSet` of ACT_data.mat numbers, from 1.

    Raises DataError where the file is not of that form.
    """
    path, chosen = folder / "ACT_data.mat", CVACT_SETS[side]
    try:
        data = loadmat(path, variable_names=["panoIds", "utm", chosen])
        numbers = np.asarray(data[chosen][0][0][1], dtype=np.int64).ravel() - 1
        names = [str(np.asarray(name).item()).strip() for name in np.asarray(data["panoIds"]).ravel()]
        metres = np.asarray(data["utm"], dtype=np.float64).reshape(len(names), 2).tolist()
        if len(numbers) and int(numbers.min()) < 0:
            raise ValueError(f"{chosen} counts from 1")
        return [_cvact_pair(names[number], *metres[number]) for number in numbers.tolist()]
    except Exception as error:  # scipy raises anything on torn files
        raise DataError(
            f"cannot read `{path}`: {type(error).__name__}: {error}; expected `panoIds`, `utm` and `{chosen}` of "
            "version 5"
        ) from error


def _cvact_pair(name: str, east_m: float, north_m: float) -> CvactPair:
    folder = "ANU_data_small"
    tile = f"{folder}/satview_polish/{name}_satView_polish.jpg"
    return CvactPair(name, f"{folder}/streetview/{name}_grdView.jpg", tile, east_m, north_m)


def vigor(folder: Path, area: str) -> Iterator[Pool]:
    """The test panoramas of an area and all satellite tiles of its cities: one positive and three semi-positives each.

    A line of a label file is panorama, then four times tile and two pixel offsets, the positive first. Images are named
    by the layout they lie in, and without images by that of the Sample4Geo lineage.
    """
    queries: list[Query] = []
    gallery: list[str] = []
    for city in VIGOR_CITIES[area]:
        split = folder / "splits" / city
        ground, overhead = vigor_folders(folder, city) or (way.format(city=city) for way in VIGOR_FOLDERS[-1])
        gallery += [f"{overhead}/{cells[0]}" for _, cells in table(split / "satellite_list.txt", 1, " ")]
        for panorama, named in vigor_rows(split / _VIGOR_FILES[area]):
            tiles = tuple(f"{overhead}/{tile}" for tile in named)
            queries.append(Query(f"{ground}/{panorama}", tiles[0], tiles[:1], tiles[1:]))
    yield Pool(queries, gallery)


def vigor_folders(root: Path, city: str) -> tuple[str, str] | None:
    """Where a city's panoramas and tiles lie below `root`, in whichever layout they are there; None in neither."""
    for ground, overhead in (
        (ground.format(city=city), overhead.format(city=city)) for ground, overhead in VIGOR_FOLDERS
    ):
        if (root / ground).is_dir() and (root / overhead).is_dir():
            return ground, overhead
    return None


def vigor_rows(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Panorama and its four tiles, the positive first, by the names of a label file."""
    for _, cells in table(path, 11, " "):
        yield cells[0], tuple(cells[column] for column in (1, 4, 7, 10))


def university(folder: Path) -> Iterator[Pool]:
    """University-1652's two directions: every image of a building is right, and buildings without a query distract."""
    test = folder / "test"
    for task, query, gallery in (
        (DRONE_TO_SATELLITE, "query_drone", "gallery_satellite"),
        (SATELLITE_TO_DRONE, "query_satellite", "gallery_drone"),
    ):
        items = _by_building(test / gallery)
        queries = [
            Query(
                f"test/{query}/{building}/{name}", building, tuple(_paths(gallery, building, items.get(building, ())))
            )
            for building, names in _by_building(test / query).items()
            for name in names
        ]
        yield Pool(queries, [path for each, names in items.items() for path in _paths(gallery, each, names)], task)


def _city_queries(rows: list[Place]) -> list[Query]:
    per_degree = radians(1) * EARTH_RADIUS_KM * 1000
    east = per_degree * cos(radians(rows[0].latitude_deg))
    points = np.array([(p.longitude_deg * east, p.latitude_deg * per_degree) for p in rows])
    near = cKDTree(points).query_ball_point(points, HALF_TILE_M)
    return [
        Query(
            place.panorama,
            f"{place.city} {place.latitude_deg:.2f} {place.longitude_deg:.2f}",
            (place.satellite,),
            tuple(sorted(rows[other].satellite for other in others if rows[other].satellite != place.satellite)),
        )
        for place, others in zip(rows, near, strict=True)
    ]


def _by_building(folder: Path) -> dict[str, list[str]]:
    if not folder.is_dir():
        raise DataError(f"`{folder}` is not there; unpack the test part of University-1652 below it")
    return {
        building.name: sorted(path.name for path in building.iterdir() if path.is_file())
        for building in sorted(folder.iterdir())
        if building.is_dir()
    }


def _paths(gallery: str, building: str, names: Iterable[str]) -> list[str]:
    return [f"test/{gallery}/{building}/{name}" for name in names]
