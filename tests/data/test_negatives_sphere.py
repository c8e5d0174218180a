"""Degrees become exact integers: right distances between known cities, nothing special at poles and antimeridian."""

from dataclasses import replace

import numpy as np
import pytest

from indirect_rlvr.data.negatives import form_sets
from indirect_rlvr.data.places import points
from indirect_rlvr.data.sphere import EARTH_M, great_circle_m, suspicions, unit_integers
from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.types import Neighbourhood, Record, View

WORLD = Neighbourhood(
    position=lambda r: (float(r.facts["longitude_degrees"]), float(r.facts["latitude_degrees"])),
    metric="lon_lat_degrees",
    cells=(10_000.0,),
    r_min=100.0,
)

CITIES = {  # longitude, latitude in degrees
    "Paris": (2.3522, 48.8566),
    "London": (-0.1276, 51.5072),
    "Singapore": (103.8198, 1.3521),
    "Quito": (-78.4678, -0.1807),
    "Sydney": (151.2093, -33.8688),
    "Suva": (178.4419, -18.1416),
    "Apia": (-171.7514, -13.8507),
}


def place(name: str, longitude_degrees: float, latitude_degrees: float) -> Record:
    facts = {"longitude_degrees": longitude_degrees, "latitude_degrees": latitude_degrees}
    return Record(name, name, {"note": View("note", "text", name)}, facts, "train")


@pytest.mark.parametrize(
    ("longitude", "latitude", "message"),
    [
        (float("nan"), 0.0, "longitude is nan and latitude 0 degrees; expected finite degrees"),
        (0.0, float("inf"), "longitude is 0 and latitude inf degrees; expected finite degrees"),
        (48.9, 102.4, "longitude is 48.9 and latitude 102.4 degrees; .* the two look swapped: give longitude first"),
        (361.0, 10.0, r"longitude is 361 and latitude 10 degrees; .* longitude in \[-180, 360\]"),
        (0.0, -90.1, "latitude -90.1 degrees; .* the two look swapped"),
    ],
)
def test_impossible_degrees_are_refused_by_place(longitude: float, latitude: float, message: str) -> None:
    with pytest.raises(DataError, match=rf"^place number 1: .*{message}"):
        unit_integers([0.0, longitude], [0.0, latitude])


def test_the_record_with_impossible_degrees_is_named() -> None:
    with pytest.raises(DataError, match=r"^record `b`: longitude is 10 and latitude 99 degrees"):
        form_sets([place("a", 0, 0), place("b", 10, 99)], WORLD, 2, 0)


def test_what_cannot_be_detected_is_said() -> None:
    assert suspicions([2.35, -0.1], [48.8, 51.5]) == [
        "all longitudes are within ±90 degrees, so a wrong order of longitude and latitude would not show"
    ]
    assert "if these are radians" in suspicions([0.04, 3.1], [0.85, -0.5])[1]
    assert suspicions([0.0, 120.0], [0.0, 20.0]) == [
        "1 places are exactly at longitude 0, latitude 0, which often means that none was known"
    ]


@pytest.mark.parametrize(
    ("one", "other", "kilometres"),
    [
        ("Paris", "London", 343.5),
        ("Singapore", "Quito", 19_747.0),
        ("Sydney", "Singapore", 6_306.0),
        ("Suva", "Apia", 1_149.0),
    ],
)
def test_known_cities_are_as_far_apart_as_known(one: str, other: str, kilometres: float) -> None:
    measured = great_circle_m(*CITIES[one], *CITIES[other])[0] / 1000
    assert measured == pytest.approx(kilometres, rel=6e-3)
    lon, lat, lon2, lat2 = np.radians([*CITIES[one], *CITIES[other]])
    a = np.sin((lat2 - lat) / 2) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    assert measured * 1000 == pytest.approx(2 * EARTH_M * np.arcsin(np.sqrt(a)), abs=0.2)


def test_negatives_and_benchmarks_measure_on_one_sphere() -> None:
    assert great_circle_m(0.0, 0.0, 90.0, 0.0)[0] == pytest.approx(1000 * great_circle_km(0.0, 0.0, 0.0, 90.0), abs=0.1)


def test_the_antimeridian_and_the_poles_are_no_borders() -> None:
    assert great_circle_m(179.9999, 10.0, -179.9999, 10.0)[0] == pytest.approx(21.9, abs=0.1)
    assert great_circle_m(0.0, 89.9999, 180.0, 89.9999)[0] == pytest.approx(22.24, abs=0.1)
    assert great_circle_m(17.0, 90.0, -140.0, 90.0)[0] == 0
    assert (unit_integers([180.0, 200.0], [5.0, 5.0]) == unit_integers([-180.0, -160.0], [5.0, 5.0])).all()


@pytest.mark.parametrize(("longitude", "latitude"), [(180.0, 0.0), (0.0, 90.0), (33.0, -90.0), (180.0, 60.0)])
def test_neighbours_across_pole_and_antimeridian_meet_as_anywhere(longitude: float, latitude: float) -> None:
    def ring_around(lon0: float, lat0: float) -> list[Record]:
        """Twelve places on a circle of 2 km around a centre."""
        centre = unit_integers(lon0, lat0)[0] / 2**30
        east = np.cross([0.3, 0.5, 0.8], centre)
        north = np.cross(centre, east / np.linalg.norm(east))
        turns = np.cumsum(0.4 + 0.017 * np.arange(12) ** 1.5)  # no two distances are equal
        spread = np.outer(np.cos(turns), east / np.linalg.norm(east)) + np.outer(np.sin(turns), north)
        x, y, z = (centre + spread * 2000 / EARTH_M).T
        lon, lat = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
        return [place(f"p{i:02}", *row) for i, row in enumerate(zip(lon.tolist(), lat.tolist(), strict=True))]

    there, plain = ring_around(longitude, latitude), ring_around(12.0, 34.0)
    for sampler in ("symmetric", "ring"):
        seen = form_sets(there, WORLD, 4, 0, sampler=sampler)  # type: ignore[arg-type]
        assert {m for s in seen[0] for m in s.members} == {record.id for record in there}
    near = {
        name: [s.members for s in form_sets(records, WORLD, 4, 0, sampler="ring")[0]]
        for name, records in (("there", there), ("plain", plain))
    }
    assert sorted(near["there"]) == sorted(near["plain"])


def test_r_min_in_metres_is_kept_on_the_sphere() -> None:
    near = replace(WORLD, r_min=300.0)
    records = [place(f"p{i:03}", 179.99 + 0.001 * (i % 20), 70 + 0.001 * (i // 20)) for i in range(200)]
    by_id = {record.id: record for record in records}
    sets, _ = form_sets(records, near, 4, 0)
    apart = [
        great_circle_m(*near.position(by_id[a]), *near.position(by_id[b]))[0]  # type: ignore[misc]
        for s in sets
        for i, a in enumerate(s.members)
        for b in s.members[:i]
    ]
    assert len(sets) > 20 and min(apart) >= 300.0


def test_points_of_degrees_are_metres_for_whoever_measures_distances() -> None:
    found = points([place("a", 0, 0), place("b", 0, 0.01)], WORLD)
    assert np.linalg.norm(found[0] - found[1]) == pytest.approx(1111.95, abs=0.05)
