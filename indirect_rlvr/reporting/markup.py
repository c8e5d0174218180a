"""Builds HTML from plain strings that are escaped by construction: only what `element` made passes as markup.

Records, models and domain packs write what they like; here it becomes visible, bounded and inert.
"""

import unicodedata
from collections.abc import Mapping
from html import escape

HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
VOID = frozenset({"img", "meta", "br"})
LIMIT = 6000
"""Characters of a foreign text that are shown."""


class Html(str):
    """Markup that is already safe; made in this module alone."""

    __slots__ = ()


def element(name: str, attributes: Mapping[str, object] | None = None, *children: str) -> Html:
    """One element of HTML or SVG; every child and attribute that is not `Html` is made visible and escaped.

    An attribute that is True stands alone, one that is None or False is left out.
    """
    given = {key: value for key, value in (attributes or {}).items() if value is not None and value is not False}
    words = [key if value is True else f'{key}="{_quoted(value)}"' for key, value in given.items()]
    opening = " ".join([name, *words])
    return Html(f"<{opening}>" if name in VOID else f"<{opening}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Parts one after another; those that are not `Html` are escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(visible(part), quote=True) for part in parts))


def text(content: str, limit: int = LIMIT) -> Html:
    """A foreign text with a limit of its own."""
    return Html(escape(visible(content, limit), quote=True))


def visible(text: str, limit: int = LIMIT) -> str:
    """Text with nothing hidden: control, format and bidirectional characters, lone surrogates and unassigned code
    points become [U+XXXX], and what exceeds `limit` characters is cut with a note. Linear in `limit`."""
    shown = "".join(_visible(character) for character in text[:limit])
    return shown if len(text) <= limit else f"{shown} … [{len(text) - limit:,} more characters, cut here]"


def _visible(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in HIDDEN:
        return character
    return f"[U+{ord(character):04X}]"


def _quoted(value: object) -> str:
    return value if isinstance(value, Html) else escape(visible(str(value)), quote=True)
