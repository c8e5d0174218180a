"""The sources that claims are judged by: countries, towns, climate, languages, the sun, directions."""

import csv
from datetime import datetime
from pathlib import Path

import pytest

from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr_geo import climate, directions, gazetteer, nations, places, sun

STREETS = Path(__file__).parents[4] / "shared/data/global_streetscapes_sample/meta"


@pytest.mark.parametrize(("latitude", "longitude", "inside", "outside"), [
    (48.8584, 2.2945, "FR", "BE"), (-29.5, 28.3, "LS", "ZA"), (41.903, 12.453, "VA IT", "FR"),
    (35.889, -5.316, "ES MA", "DZ"),
    (51.443, 4.93, "BE NL", "DE"), (-16.8, -179.99, "FJ", "WS"), (66.0, -175.0, "RU", "US"), (71.2, 179.5, "RU", "US"),
    (-90.0, 0.0, "AQ", "AR"), (-85.0, 179.9, "AQ", "NZ"), (-85.0, -179.9, "AQ", "NZ"), (4.93, -52.33, "GF FR", "BR"),
    (60.17, 24.94, "FI", "EE"), (1.29, 103.85, "SG", "ID"),
])  # fmt: skip
def test_a_position_lies_in_its_country_and_in_no_other(
    latitude: float, longitude: float, inside: str, outside: str
) -> None:
    found = places.ground(latitude, longitude).countries
    assert set(inside.split()) <= found
    assert outside not in found


@pytest.mark.parametrize(("latitude", "longitude"), [(0.0, -30.0), (90.0, 0.0), (-60.0, 180.0), (0.0, 180.0)])
def test_the_high_seas_belong_to_nobody(latitude: float, longitude: float) -> None:
    assert places.ground(latitude, longitude).countries == frozenset()


@pytest.mark.parametrize(("one", "other", "km"), [
    ((51.5074, -0.1278), (48.8566, 2.3522), 343.6), ((0.0, 179.5), (0.0, -179.5), 111.2),
    ((90.0, 0.0), (90.0, 120.0), 0.0), ((-33.87, 151.21), (35.68, 139.69), 7823.0), ((0.0, 0.0), (0.0, 180.0), 20015.1),
])  # fmt: skip
def test_distances_hold_across_the_antimeridian_and_at_the_poles(
    one: tuple[float, float], other: tuple[float, float], km: float
) -> None:
    assert great_circle_km(*one, *other) == pytest.approx(km, rel=3e-3, abs=0.1)


# Reference: NREL SPA as implemented by pvlib 0.16.1, without refraction.
@pytest.mark.parametrize(("latitude", "longitude", "moment", "azimuth", "elevation"), [
    (-58.502, 125.076, "2012-02-24T06:20:36Z", 314.64, 33.71),
    (-39.189, -1.643, "2025-04-18T01:55:52Z", 131.74, -52.60),
    (-10.757, 94.421, "2010-01-27T04:09:13Z", 109.94, 63.31), (31.333, -84.121, "2017-10-13T22:59:24Z", 260.06, 0.68),
    (14.585, -143.198, "2020-10-19T21:04:36Z", 172.46, 64.83),
    (-75.106, -170.839, "2028-06-03T10:33:43Z", 193.88, -36.93),
    (75.047, 81.307, "2027-12-15T03:36:15Z", 139.85, -12.06), (-44.529, -22.36, "2026-11-14T17:45:41Z", 271.65, 28.36),
])  # fmt: skip
def test_the_sun_stands_where_nrel_puts_it(
    latitude: float, longitude: float, moment: str, azimuth: float, elevation: float
) -> None:
    found = sun.position(latitude, longitude, datetime.fromisoformat(moment))
    assert places.angle_between(found[0], azimuth) < 0.1
    assert found[1] == pytest.approx(elevation, abs=0.05)


@pytest.mark.parametrize(("latitude", "longitude", "code"), [
    (48.86, 2.29, "Cfb"), (30.0444, 31.2357, "BWh"), (1.29, 103.85, "Af"), (-90.0, 0.0, "EF"), (37.389, -5.984, "Csa"),
    (-86.0, 180.0, "EF"), (-86.0, -180.0, "EF"),
])  # fmt: skip
def test_the_climate_of_known_places(latitude: float, longitude: float, code: str) -> None:
    assert code in climate.classes_at(latitude, longitude)


def test_the_climate_at_sea_is_open() -> None:
    assert climate.classes_at(0.0, -30.0) == frozenset()


def test_every_class_of_a_climate_word_exists() -> None:
    for supporting, tolerated in climate.WORDS.values():
        for given in (*supporting.split(), *tolerated.split()):
            assert any(climate.matches(code, given) for code in climate.CLASSES), given


def test_a_name_finds_all_its_bearers_with_or_without_accents() -> None:
    assert {town.country for town in gazetteer.named("paris")} >= {"FR", "US"}
    assert gazetteer.named("Munchen")[0].country == gazetteer.named("Munich")[0].country == "DE"
    assert gazetteer.named("Qwertzuiop") == ()
    assert {town.name for town in gazetteer.near(48.8566, 2.3522, 3.0)} >= {"Paris"}


def test_every_country_of_the_polygons_and_towns_is_known() -> None:
    codes = set(places._borders().codes) | {line.split("\t")[1] for line in gazetteer._table().lines}
    assert nations.drives_left(codes) == {True, False}
    assert "Japanese" in nations.languages(["JP"], "official")
    assert "English" in nations.languages(["FR"], "spoken") - nations.languages(["FR"], "official")


@pytest.mark.parametrize(("words", "parsed"), [
    ("north", (0.0, 45.0)), ("south-west", (225.0, 22.5)), ("Northeastern", (45.0, 22.5)), ("NNE", (22.5, 11.25)),
    ("south-southeast", (157.5, 11.25)),
    ("up", None), ("north-south", None), ("northnorth", None),
])  # fmt: skip
def test_directions_are_read_with_the_width_of_their_word(words: str, parsed: tuple[float, float] | None) -> None:
    assert directions.parse(words) == parsed


def test_day_and_night_country_and_climate_agree_with_real_photographs() -> None:
    if not STREETS.exists():
        pytest.skip(f"no real metadata at {STREETS}")
    tables = ["02_metadata_common_attributes", "01_simplemaps", "03_climate", "05_ephem"]
    shots, cities, zones, days = (
        {r["uuid"]: r for r in csv.DictReader((STREETS / f"{t}.csv").read_text(encoding="utf-8").splitlines())}
        for t in tables
    )
    for name in sorted(shots)[::20]:
        latitude, longitude = float(shots[name]["lat"]), float(shots[name]["lon"])
        assert cities[name]["iso2"] in places.ground(round(latitude, 2), round(longitude, 2)).countries
        assert zones[name]["koppen_geiger_zone"] in climate.classes_at(latitude, longitude)
        height = sun.position(latitude, longitude, datetime.fromisoformat(shots[name]["datetime_local"]))[1]
        assert (height > -0.9) == (days[name]["calculated_day_night"] == "day")
