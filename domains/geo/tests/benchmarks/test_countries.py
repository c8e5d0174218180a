"""Names of countries and of US states that mean the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indirect_rlvr_geo.benchmarks.countries import country_code, same_country
from indirect_rlvr_geo.benchmarks.states import CODES, NAMES, state_code, states_in


@pytest.mark.parametrize(("one", "other"), [
    ("", ""), ("", "France"), ("Congo (Kinshasa)", "Congo (Brazzaville)"), ("South Korea", "North Korea"),
    ("Puerto Rico", "United States"), ("Georgia", "United States"), ("Atlantis", "Lemuria"), ("Atlantis", "France"),
    ("Guinea", "Guinea-Bissau"), ("Congo", "France"), ("Samoa", "American Samoa"), ("Dominica", "Dominican Republic"),
    ("Niger", "Nigeria"), ("Sudan", "South Sudan"), ("Virgin Islands", "United States"),
])  # fmt: skip
def test_different_countries_stay_different(one: str, other: str) -> None:
    assert not same_country(one, other)
    assert not same_country(other, one)


@pytest.mark.parametrize(("label", "answer"), [
    ("United States", "USA"), ("United States", "**United States of America**"), ("United States", "the U.S."),
    ("Bosnia And Herzegovina", "Bosnia & Herzegovina"), ("Congo (Kinshasa)", "Democratic Republic of the Congo"),
    ("Myanmar (Burma)", "Myanmar"),
    ("Czechia", "Czech Republic"), ("The Bahamas", "Bahamas"), ("Timor-Leste", "East Timor"), ("Reunion", "Réunion"),
    ("West Bank", "Palestine"), ("Kosovo", "kosovo"), ("Falkland Islands (Islas Malvinas)", "Falkland Islands"),
    ("South Korea", "Republic of Korea"), ("Russia", "Russian Federation"), ("Taiwan", "taiwan"),
    ("Puerto Rico", "PUERTO RICO"), ("United Kingdom", "Scotland"), ("Turkey", "Türkiye"),
    ("Ivory Coast", "Côte d'Ivoire"), ("Atlantis", "atlantis"),
])  # fmt: skip
def test_other_names_of_a_country_are_the_country(label: str, answer: str) -> None:
    assert same_country(label, answer)
    assert same_country(answer, label)


@given(st.text())
def test_no_text_raises_and_everything_equals_itself_at_most(text: str) -> None:
    assert country_code(text) is None or same_country(text, text)
    state_code(text)


@pytest.mark.parametrize(("written", "code"), [
    ("", None), ("Ontario", None), ("XX", None), ("Newark", None), ("ny", "NY"), ("New York", "NY"),
    ("NEW YORK STATE", "NY"),
    ("State of Kansas", "KS"), ("Washington", "WA"), ("Washington, D.C.", "DC"), ("**Texas**", "TX"), ("Alaska", "AK"),
])  # fmt: skip
def test_a_state_is_read_by_name_and_by_code(written: str, code: str | None) -> None:
    assert state_code(written) == code


@pytest.mark.parametrize(("south", "north", "west", "east", "states"), [
    (47.0, 47.0625, -99.1875, -99.125, ("ND",)), (36.9, 37.1, -109.1, -109.0, ("NM", "UT", "CO", "AZ")),
    (25.75, 25.8125, -80.3, -80.2375, ("FL",)), (47.5625, 47.625, -122.4375, -122.375, ("WA",)),
    (38.875, 38.9375, -77.0625, -77.0, ("DC", "VA")), (30.0, 30.0625, -70.0, -69.9375, ()), (0.0, 1.0, 0.0, 1.0, ()),
    (52.0, 53.0, -100.0, -99.0, ()), (21.25, 21.3125, -157.875, -157.8125, ()),
])  # fmt: skip
def test_a_box_touches_the_states_it_touches(
    south: float, north: float, west: float, east: float, states: tuple[str, ...]
) -> None:
    found = states_in(south, north, west, east)
    assert set(found) == set(states)
    assert len(CODES) == 49
    assert len(NAMES) == 51
