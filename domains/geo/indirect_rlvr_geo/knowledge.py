"""What metadata says of a place in sentences, each of which the fact check supports; a doubtful one is left out.

`place` holds what is true of a whole neighbourhood, from the position alone; `picture` what is true of one ground view.
"""

from collections.abc import Callable, Iterator, Mapping

from indirect_rlvr.rewards.facts import Claim, Finding, judge
from indirect_rlvr.types import Scalar
from indirect_rlvr_geo import claims, climate, nations, places, sun, truth
from indirect_rlvr_geo.directions import name_of

Facts = Mapping[str, Scalar]
_LOW_SUN = 5.0
"""Below this elevation of the sun, in degrees, hills and houses hide it."""
_THE = ("United", "Netherlands", "Philippines", "Bahamas", "Gambia", "Maldives", "Czech Republic", "Dominican Republic")
_CLIMATES = (
    "tropical rainforest", "tropical monsoon", "tropical savanna", "hot desert", "cold desert", "semi-arid",
    "mediterranean", "humid subtropical", "oceanic", "humid continental", "subarctic", "tundra",
)  # fmt: skip
"""The words of `climate.WORDS` that are said, each the narrowest of its kind."""


def place(facts: Facts) -> list[str]:
    """Hemisphere, continent, country, language, city, climate and side of the road; [] without a position.

    The city is the record's own `city` where that is how it is spelt; ids are not.
    """
    return _true(facts, _of_place) if "latitude" in facts and "longitude" in facts else []


def picture(facts: Facts) -> list[str]:
    """Where the camera looks, where the sun stands and where shadows point, as far as the metadata tells; [] without a
    position."""
    return _true(facts, _of_picture) if "latitude" in facts and "longitude" in facts else []


def _true(facts: Facts, say: Callable[[Facts], Iterator[str]]) -> list[str]:
    """The sentences whose claims are found and all supported."""

    def rule(claim: Claim, view: str) -> Finding:
        return truth.find(claim, facts)

    judged = ((sentence, judge(claims.find(sentence, ()), rule)) for sentence in say(facts))
    return [s for s, verdicts in judged if verdicts and all(verdict.status == "supported" for verdict in verdicts)]


def _of_place(facts: Facts) -> Iterator[str]:
    where = float(facts["latitude"]), float(facts["longitude"])
    yield f"The place lies in the {'northern' if where[0] > 0 else 'southern'} hemisphere."
    ground = places.ground(*where)
    for continent in sorted(nations.continents_at(ground.countries, *where)):
        yield f"The place lies in {nations.CONTINENT_NAMES[continent]}."
    if len(ground.countries) == 1 and not ground.disputed:
        (code,) = ground.countries
        name = nations.name_of(code)
        yield f"The country is {'the ' * name.startswith(_THE)}{name}."
        official = nations.languages([code], "official")
        yield from (f"The official language here is {language}." for language in official if len(official) == 1)
    yield f"The city is {str(facts.get('city', '')).title()}."
    classes = climate.classes_at(*where)
    words = [word for word in _CLIMATES if all(climate.matches(code, climate.WORDS[word][0]) for code in classes)]
    yield from (f"The climate is {word}." for word in words if classes)
    yield from (
        f"Traffic keeps to the {'left' if left else 'right'}." for left in nations.drives_left(ground.countries)
    )


def _of_picture(facts: Facts) -> Iterator[str]:
    if "heading_deg" in facts:
        yield f"The camera looks {name_of(float(facts['heading_deg']))}."
    moment = truth.moment_of(facts.get("captured_utc"), "")
    if moment is not None:
        azimuth, elevation = sun.position(float(facts["latitude"]), float(facts["longitude"]), moment)
        if elevation >= _LOW_SUN:
            yield f"The sun stands in the {name_of(azimuth)}."
            yield f"Shadows point to the {name_of((azimuth + 180) % 360)}."
