"""What is known of countries: their names and other names, continents, languages and driving sides
(`data/LICENCES.md`)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from indirect_rlvr_geo.gazetteer import key

TABLE = Path(__file__).parent / "data" / "countries.json"


@dataclass(frozen=True, slots=True)
class Named:
    """What a country's name may mean: the codes it covers. `partial` where it names a part of one (Scotland), or
    something else too (Georgia), so that being in `doubtful` countries decides nothing."""

    name: str
    codes: frozenset[str]
    doubtful: frozenset[str] = frozenset()


OTHER_NAMES = {
    "US": "United States|United States of America|USA|U.S.A|U.S|US|America|The States",
    "GB": "United Kingdom|UK|U.K|Great Britain|Britain",
    "NL": "Netherlands|Holland", "CZ": "Czech Republic|Czechia", "CI": "Ivory Coast|Côte d'Ivoire",
    "KR": "South Korea|Republic of Korea", "KP": "North Korea|DPRK", "RU": "Russia|Russian Federation",
    "TR": "Turkey|Türkiye|Turkiye", "MM": "Myanmar|Burma", "CV": "Cape Verde|Cabo Verde",
    "SZ": "Eswatini|Swaziland", "MK": "North Macedonia|Macedonia", "VN": "Vietnam|Viet Nam",
    "LA": "Laos", "SY": "Syria", "IR": "Iran", "MD": "Moldova", "TZ": "Tanzania", "VE": "Venezuela",
    "BO": "Bolivia", "BN": "Brunei", "TL": "East Timor|Timor-Leste|Timor Leste", "VA": "Vatican City|Vatican|Holy See",
    "AE": "United Arab Emirates|UAE|U.A.E|Emirates", "CD": "Democratic Republic of the Congo|DR Congo|DRC|Zaire",
    "CG": "Republic of the Congo|Congo-Brazzaville", "BA": "Bosnia and Herzegovina|Bosnia & Herzegovina|Bosnia",
    "ST": "São Tomé and Príncipe|Sao Tome and Principe", "PS": "Palestine|Palestinian Territories|West Bank|Gaza Strip",
    "CN": "China|People's Republic of China|PRC|Mainland China", "TW": "Taiwan", "HK": "Hong Kong", "MO": "Macau|Macao",
    "BS": "Bahamas", "GM": "Gambia", "PH": "Philippines", "SD": "Sudan", "CF": "Central African Republic",
    "NZ": "New Zealand|Aotearoa", "IE": "Ireland|Republic of Ireland", "FK": "Falkland Islands|Falklands",
    "FO": "Faroe Islands", "DE": "Germany", "FR": "France", "SA": "Saudi Arabia", "CH": "Switzerland",
    "FM": "Micronesia", "KG": "Kyrgyzstan", "PT": "Portugal", "RE": "Réunion|Reunion Island", "CW": "Curaçao|Curacao",
}  # fmt: skip
TERRITORIES = {
    "US": "PR VI GU AS MP UM", "GB": "GI FK BM VG KY TC MS AI SH IM JE GG IO GS PN",
    "FR": "GF RE GP MQ YT PF NC PM WF BL MF TF", "NL": "AW CW SX BQ", "DK": "GL FO", "NO": "SJ BV", "FI": "AX",
    "CN": "HK MO", "AU": "CX CC NF HM", "NZ": "CK NU TK",
}  # fmt: skip
PARTS = {"England": "GB", "Scotland": "GB", "Wales": "GB", "Northern Ireland": "GB", "Great Britain": "GB"}
AMBIGUOUS = {
    "Georgia": "US", "Ireland": "GB", "Jersey": "US", "Lebanon": "US", "Jordan": "US", "Peru": "US", "Cuba": "US",
    "Mexico": "US", "Luxembourg": "BE", "Sudan": "SS", "Niger": "NG", "Guinea": "GW GQ PG", "Samoa": "AS",
    "Timor-Leste": "ID", "Micronesia": "GU KI MH NR PW MP", "Mongolia": "CN", "Macedonia": "GR",
    "Congo": "CD CG", "Korea": "KP KR", "America": "", "Saint Martin": "SX MF", "Virgin Islands": "VG VI",
}  # fmt: skip
"""Country names that name something else in other countries too: there the claim decides nothing."""

OTHER_LANGUAGE_NAMES = {
    "Bengali": "Bangla", "Farsi": "Persian", "Mandarin": "Chinese", "Mandarin Chinese": "Chinese", "Flemish": "Dutch",
    "Castilian": "Spanish", "Tagalog": "Filipino", "Oriya": "Odia", "Cantonese": "Chinese",
    "Moldovan": "Romanian", "Panjabi": "Punjabi", "Sinhalese": "Sinhala", "Castilian Spanish": "Spanish",
    "Brazilian Portuguese": "Portuguese",
}  # fmt: skip
CONTINENTS = {
    "Africa": "AF", "Asia": "AS", "Europe": "EU", "North America": "NA", "Central America": "NA", "South America": "SA",
    "Oceania": "OC", "Antarctica": "AN", "Australasia": "OC", "Caribbean": "NA", "Scandinavia": "EU",
    "Sub-Saharan Africa": "AF", "Eurasia": "EU AS", "the Americas": "NA SA", "Americas": "NA SA",
    "Latin America": "NA SA",
}  # fmt: skip
CONTINENT_NAMES = {"AF": "Africa", "AS": "Asia", "EU": "Europe", "NA": "North America", "SA": "South America",
                   "OC": "Oceania", "AN": "Antarctica"}  # fmt: skip
BESIDE = {
    "RU": "EU AS", "TR": "EU AS", "KZ": "EU AS", "AZ": "EU AS", "GE": "EU AS", "AM": "EU AS", "CY": "EU AS",
    "EG": "AF AS", "ID": "AS OC", "TL": "AS OC", "PA": "NA SA", "CO": "SA NA", "TT": "NA SA", "AW": "NA SA",
    "CW": "NA SA", "BQ": "NA SA", "YE": "AS AF", "GR": "EU AS", "MT": "EU AF", "CV": "AF EU", "PM": "NA",
    "GL": "NA EU", "IS": "EU NA", "MU": "AF", "CL": "SA OC", "CX": "AS OC", "CC": "AS OC", "IO": "AS AF", "BM": "NA",
}  # fmt: skip
"""Countries that more than one continent is given for: each of them is open, others are refuted."""
URALS = (45.0, 62.0)
"""Longitudes between which Russia may be said to be in Europe or in Asia."""
OUTLIERS = (
    (18.0, 29.0, -179.0, -154.0, "NA OC"),
    (27.0, 36.0, -19.0, -12.0, "EU AF"),
    (35.2, 36.0, -5.5, -2.8, "EU AF"),
    (12.0, 13.0, 53.0, 55.0, "AS AF"),
)
"""Boxes (south, north, west, east) whose continent is another than their country's: Hawaii, the Canaries and Madeira,
…"""


@cache
def names() -> dict[str, Named]:
    """Folded name → what it means, for every country and every other name."""
    table = {key(row["name"]): _named(row["name"], (code,)) for code, row in _rows().items()}
    for code, spellings in OTHER_NAMES.items():
        table |= {key(name): _named(name, (code,)) for name in spellings.split("|")}
    table |= {key(name): Named(name, frozenset(), frozenset([code])) for name, code in PARTS.items()}
    for name, codes in AMBIGUOUS.items():
        known = table.get(key(name), Named(name, frozenset()))
        table[key(name)] = Named(name, known.codes, known.doubtful | frozenset(codes.split()))
    del table[key("America")]
    return table


def continents() -> dict[str, frozenset[str]]:
    """Folded name of a continent → the codes it may mean."""
    return {key(name): frozenset(codes.split()) for name, codes in CONTINENTS.items()}


def continents_at(codes: Iterable[str], latitude: float, longitude: float) -> frozenset[str]:
    """The continents that a position in any of these countries may be said to lie on."""
    given = set(codes)
    given -= {parent for parent, parts in TERRITORIES.items() if not given.isdisjoint(parts.split())}
    found = {part for code in given for part in BESIDE.get(code, str(_rows()[code]["continent"])).split()}
    if given == {"RU"} and not URALS[0] <= longitude <= URALS[1]:
        found = {"EU"} if 0 <= longitude < URALS[0] else {"AS"}
    boxes = [box for s, n, w, e, box in OUTLIERS if s <= latitude <= n and w <= longitude <= e]
    return frozenset(found.union(*(box.split() for box in boxes)))


def languages(codes: Iterable[str], which: Literal["official", "spoken"]) -> frozenset[str]:
    """English names of the languages that are official in any of the countries, in a region of it too; "spoken" adds
    those of 5 % of the people, as a second language too."""
    return frozenset(name for code in codes for name in _rows()[code][which])


@cache
def language_names() -> dict[str, str]:
    """Every spelling of a language → its name in the table, for every language that some country lists."""
    return {name: name for name in languages(_rows(), "spoken")} | OTHER_LANGUAGE_NAMES


def drives_left(codes: Iterable[str]) -> frozenset[bool]:
    """Whether traffic keeps to the left in the countries: both values where they differ."""
    return frozenset(bool(_rows()[code]["left"]) for code in codes)


def name_of(code: str) -> str:
    """The English name of a country."""
    return str(_rows()[code]["name"])


def _named(name: str, codes: tuple[str, ...]) -> Named:
    covered = [part for code in codes for part in TERRITORIES.get(code, "").split()]
    return Named(name, frozenset((*codes, *covered)))


@cache
def _rows() -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    return rows
