"""Reads answers to GeoChain's questions from responses: an option, a country, a city, a division, languages.

Names are compared in a canonical form: countries by ISO code, cities and divisions by tables of other names.
"""

import re
from functools import cache

from indirect_rlvr.rewards.quantities import normal_text
from indirect_rlvr_geo import nations
from indirect_rlvr_geo.benchmarks.countries import country_code
from indirect_rlvr_geo.gazetteer import key

COUNTRY, LANGUAGES, DIVISION, CITY, COORDINATES = 10, 18, 19, 20, 21

_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "å": "a"})
_CITIES = {
    "kobenhavn": "copenhagen", "cph": "copenhagen", "saopaulo": "sao paulo", "sf": "san francisco",
    "moskva": "moscow", "krung thep": "bangkok", "krung thep maha nakhon": "bangkok", "helsingfors": "helsinki",
    "metro manila": "manila", "city of manila": "manila", "trondhjem": "trondheim", "greater london": "london",
    "city of london": "london", "tokyo metropolis": "tokyo",
}  # fmt: skip
_DIVISIONS = {
    "moscow oblast": "moskovskaya", "moskovskaya oblast": "moskovskaya", "moscow region": "moskovskaya",
    "moscow city": "moscow", "federal city of moscow": "moscow", "moskva": "moscow", "noord holland": "north holland",
    "hovedstaden": "capital region", "region hovedstaden": "capital region",
    "capital region of denmark": "capital region", "trondelag": "sor trondelag", "south trondelag": "sor trondelag",
    "national capital region": "metro manila",
    "ncr": "metro manila", "region iv a": "calabarzon", "krung thep": "bangkok", "bangkok metropolis": "bangkok",
    "nairobi": "nairobi area", "nairobi city": "nairobi area", "nyland": "uusimaa", "tokyo to": "tokyo",
}  # fmt: skip
_KINDS = ("state", "province", "prefecture", "county", "canton", "governorate", "metropolis")
_SEPARATOR = re.compile(r"[,;/&\n(]|\band\b|\bor\b")
LONGEST = 1000
"""Characters of a free-text answer that is read at all."""


def label(question: int, text: str) -> str | None:
    """The canonical form of the country, division or city that an answer names; None where it names nothing.

    A name that no table knows stays as it is written, folded.
    """
    plain = folded(text)
    if plain is None:
        return None
    if question == COUNTRY:
        return country_code(text) or plain
    if question == CITY:
        return _CITIES.get(plain, plain)
    return _division(plain)


def folded(text: str) -> str | None:
    """A name without case, accents, hyphens and outer punctuation; None where nothing is left or it is an essay."""
    plain = normal_text(text)
    return None if plain is None else key(plain.translate(_LETTERS)) or None


def languages(text: str) -> frozenset[str]:
    """The languages that an answer lists, by their names in the pack's table; unknown words count for nothing."""
    plain = normal_text(text)
    known = _languages()
    found = set()
    for part in _SEPARATOR.split(plain or ""):
        words = part.strip(" .:)").split()
        spans = [" ".join(words[i:j]) for i in range(len(words)) for j in range(i + 1, min(i + 3, len(words)) + 1)]
        found |= {known[span] for span in spans if span in known}
    return frozenset(found)


def contradicted(found: frozenset[str], gold: frozenset[str], country: str) -> bool:
    """Whether an answer lists a language that is neither in the key nor spoken in the country."""
    return not found <= gold | nations.languages([country], "spoken")


def _division(plain: str) -> str:
    if plain in _DIVISIONS:
        return _DIVISIONS[plain]
    short = plain
    for kind in _KINDS:
        short = short.removesuffix(f" {kind}").removeprefix(f"{kind} of ")
    return _DIVISIONS.get(short, short)


@cache
def _languages() -> dict[str, str]:
    """Every spelling of a language, folded → its name in the pack's table."""
    return {name.casefold(): language for name, language in nations.language_names().items()}
