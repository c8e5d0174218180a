"""A tree from outside into one of our frozen models; each mistake is said with its place and what is known there."""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.foreign import require_shallow
from indirect_rlvr.reporting.markup import visible

M = TypeVar("M", bound=BaseModel)


def require_plain(tree: dict[str, Any], place: str) -> None:
    """Raise ConfigError for what TOML knows and the files of a run cannot hold: dates, numbers that are not finite or
    have more than 64 bits, text that UTF-8 or the name of a file cannot hold, tables without end in each other."""
    try:
        require_shallow(tree)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}; make it flatter") from error
    level: list[tuple[str, Any]] = [("", tree)]
    while level:
        for key, value in level:
            if not isinstance(value, (dict, list)) and not _is_plain(value):
                raise ConfigError(
                    f"{place}: `{visible(key, 80)}` is {value!r:.80}; expected text, a boolean, a finite number of at "
                    "most 64 bits, or a list or table of these"
                )
        level = [(f"{key}.{name}".lstrip("."), item) for key, value in level for name, item in _items(value)]


def _items(value: object) -> list[tuple[object, Any]]:
    if isinstance(value, dict):
        return [*value.items(), *((name, name) for name in value)]
    return list(enumerate(value)) if isinstance(value, list) else []


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < 2**63


def validate(model: type[M], tree: dict[str, Any], place: str, overrides: Sequence[str] = ()) -> M:
    """`tree` as `model`; raises ConfigError that says of each mistake whether it stands in `place` or in one of the
    `overrides`."""
    try:
        return model.model_validate(tree, strict=False)
    except ValidationError as error:
        told: dict[str, list[str]] = {}
        for problem in error.errors():
            where = _override_at(problem["loc"], overrides) or place
            told.setdefault(where, []).append(_explain(model, dict(problem)))
        raise ConfigError("; ".join(f"{where}: {'; '.join(lines)}" for where, lines in told.items())) from error


def _override_at(place: tuple[str | int, ...], overrides: Sequence[str]) -> str:
    """The last override that wrote at `place`, inside or around it, as it stood on the command line; "" without one."""
    for override in reversed(overrides):
        key = override.partition("=")[0].strip().split(".")
        if all(part == str(other) for part, other in zip(key, place, strict=False)):
            return f"`--set {visible(override, 200)}`"
    return ""


def _explain(model: type[BaseModel], problem: dict[str, Any]) -> str:
    place = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return f"unknown key `{visible(place, 200)}`; known keys here: {', '.join(_known(model, problem['loc'][:-1]))}"
    if problem["type"] == "value_error" and isinstance(problem["input"], dict):  # a rule of a whole section
        return f"{f'`{place}`: ' if place else ''}{problem['ctx']['error']!s:.400}"
    return f"`{place}` is {problem['input']!r:.200}: {problem['msg'].lower():.400}"


def _known(model: type[BaseModel], sections: tuple[str | int, ...]) -> list[str]:
    for section in sections:
        annotation = model.model_fields[str(section)].annotation
        assert isinstance(annotation, type) and issubclass(annotation, BaseModel)
        model = annotation
    return sorted(model.model_fields)
