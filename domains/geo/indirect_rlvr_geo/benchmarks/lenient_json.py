"""Reads the JSON that models almost write, as IMAGEO-Bench's released parser does: fenced, with Python's None, quoted
like Python, with bare keys or trailing commas, or with prose around it.

Every step is linear in the text and evaluates nothing: where the release calls `ast.literal_eval`, Python's literals
are rewritten as JSON here.
"""

import json
import re
from typing import Any

LONGEST = 100_000
"""Characters of a text that is read at all; published answers have a few thousand."""
_BARE_KEY = re.compile(r"(?<=[{\s,])([a-zA-Z_][a-zA-Z0-9_]*)(\s*):")
_TRAILING = re.compile(r",\s*([}\]])")
_TOKEN = re.compile(r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|[-+0-9.eE{}\[\],:\s]+""")


def read_object(text: str) -> dict[str, Any]:
    """The object that a response states; {} where there is none, where it is a list, or where the text is longer than
    `LONGEST`."""
    if len(text) > LONGEST:
        return {}
    fenced = _fenced(text)
    body = text.strip() if fenced is None else fenced
    plain = body.replace("None", "null").replace("True", "true").replace("False", "false")
    found = _read(body) or _read(plain) or _read(_from_python(plain)) or _read(_repaired(plain))
    if found is None and fenced is None:
        found = _read(_repaired(_outermost(plain)))
    return found[0] if found and isinstance(found[0], dict) else {}


def _read(text: str) -> tuple[Any] | None:
    """What valid JSON says, in a tuple, so that null is something."""
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None


def _fenced(text: str) -> str | None:
    """The content of the first block between three backticks, without the word "json" before it."""
    start = text.find("```")
    end = text.find("```", start + 3)
    return None if start < 0 or end < 0 else text[start + 3 : end].removeprefix("json").strip()


def _from_python(text: str) -> str:
    """A Python literal of dicts, lists, strings and numbers as JSON; "" where the text is something else."""
    pieces = []
    at = 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            return ""
        pieces.append(_as_json(token.group()))
        at = token.end()
    return "".join(pieces)


def _as_json(token: str) -> str:
    if token[0] not in "'\"":
        return _TRAILING.sub(r"\1", token)
    content = token[1:-1].replace("\\'", "'")
    return f'"{content}"' if token[0] == '"' else '"' + re.sub(r'\\(.)|"', _escaped, content) + '"'


def _escaped(found: re.Match[str]) -> str:
    return '\\"' if found[1] is None or found[1] == '"' else found[0]


def _repaired(text: str) -> str:
    """Bare keys quoted, single quotes as double ones, no comma before a closing bracket."""
    return _TRAILING.sub(r"\1", _BARE_KEY.sub(r'"\1":', text).replace("'", '"'))


def _outermost(text: str) -> str:
    """From the first opening bracket to the last closing one of its kind."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start < 0:
        return ""
    return text[start : text.rfind("}" if text[start] == "{" else "]") + 1]
