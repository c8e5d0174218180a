"""What every parser of model text must satisfy, whatever it reads: what was read, written plainly, is read again."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

T = TypeVar("T")


def assert_parser_invariants(
    parse: Callable[[str], T | None], canonical: Callable[[T], str], texts: st.SearchStrategy[str], examples: int = 100
) -> None:
    """Hold a parser to: no exception on any text; the same twice; and idempotent, that is `parse(canonical(found))`
    is `found` again for whatever it finds, blank lines around the canonical form or none.

    `canonical` writes a value the plainest way, for a choice in a whole completion. Values are compared with ==.
    Raises AssertionError.
    """

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(texts)
    def holds(text: str) -> None:
        found = _read(parse, text)
        if (again := _read(parse, text)) != found:
            raise AssertionError(f"the parser reads {found!r} and then {again!r} in one text: {text!r:.500}")
        if found is None:
            return
        for form in (canonical(found), f"\n{canonical(found)}\n"):
            if (back := _read(parse, form)) != found:
                raise AssertionError(f"the parser reads {found!r} in {text!r:.500}, but {back!r} in {form!r:.500}")

    holds()


def _read(parse: Callable[[str], T | None], text: str) -> T | None:
    try:
        return parse(text)
    except Exception as error:
        raise AssertionError(
            f"the parser raised {type(error).__name__}: {error}; the text was {text!r:.500}"
        ) from error
