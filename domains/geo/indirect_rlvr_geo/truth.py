"""What a record's metadata says of one claim: a rule for each kind, with its tolerance and its evidence.

The metadata are `latitude` and `longitude` in degrees; `elevation_m`, `heading_deg` (where the camera looks, clockwise
from north) and `captured_utc` (ISO 8601 with an offset) where there are any. What they do not hold is never judged.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import cast

from indirect_rlvr.rewards.facts import Claim, Finding
from indirect_rlvr.rewards.geodesy import great_circle_km
from indirect_rlvr.types import Scalar
from indirect_rlvr_geo import climate, gazetteer, nations, places, sun
from indirect_rlvr_geo.claims_of_courses import Course
from indirect_rlvr_geo.claims_of_names import is_known_widely
from indirect_rlvr_geo.claims_of_positions import Coordinates, Heights
from indirect_rlvr_geo.directions import name_of

Facts = Mapping[str, Scalar]
DIRECTION_SLACK = 15.0
"""Degrees by which a direction may be wrong beyond what its word leaves open."""
AXIS_SLACK = 0.1
"""Degrees from the equator, or from a meridian that parts the hemispheres, within which nothing is decided."""
ELEVATION_SLACK_M, ELEVATION_SHARE, ROUGH_SHARE = 30.0, 0.10, 0.25
"""An elevation may be off by so many metres or this share of it, whichever is more; the last where said to be rough."""
FAR = 2.0
"""A city is refuted beyond so many of its radii; between one and so many nothing is decided."""
NEAR_KM, FAR_FROM_NEAR_KM = 60.0, 300.0
""" "Near" a city reaches so much farther than the city, and is refuted beyond so many kilometres."""
ZENITH = 80.0
"""Above this elevation of the sun, in degrees, shadows are too short to have a direction."""


def find(claim: Claim, facts: Facts) -> Finding:
    """What the metadata of one view says of a claim."""
    latitude, longitude = _number(facts, "latitude"), _number(facts, "longitude")
    if latitude is None or longitude is None or abs(latitude) > 90:
        return "unverifiable", "the metadata has no position"
    return _RULES[claim.kind](claim, facts)


def _number(facts: Facts, name: str) -> float | None:
    value = facts.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _where(facts: Facts) -> tuple[float, float]:
    return float(facts["latitude"]), float(facts["longitude"])


def _decide(holds: bool, evidence: str) -> Finding:
    return ("supported" if holds else "contradicted"), evidence


def _coordinates(claim: Claim, facts: Facts) -> Finding:
    stated, (latitude, longitude) = cast(Coordinates, claim.value), _where(facts)
    other = (
        latitude if stated.latitude is None else stated.latitude,
        longitude if stated.longitude is None else stated.longitude,
    )
    away = great_circle_km(latitude, longitude, *other)
    return _decide(away <= stated.slack_km, f"{away:,.1f} km away; {stated.slack_km:,.1f} km are allowed")


def _country(claim: Claim, facts: Facts) -> Finding:
    ground, meant = places.ground(*_where(facts)), nations.names()[gazetteer.key(str(claim.value))]
    if not ground.countries:
        return "unverifiable", "no country within 25 km"
    names = ", ".join(sorted(nations.name_of(code) for code in ground.countries))
    if ground.disputed & meant.codes and (ground.disputed - meant.codes):
        return "unverifiable", "the territory is disputed"
    if ground.countries & meant.codes:
        return "supported", f"it lies in {names}"
    if ground.countries & meant.doubtful:
        return "unverifiable", f"in {names} the name may mean something else"
    if any(_away(facts, town) <= town.radius_km for town in gazetteer.named(str(claim.value))):
        return "unverifiable", f"it lies in {names}, in a place of that name"
    return "contradicted", f"it lies in {names}"


def _away(facts: Facts, town: gazetteer.Town) -> float:
    return great_circle_km(*_where(facts), town.latitude, town.longitude)


def _city(claim: Claim, facts: Facts) -> Finding:
    towns = gazetteer.named(str(claim.value))
    town = min(towns, key=lambda town: _away(facts, town) / town.radius_km)
    distance, nearest = _away(facts, town), min(_away(facts, town) for town in towns)
    evidence = f"{distance:,.0f} km from {town.name} ({town.country})"
    if len(towns) > 1:
        evidence += f", the nearest of {len(towns)} of that name"
    widest = max(town.radius_km for town in towns)
    reach, far = town.radius_km, FAR * widest
    if claim.stated.startswith("city: near "):
        reach, far = reach + NEAR_KM, FAR_FROM_NEAR_KM
    if distance <= reach:
        return "supported", evidence
    return ("contradicted" if nearest > far and is_known_widely(towns) else "unverifiable"), evidence


def _continent(claim: Claim, facts: Facts) -> Finding:
    ground, (latitude, longitude) = places.ground(*_where(facts)), _where(facts)
    if not ground.countries:
        return "unverifiable", "no country within 25 km"
    found = nations.continents_at(ground.countries, latitude, longitude)
    meant = nations.continents()[gazetteer.key(str(claim.value))]
    evidence = "it lies in " + " or ".join(sorted(nations.CONTINENT_NAMES[code] for code in found))
    if len(found) > 1 and found & meant and not found <= meant:
        return "unverifiable", evidence
    return _decide(bool(found & meant), evidence)


def _hemisphere(claim: Claim, facts: Facts) -> Finding:
    latitude, longitude = _where(facts)
    north_south = claim.value in ("north", "south")
    degrees = latitude if north_south else (longitude + 180) % 360 - 180
    evidence = f"{'latitude' if north_south else 'longitude'} {degrees:.4g}"
    if abs(degrees) < AXIS_SLACK or (not north_south and (abs(degrees) > 180 - AXIS_SLACK or abs(latitude) > 89.0)):
        return "unverifiable", f"{evidence}: too close to the line"
    return _decide((degrees > 0) == (claim.value in ("north", "east")), evidence)


def _climate(claim: Claim, facts: Facts) -> Finding:
    found = climate.classes_at(*_where(facts))
    supporting, tolerated = cast(tuple[str, str], claim.value)
    if not found:
        return "unverifiable", "no climate class: the position is at sea"
    evidence = f"Köppen-Geiger {', '.join(sorted(found))}"
    if any(climate.matches(code, supporting) for code in found):
        return "supported", evidence
    open_ = any(climate.matches(code, tolerated) for code in found)
    return ("unverifiable", f"{evidence}: usage differs") if open_ else ("contradicted", evidence)


def _language(claim: Claim, facts: Facts) -> Finding:
    ground, (language, use) = places.ground(*_where(facts)), cast(tuple[str, str], claim.value)
    if not ground.countries:
        return "unverifiable", "no country within 25 km"
    official, spoken = (nations.languages(ground.countries, which) for which in ("official", "spoken"))
    evidence = f"official: {', '.join(sorted(official)) or 'none'}; by 5 % or more: {', '.join(sorted(spoken))}"
    if language in (spoken if use == "spoken" else official):
        return "supported", evidence
    if use == "on signs":
        return "unverifiable", f"{evidence}; a sign may be in any language"
    if ground.disputed or language in spoken or (language == "English" and use == "spoken"):
        return "unverifiable", "the territory is disputed" if ground.disputed else f"{evidence}; usage differs"
    return "contradicted", evidence


def _driving(claim: Claim, facts: Facts) -> Finding:
    ground = places.ground(*_where(facts))
    sides = nations.drives_left(ground.countries | ground.disputed)
    if not ground.countries or "AQ" in ground.countries:
        return "unverifiable", "no country with a rule of the road"
    if len(sides) > 1:
        return "unverifiable", "both sides within reach of the border"
    (left,) = sides
    return _decide(left == (claim.value == "left"), f"traffic keeps to the {'left' if left else 'right'}")


def _elevation(claim: Claim, facts: Facts) -> Finding:
    stated = cast(Heights, claim.value)
    metres = _number(facts, "elevation_m")
    if metres is None:
        return "unverifiable", "the metadata has no elevation"
    slack = max(ELEVATION_SLACK_M, (ROUGH_SHARE if stated.rough else ELEVATION_SHARE) * abs(metres))
    return _decide(stated.low - slack <= metres <= stated.high + slack, f"{metres:.0f} m; {slack:.0f} m are allowed")


def _direction(claim: Claim, facts: Facts) -> Finding:
    heading = _number(facts, "heading_deg")
    if heading is None:
        return "unverifiable", "the metadata has no heading"
    return _compare(cast(Course, claim.value), heading, "the camera looks")


def _sun(claim: Claim, facts: Facts) -> Finding:
    stated, (latitude, longitude) = cast(Course, claim.value), _where(facts)
    moment = moment_of(facts.get("captured_utc"), stated.utc)
    if moment is None:
        return "unverifiable", "the metadata has no time with an offset from UTC"
    if abs(latitude) > 89.0:
        return "unverifiable", "directions mean nothing at a pole"
    azimuth, elevation = sun.position(latitude, longitude, moment)
    if not 0.0 < elevation < ZENITH:
        return "unverifiable", f"the sun's elevation is {elevation:.0f}°, so it gives no direction"
    shadow = claim.kind == "shadow direction"
    return _compare(
        stated,
        (azimuth + 180 * shadow) % 360,
        f"{'shadows point' if shadow else 'the sun stands'} at {moment:%H:%M} UTC",
    )


def moment_of(captured: object, clock: str) -> datetime | None:
    """The capture's time, or its day with the clock that the claim states; None where the offset is not known."""
    try:
        moment = datetime.fromisoformat(str(captured or ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    moment = moment.astimezone(UTC)
    return moment.replace(hour=int(clock[:2]), minute=int(clock[3:])) if clock else moment


def _compare(stated: Course, degrees: float, what: str) -> Finding:
    off = places.angle_between(stated.degrees, degrees)
    allowed = stated.half_width + DIRECTION_SLACK
    return _decide(off <= allowed, f"{what} {degrees:.0f}° ({name_of(degrees)}); ±{allowed:g}° are allowed")


_RULES: dict[str, Callable[[Claim, Facts], Finding]] = {
    "coordinates": _coordinates,
    "country": _country,
    "city": _city,
    "continent": _continent,
    "hemisphere": _hemisphere,
    "climate": _climate,
    "language": _language,
    "driving side": _driving,
    "elevation": _elevation,
    "direction": _direction,
    "sun azimuth": _sun,
    "shadow direction": _sun,
}
