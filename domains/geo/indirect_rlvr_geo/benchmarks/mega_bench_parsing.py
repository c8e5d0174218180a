"""Reads MEGA-Bench responses as its released parsers do: one answer behind "Answer:", or a JSON object.

Linear in the response: what the release does with recursive patterns and `ast.literal_eval` on anything is done here
with substring search, JSON, and literals of bounded length.
"""

import ast
import json
import re
from typing import Any

LONGEST_LITERAL = 20_000
"""Characters that are tried as a Python literal."""
DEEPEST = 50
"""Brackets within brackets that are read."""
MOST = 100
"""Objects and lists that are tried, from the last one."""
_BRACKET = re.compile(r"[\[({})\]]")
_WORDS = re.compile(r"\w*")
_LIST_LIKE = re.compile(r"[A-Za-z0-9_-]")
_IN_BRACKETS = re.compile(r"\([A-Za-z0-9_-]++\)")


def answer_string(response: str, single_line: bool) -> Any:
    """The answer behind the last "Answer:", without a code fence and outer quotes; a list or object where it is one.

    In bold ("**Answer: X**") it ends at the next star, so that "**Answer:** X" is empty, as in the release.
    `single_line` says that the gold answer has one line: then text after a blank line is dropped.
    """
    answer, fenced = _unfenced(_behind_answer(response))
    if single_line and not fenced:
        answer = _first_paragraph(answer)
    if answer.startswith(("{", "[")):
        found = _last_value(answer)
        return answer if found is None else found
    if answer[:1] in {'"', "'"}:
        value = literal(answer)
        return value if isinstance(value, str) else answer
    return answer


def json_object(response: str) -> dict[str, Any] | None:
    """The last JSON object in the response, None where there is none."""
    body, _ = _unfenced(response)
    found = _last_value(body)
    return found if isinstance(found, dict) and found else None


def literal(text: str) -> Any:
    """A Python literal, or None where the text is none, nests deeper than `DEEPEST` or is longer than
    `LONGEST_LITERAL`."""
    if len(text) > LONGEST_LITERAL or _depth(text) > DEEPEST:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _behind_answer(response: str) -> str:
    text = response.replace("answer:", "Answer:")
    before, found, behind = text.rpartition("Answer:")
    if not found:
        return text.strip()
    if before.endswith("*"):
        bold, closed, _ = behind.partition("*")
        if closed:
            return bold.strip()
    elif before[-1:].isalnum() or before.endswith("_"):
        return text.strip()
    return behind.strip()


def _unfenced(text: str) -> tuple[str, bool]:
    """The content of the first code block, and whether there is one."""
    start = text.find("```")
    opened = _WORDS.match(text, start + 3)
    end = text.find("```", opened.end()) if start >= 0 and opened else -1
    return (text[opened.end() : end].strip(), True) if opened and end >= 0 else (text, False)


def _first_paragraph(text: str) -> str:
    """The first paragraph where it is a short answer followed by a blank line, else all of it."""
    first = text.partition("\n\n")[0].strip()
    if not (_LIST_LIKE.match(first) or _IN_BRACKETS.fullmatch(first)):
        return text
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines) if line.strip()), len(lines))
    blank_follows = start + 1 < len(lines) and not lines[start + 1].strip()
    return first if blank_follows else text


def _last_value(text: str) -> Any:
    """The last JSON or literal object or list among the last `MOST` in the text, outermost ones only; None without
    any."""
    return next((value for piece in reversed(_balanced(text)[-MOST:]) if (value := _value(piece)) is not None), None)


def _value(piece: str) -> Any:
    if _depth(piece) > DEEPEST:
        return None
    try:
        return json.loads(piece)
    except (ValueError, RecursionError):
        return literal(piece)


def _balanced(text: str) -> list[str]:
    """The outermost pieces that start with a bracket or brace and close every one they open."""
    pieces, depth, start = [], 0, 0
    for match in re.finditer(r"[\[{}\]]", text):
        if match[0] in "[{":
            start = match.start() if depth == 0 else start
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                pieces.append(text[start : match.end()])
    return pieces


def _depth(text: str) -> int:
    """How deep brackets nest, those in quotes counted too."""
    depth = deepest = 0
    for match in _BRACKET.finditer(text):
        depth += 1 if match[0] in "[({" else -1
        deepest = max(deepest, depth)
    return deepest
