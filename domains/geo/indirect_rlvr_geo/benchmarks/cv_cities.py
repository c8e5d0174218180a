"""CV-Cities (GaoShuang98/CVCities): panorama and satellite tile of the same place, in sixteen cities.

Each city has a table without a header whose third column is the latitude, after the longitude; its folder names are
misspelt in places; and the same place comes again in other months.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr_geo.benchmarks.files import table
from indirect_rlvr_geo.benchmarks.truths import position

HALF_TILE_M = 60.0
"""About half the ground side of a tile: places closer than this show each other and are no negatives."""
FARTHEST_KM = 150.0
"""From the centre of its city; farther out, the columns of the table are not what they should be."""
TRAIN_CITY = "train city"
"""The flag of what shows a city that the authors train on."""
NEAR_KM = 30.0
"""From the centre of such a city: its built-up area. Ours; the extent of the data set's own cities is not published."""


@dataclass(frozen=True, slots=True)
class City:
    """A city by its right name, where its centre is in degrees, and whether the authors train on it."""

    name: str
    latitude_deg: float
    longitude_deg: float
    trained_on: bool


CITIES = {
    "barcelona": City("Barcelona", 41.39, 2.17, True),
    "captown": City("Cape Town", -33.93, 18.42, True),
    "losangeles": City("Los Angeles", 34.05, -118.24, True),
    "maynila": City("Manila", 14.60, 120.98, True),
    "melbourne": City("Melbourne", -37.81, 144.96, True),
    "mexico": City("Mexico City", 19.43, -99.13, True),
    "newyork": City("New York", 40.71, -74.01, True),
    "paris": City("Paris", 48.86, 2.35, True),
    "santiago": City("Santiago", -33.45, -70.67, True),
    "tokyo": City("Tokyo", 35.68, 139.69, True),
    "taipei": City("Taipei", 25.03, 121.57, False),
    "singapore": City("Singapore", 1.35, 103.82, False),
    "london": City("London", 51.51, -0.13, False),
    "seattle": City("Seattle", 47.61, -122.33, False),
    "rio": City("Rio de Janeiro", -22.91, -43.17, False),
    "sydney": City("Sydney", -33.87, 151.21, False),
}
"""By the identifiers of the data set: ten cities to train on, six to test on."""
ALIASES = {"capetown": "captown", "manila": "maynila", "mexicocity": "mexico", "riodejaneiro": "rio"}
"""What people write for an identifier, lower case and without spaces."""


@dataclass(frozen=True, slots=True)
class Place:
    """One row of a table: the identifier of its city, degrees, and the paths of tile and panorama below the data."""

    name: str
    city: str
    latitude_deg: float
    longitude_deg: float
    satellite: str
    panorama: str


def city_id(written: str) -> str | None:
    """The identifier of a city however its folder is spelt, or None for no city of the data set."""
    plain = "".join(char for char in written.casefold() if char.isalpha())
    found = ALIASES.get(plain, plain)
    return found if found in CITIES else None


def tables(folder: Path) -> dict[str, Path]:
    """The table of each city that is there, by identifier; raises DataError for a folder of no known city."""
    found = {}
    for path in sorted(folder.glob("*/img_info.csv")):
        city = city_id(path.parent.name)
        if city is None:
            raise DataError(f"`{path.parent}` is none of the cities {', '.join(CITIES)}; rename or remove it")
        found[city] = path
    return found


def rows(city: str, path: Path) -> Iterator[Place]:
    """Every row of a city's table, the same place in another month included.

    Raises DataError for a row that is no place of that city, above all where latitude stands before longitude, and for
    a table without rows.
    """
    centre, line = CITIES[city], 0
    for line, (name, longitude, latitude, _, satellite, panorama, *_) in table(path, 6):
        found = position(latitude, longitude)
        if found is None or _far(centre, found.latitude_deg, found.longitude_deg):
            raise DataError(
                f"`{path}` line {line} has longitude {longitude!r} and latitude {latitude!r}, not within "
                f"{FARTHEST_KM:g} km of {centre.name}; expected name, longitude, latitude, city, satellite, panorama "
                "without a header"
            )
        images = satellite.lstrip("/"), panorama.lstrip("/")
        yield Place(name, city, found.latitude_deg, found.longitude_deg, *images)
    if not line:
        raise DataError(f"`{path}` lists no place; download it again")


def places(city: str, path: Path) -> Iterator[Place]:
    """The rows of a city's table, a place that comes again at the very same coordinates only once.

    Raises DataError where `rows` does.
    """
    seen = set()
    for place in rows(city, path):
        key = spot(place.latitude_deg, place.longitude_deg)
        if key not in seen:
            seen.add(key)
            yield place


def images_below(root: Path, table: Path, place: Place) -> str | None:
    """What the paths of a table are relative to, as one of its places shows: "" for the data set's folder, "<city>/"
    for the city's own; None where the place's panorama is in neither."""
    bases = ("", f"{table.parent.name}/")
    return next((base for base in bases if (root / f"{base}{place.panorama}").is_file()), None)


def train_city(place: Coordinates | None) -> tuple[str, ...]:
    """The flag of a photo taken within NEAR_KM of the centre of a training city; none where its place is not known."""
    if place is None:
        return ()
    centres = (city for city in CITIES.values() if city.trained_on)
    return (TRAIN_CITY,) if any(_apart_km(centre, *place) <= NEAR_KM for centre in centres) else ()


def spot(latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """Equal for positions that count as the very same place: degrees to the fifth decimal, about a metre."""
    return round(latitude_deg, 5), round(longitude_deg, 5)


def _far(centre: City, latitude_deg: float, longitude_deg: float) -> bool:
    return _apart_km(centre, latitude_deg, longitude_deg) > FARTHEST_KM


def _apart_km(centre: City, latitude_deg: float, longitude_deg: float) -> float:
    return great_circle_km(centre.latitude_deg, centre.longitude_deg, latitude_deg, longitude_deg)
