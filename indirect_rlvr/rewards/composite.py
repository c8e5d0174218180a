"""The composite reward r = Σ λ·r over named terms, each held to its declared range."""

import hashlib
import inspect
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from indirect_rlvr.config import Reward
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.rewards import parsing, terms
from indirect_rlvr.run import digest
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Score:
    """The weighted total of one completion, and the outcome of each term by name."""

    total: float
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Composite:
    """Named terms and the weight λ of each, in the same order."""

    terms: tuple[Term, ...]
    weights: tuple[float, ...]

    def score(self, task: ProxyTask, completion: Completion) -> Score:
        """Σ λ·value over the terms that apply; raises RunError as `outcome` does."""
        outcomes = {term.name: outcome(term, task, completion) for term in self.terms}
        applicable = [
            weight * found.value
            for weight, found in zip(self.weights, outcomes.values(), strict=True)
            if found.status != "not_applicable"
        ]
        return Score(math.fsum(applicable), outcomes)

    def describe(self) -> list[dict[str, object]]:
        """Each term for the manifest: name, range, weight and, of the core's own terms, parameters."""
        return [
            {"name": t.name, "low": t.low, "high": t.high, "weight": weight, "parameters": _parameters(t)}
            for t, weight in zip(self.terms, self.weights, strict=True)
        ]

    def version(self) -> str:
        """A digest of `describe` and of the source files the terms and their parsers are written in.

        What a domain's term closes over, or calls in other files, is not part of it; the recipe and the package
        versions in the same manifest cover those. Raises ConfigError for a term without a source file.
        """
        files = {parsing.__file__, terms.__file__, __file__, *(_source_file(term) for term in self.terms)}
        sources = sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files)
        return digest({"terms": self.describe(), "sources": sources})


def build(settings: Reward, domain_terms: Sequence[Term]) -> Composite:
    """The composite of a recipe: the core's terms and the domain's, as far as `settings.weights` names them.

    Raises ConfigError for two terms of one name, an impossible range, a weight of an unknown term (listing the known)
    or one that is not finite, and for a reward that is nothing but zeros.
    """
    known = (
        terms.accuracy(settings.accuracy),
        terms.format_term(),
        terms.length(settings.length_limit),
        terms.repetition(settings.repetition_ngram),
        *domain_terms,
    )
    names = [term.name for term in known]
    for term in known:
        if names.count(term.name) > 1:
            raise ConfigError(f"two reward terms are named `{term.name}`; give the domain's a name of its own")
        if not (math.isfinite(term.low) and math.isfinite(term.high) and term.low <= term.high):
            raise ConfigError(
                f"reward term `{term.name}` has the range [{term.low}, {term.high}]; expected low <= high"
            )
    for name, weight in settings.weights.items():
        if name not in names:
            raise ConfigError(f"`reward.weights` names the unknown term `{name}`; known terms: {', '.join(names)}")
        if not math.isfinite(weight):
            raise ConfigError(f"`reward.weights.{name}` is {weight}; expected a finite number")
    if not any(settings.weights.values()):
        raise ConfigError(f"`reward.weights` gives no term a weight other than 0; known terms: {', '.join(names)}")
    counted = tuple(term for term in known if term.name in settings.weights)
    return Composite(counted, tuple(settings.weights[term.name] for term in counted))


def outcome(term: Term, task: ProxyTask, completion: Completion) -> Outcome:
    """What a term says of one completion.

    Raises RunError that names term and task where the term raises, returns no Outcome, or leaves its range.
    """
    place = f"reward term `{term.name}` at task `{task.id}`"
    try:
        found = term.score(task, completion)
    except Exception as error:
        raise RunError(
            f"{place} raised {type(error).__name__}: {error}; a term must not raise on model text"
        ) from error
    if not isinstance(found, Outcome):
        raise RunError(f"{place} returned {found!r}; expected an Outcome")
    if not term.low - _TOLERANCE <= found.value <= term.high + _TOLERANCE:
        raise RunError(f"{place} returned {found.value}; expected a value in its range [{term.low}, {term.high}]")
    return found


def _parameters(term: Term) -> dict[str, object]:
    return dict(term.score.keywords) if isinstance(term.score, partial) else {}


def _source_file(term: Term) -> str:
    score = term.score.func if isinstance(term.score, partial) else term.score
    source = inspect.getsourcefile(score if isinstance(score, types.FunctionType) else type(score))
    if source is None or not Path(source).is_file():
        raise ConfigError(f"reward term `{term.name}` has no source file to tell its version by; define it in a module")
    return source
