"""The reward term for an answer that is a place in a hierarchy: country, then city, each worth something only where
everything coarser is right."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.rewards.gold import text_fact
from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr.rewards.quantities import LONGEST, normal_text
from indirect_rlvr.rewards.values import UNPARSABLE
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

_NO_ALIASES: Mapping[str, str] = MappingProxyType({})


def place(name: str, levels: Sequence[tuple[str, str, float]], aliases: Mapping[str, str] = _NO_ALIASES) -> Term:
    """The value of the finest level that is right together with all coarser ones, else 0.

    `levels` are (the word in the answer, the key of the fact, what it is worth), coarsest first, worth rising to 1:
    `(("country", "query.country", 0.2), ("city", "query.city", 1.0))` is GLOBE's reward (arXiv 2506.14674). The answer
    has a line "country: …" for each, or is a JSON object. Names are compared whole, after `normal_text`; `aliases`
    maps other names to the fact's ("usa" to "united states"). A level named twice is unparsable.

    Raises ConfigError for worths that do not rise to 1.
    """
    worths = [worth for _, _, worth in levels]
    if not worths or worths != sorted(set(worths)) or worths[0] <= 0 or worths[-1] != 1:
        raise ConfigError(f"reward term `{name}`: the worths of the levels are {worths}; expected them to rise to 1")
    known = {normal_text(alias) or alias: normal_text(target) or target for alias, target in aliases.items()}
    named = tuple((normal_text(word) or word, key, worth) for word, key, worth in levels)
    return Term(name, 0.0, 1.0, partial(_place, levels=named, aliases=known))


def parse_place(text: str, words: Sequence[str]) -> dict[str, str] | None:
    """What the answer states for each of `words`, which are in `normal_text` as what is stated will be; None where none
    is stated or one is twice."""
    if len(text) > LONGEST:
        return None
    stated: dict[str, str] = {}
    for word, value in _fields(text):
        level, named = normal_text(word), normal_text(value)
        if level is None or named is None or level not in words:
            continue
        if level in stated:
            return None
        stated[level] = named
    return stated or None


def _place(
    task: ProxyTask,
    completion: Completion,
    levels: Sequence[tuple[str, str, float]],
    aliases: Mapping[str, str],
) -> Outcome:
    expected = {word: normal_text(text_fact(task, key)) or "" for word, key, _ in levels}
    stated = parse_place(last_answer(completion.text) or "", [word for word, _, _ in levels])
    if stated is None:
        return UNPARSABLE
    value = 0.0
    for word, _, worth in levels:
        named = stated.get(word)
        if named is None or aliases.get(named, named) != aliases.get(expected[word], expected[word]):
            break
        value = worth
    return Outcome(value)


def _fields(text: str) -> list[tuple[str, str]]:
    if text.strip().startswith("{"):
        try:
            pairs = json.loads(text, object_pairs_hook=list)
        except (ValueError, RecursionError):
            return []
        return [(word, value) for word, value in pairs if isinstance(value, str)]
    lines = (line.partition(":") for line in text.splitlines())
    return [(word, value) for word, _, value in lines]
