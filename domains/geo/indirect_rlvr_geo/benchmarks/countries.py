"""Which country a name means, so that "USA" and "United States" are one answer."""

from indirect_rlvr.rewards.quantities import normal_text
from indirect_rlvr_geo import nations
from indirect_rlvr_geo.gazetteer import key

_OTHERWISE = {
    "america": "US", "united states of america usa": "US", "congo (kinshasa)": "CD", "congo (brazzaville)": "CG",
    "democratic republic of congo": "CD", "dem rep congo": "CD", "republic of congo": "CG", "congo brazzaville": "CG",
    "falkland islands (islas malvinas)": "FK", "state of palestine": "PS", "palestine state": "PS", "gaza": "PS",
    "hong kong sar": "HK", "hong kong sar china": "HK", "macau sar": "MO", "macao sar": "MO", "russian fed": "RU",
    "korea": "KR", "people's republic of china": "CN", "taiwan province of china": "TW", "republic of china": "TW",
    "islamic republic of iran": "IR", "syrian arab republic": "SY", "lao people's democratic republic": "LA",
    "republic of moldova": "MD", "united republic of tanzania": "TZ", "plurinational state of bolivia": "BO",
    "bolivarian republic of venezuela": "VE", "brunei darussalam": "BN", "micronesia federated states of": "FM",
    "saint martin": "MF", "sint maarten": "SX", "u s virgin islands": "VI", "us virgin islands": "VI",
    "united states virgin islands": "VI", "republic of serbia": "RS", "slovak republic": "SK",
}  # fmt: skip


def country_code(name: str) -> str | None:
    """The ISO 3166 code of the country that a name in English means, None where it means none.

    Case, accents, an article before it and a remark in brackets behind it do not matter. A part of the United Kingdom
    means all of it; Georgia is the country.
    """
    plain = normal_text(name)
    if plain is None:
        return None
    spellings = (key(name.strip()), key(plain), key(plain).removeprefix("the "), key(plain.partition("(")[0]))
    for spelling in dict.fromkeys(spellings):
        if spelling in _OTHERWISE:
            return _OTHERWISE[spelling]
        found = nations.names().get(spelling)
        if found is not None and (found.codes or found.doubtful):
            return _main(found)
    return None


def same_country(one: str, other: str) -> bool:
    """Whether two names mean one country; unknown names are compared as `normal_text`."""
    codes = country_code(one), country_code(other)
    if codes == (None, None):
        return normal_text(one) is not None and normal_text(one) == normal_text(other)
    return codes[0] == codes[1]


def _main(found: nations.Named) -> str | None:
    """The country itself among the codes of it and its territories; None where a name means several."""
    codes = set(found.codes or found.doubtful)
    codes -= {part for parent in codes for part in nations.TERRITORIES.get(parent, "").split()}
    return codes.pop() if len(codes) == 1 else None
