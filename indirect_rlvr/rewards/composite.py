"""The composite reward r = Σ λ·r over named terms, each held to its declared range."""

import hashlib
import inspect
import math
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import BaseModel

from indirect_rlvr.config import Reward
from indirect_rlvr.errors import ConfigError, RlvrError, RunError
from indirect_rlvr.rewards import terms
from indirect_rlvr.run import digest
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask, Term

_TOLERANCE = 1e-9
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_STATUSES = ("scored", "unparsable", "not_applicable")


@dataclass(frozen=True, slots=True)
class Score:
    """The weighted total of one completion, and the outcome of each term by name."""

    total: float
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class Composite:
    """Named terms and the weight λ of each, in the same order; and those that see a whole group, with theirs."""

    terms: tuple[Term, ...]
    weights: tuple[float, ...]
    group_terms: tuple[GroupTerm, ...] = ()
    group_weights: tuple[float, ...] = ()

    def score(self, task: ProxyTask, completion: Completion) -> Score:
        """Σ λ·value over the terms that apply to one completion alone; raises RunError as `outcome` does."""
        return _total({term.name: outcome(term, task, completion) for term in self.terms}, self._weight_of())

    def score_group(self, task: ProxyTask, group: Sequence[Completion]) -> list[Score]:
        """The score of each of the G completions of one prompt, group terms included; raises RunError as `outcome`
        and `group_outcomes` do."""
        shared = {term.name: group_outcomes(term, task, group) for term in self.group_terms}
        weights = self._weight_of()
        return [
            _total(
                {term.name: outcome(term, task, completion) for term in self.terms}
                | {name: found[index] for name, found in shared.items()},
                weights,
            )
            for index, completion in enumerate(group)
        ]

    def describe(self) -> list[dict[str, object]]:
        """Each term for the manifest: name, range, weight and, where it is made by `functools.partial`, parameters."""
        weights = self._weight_of()
        return [_described(term) | {"weight": weights[term.name]} for term in self.all_terms()]

    def version(self) -> str:
        """A digest of `describe` and of the source files of the rewards package and of every term.

        What a domain's term closes over, or calls in other files, is not part of it; the recipe and the package
        versions in the same manifest cover those. Raises ConfigError for a term without a source file.
        """
        files = {str(path) for path in Path(__file__).parent.glob("*.py")}
        files |= {file for term in self.all_terms() for file in _source_files(term)}
        sources = sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files)
        return digest({"terms": self.describe(), "sources": sources})

    def all_terms(self) -> list[Term | GroupTerm]:
        """Every term, those that see a group last."""
        return [*self.terms, *self.group_terms]

    def _weight_of(self) -> dict[str, float]:
        alone = {term.name: weight for term, weight in zip(self.terms, self.weights, strict=True)}
        grouped = {term.name: weight for term, weight in zip(self.group_terms, self.group_weights, strict=True)}
        return alone | grouped


def build(settings: Reward, domain_terms: Sequence[Term | GroupTerm]) -> Composite:
    """The composite of a recipe: the core's terms and the domain's, as far as `settings.weights` names them.

    `settings.gates` maps a term to the one that must reach its high first ({"accuracy": "format"}), which need not
    count itself.
    Raises ConfigError for two terms of one name, an impossible range, a weight or gate of an unknown term (listing the
    known), and for a reward that is nothing but zeros.
    """
    known = known_terms(settings, domain_terms)
    _require_weights(settings.weights, known)
    counted = [term for name, term in known.items() if name in settings.weights]
    alone = [_behind_gate(term, settings.gates, known) for term in counted if isinstance(term, Term)]
    grouped = [term for term in counted if isinstance(term, GroupTerm)]
    for name in settings.gates:
        if name not in {term.name for term in alone}:
            raise ConfigError(f"`reward.gates` gates `{name}`, which is no term with a weight that sees one completion")
    weights = settings.weights
    return Composite(
        tuple(alone),
        tuple(weights[term.name] for term in alone),
        tuple(grouped),
        tuple(weights[term.name] for term in grouped),
    )


def known_terms(settings: Reward, domain_terms: Sequence[Term | GroupTerm]) -> dict[str, Term | GroupTerm]:
    """Every term that a recipe can give a weight, by name; raises ConfigError for two of one name and an impossible
    range."""
    known: dict[str, Term | GroupTerm] = {}
    for term in (*_core_terms(settings), *domain_terms):
        if term.name in known:
            raise ConfigError(f"two reward terms are named `{term.name}`; give the domain's a name of its own")
        if not (math.isfinite(term.low) and math.isfinite(term.high) and term.low <= term.high):
            raise ConfigError(
                f"reward term `{term.name}` has the range [{term.low}, {term.high}]; expected low <= high"
            )
        known[term.name] = term
    return known


def outcome(term: Term, task: ProxyTask, completion: Completion) -> Outcome:
    """What a term says of one completion.

    Raises RunError that names term and task where the term raises, returns no Outcome, or leaves its range; an
    RlvrError of the term, which is about the task's facts or the term's settings, passes unchanged.
    """
    place = f"reward term `{term.name}` at task `{task.id}`"
    return _held(term, place, _called(place, lambda: term.score(task, completion)))


def group_outcomes(term: GroupTerm, task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
    """What a group term says of each completion of a group, in order; raises RunError as `outcome` does, and where
    there is not one outcome for each."""
    place = f"group term `{term.name}` at task `{task.id}`"
    found = _called(place, lambda: term.score(task, group))
    if not isinstance(found, (list, tuple)) or len(found) != len(group):
        raise RunError(f"{place} returned {found!r:.200}; expected one Outcome for each of {len(group)} completions")
    return [_held(term, place, one) for one in found]


def _called(place: str, score: Callable[[], object]) -> object:
    try:
        return score()
    except RlvrError:
        raise
    except Exception as error:
        raise RunError(
            f"{place} raised {type(error).__name__}: {error}; a term must not raise on model text"
        ) from error


def _held(term: Term | GroupTerm, place: str, found: object) -> Outcome:
    if not isinstance(found, Outcome):
        raise RunError(f"{place} returned {found!r}; expected an Outcome")
    if found.status not in _STATUSES:
        raise RunError(f"{place} returned the status `{found.status}`; expected one of {', '.join(_STATUSES)}")
    if not term.low - _TOLERANCE <= found.value <= term.high + _TOLERANCE:
        raise RunError(f"{place} returned {found.value}; expected a value in its range [{term.low}, {term.high}]")
    return found


def _total(outcomes: Mapping[str, Outcome], weights: Mapping[str, float]) -> Score:
    counted = [weights[name] * found.value for name, found in outcomes.items() if found.status != "not_applicable"]
    return Score(math.fsum(counted), outcomes)


def _core_terms(settings: Reward) -> tuple[Term, ...]:
    if settings.overlong_buffer > settings.overlong_limit:
        raise ConfigError(
            f"`reward.overlong_buffer` is {settings.overlong_buffer}; expected at most the {settings.overlong_limit} "
            "of `reward.overlong_limit`"
        )
    return (
        terms.accuracy(settings.accuracy),
        terms.format_term(),
        terms.length(settings.length_limit),
        terms.repetition(settings.repetition_ngram),
        terms.overlong(settings.overlong_limit, settings.overlong_buffer),
    )


def _require_weights(weights: Mapping[str, float], known: Mapping[str, object]) -> None:
    for name in weights:
        if name not in known:
            raise ConfigError(f"`reward.weights` names the unknown term `{name}`; known terms: {', '.join(known)}")
    if not any(weights.values()):
        raise ConfigError(f"`reward.weights` gives no term a weight other than 0; known terms: {', '.join(known)}")


def _behind_gate(term: Term, gates: Mapping[str, str], known: Mapping[str, Term | GroupTerm]) -> Term:
    if term.name not in gates:
        return term
    gate = known.get(gates[term.name])
    if not isinstance(gate, Term) or gate is term:
        alone = [name for name, other in known.items() if isinstance(other, Term) and other is not term]
        raise ConfigError(
            f"`reward.gates.{term.name}` is `{gates[term.name]}`; expected another term that sees one completion: "
            f"{', '.join(alone)}"
        )
    return terms.gated(term, gate)


def _described(term: Term | GroupTerm) -> dict[str, object]:
    parameters = _parameters(term.score) if isinstance(term.score, partial) else {}
    return {"name": term.name, "low": term.low, "high": term.high, "parameters": parameters}


def _shown(value: object) -> object:
    """A parameter as JSON holds it, the same in every process: no order of a set, no address in what Python prints."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _shown(held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shown(held) for held in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(_shown, value), key=repr)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (Term, GroupTerm)):
        return _described(value)
    if isinstance(value, partial):
        return {"function": _shown(value.func), **_parameters(value)}
    if isinstance(value, (type, types.FunctionType)):
        return f"{value.__module__}.{value.__qualname__}"
    return _ADDRESS.sub("", repr(value))


def _parameters(made: partial[object]) -> dict[str, object]:
    named = {name: _shown(held) for name, held in made.keywords.items()}
    return {"arguments": _shown(made.args), **named} if made.args else named


def _source_files(term: Term | GroupTerm) -> set[str]:
    """The files a term is written in, and those of the terms and functions it is made from."""
    files = set()
    pending: list[object] = [term.score]
    while pending:
        part = pending.pop()
        if isinstance(part, partial):
            held = (*part.args, *part.keywords.values())
            pending += [part.func, *(value for value in held if isinstance(value, (Term, partial, types.FunctionType)))]
        elif isinstance(part, Term):
            pending.append(part.score)
        else:
            files.add(_source_file(term.name, part))
    return files


def _source_file(name: str, score: object) -> str:
    source = inspect.getsourcefile(score if isinstance(score, types.FunctionType) else type(score))
    if source is None or not Path(source).is_file():
        raise ConfigError(f"reward term `{name}` has no source file to tell its version by; define it in a module")
    return source
