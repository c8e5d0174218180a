"""The nouns of the project, frozen: what each stage turns into what.

Record → CandidateSet → ProxyTask → Prompt → Completion → Outcome; and apart from them, never mixed, Benchmark and
Example: what a reward can see is a ProxyTask, and what measures the transfer is an Example.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Scalar = str | int | float | bool
Split = Literal["train", "test"]
Status = Literal["supported", "contradicted", "unverifiable"]


@dataclass(frozen=True, slots=True)
class View:
    """One observation of a record.

    `content` is the text itself, or for an image its path relative to the records folder (never absolute, never
    outside that folder).
    """

    kind: str
    modality: Literal["image", "text"]
    content: str


@dataclass(frozen=True, slots=True)
class Record:
    """One thing the world gave us.

    `cluster` (a place block, a patient, a source) is the barrier for splits and the unit of error bars. `facts` is
    metadata: finite numbers, strings, booleans. `split` is "" unless the domain itself decides where a record belongs.
    """

    id: str
    cluster: str
    views: Mapping[str, View]
    facts: Mapping[str, Scalar]
    split: Literal["train", "test", ""] = ""


@dataclass(frozen=True, slots=True)
class Ring:
    """A further metric of a neighbourhood: any two members of a set are at least `r_min` and at most `r_max` apart.

    `value` maps a record to a point (`euclidean`; time is a point of one coordinate, in `unit`) or to a fingerprint, a
    non-negative integer whose bits are the features (`hamming` counts differing bits, `tanimoto` is 1 − shared/all).
    """

    name: str
    metric: Literal["euclidean", "hamming", "tanimoto"]
    value: Callable[[Record], Sequence[float] | int]
    r_min: float = 0.0
    r_max: float | None = None
    unit: str = ""
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Which records share everything but the answer.

    `keys` are facts that must be equal. `position` maps a record to a point of a Euclidean space whose distances are in
    `unit`, or with `metric="lon_lat_degrees"` to (longitude_degrees, latitude_degrees), and distances are metres along
    the great circle. Members of a set lie in one cell of side `cells[level]`, smallest first (anchor rings: in a
    ball of that diameter), and are at least `r_min` apart, and records of different splits at least `buffer` apart.
    `rings` are further metrics. `nuisance` is a scalar that must not decide the answer. Records that agree on a fact of
    `match_keys`, or for which `matches` (symmetric) is true, show the same thing and never stand in one set. `about`
    says for the report what keeps the views of different splits apart.
    """

    keys: tuple[str, ...] = ()
    position: Callable[[Record], Sequence[float]] | None = None
    unit: str = ""
    cells: tuple[float, ...] = ()
    r_min: float = 0.0
    buffer: float = 0.0
    nuisance: Callable[[Record], float] | None = None
    about: str = ""
    metric: Literal["euclidean", "lon_lat_degrees"] = "euclidean"
    rings: tuple[Ring, ...] = ()
    match_keys: tuple[str, ...] = ()
    matches: Callable[[Record, Record], bool] | None = None


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """K records of one neighbourhood; `level` indexes the cell side it came from.

    The set is formed without knowing the answer, and `anchor` is "", except with the anchor ring, where the anchor is
    the only member that may be asked for.
    """

    id: str
    split: Split
    level: int
    members: tuple[str, ...]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """What a domain makes of one candidate set: the wording, the query's views and one view for each candidate.

    `facts` is what scaffolds and fact checks may use; it is never shown to the policy.
    """

    text: str
    query: tuple[View, ...]
    candidates: tuple[View, ...]
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ProxyTask:
    """A question with K candidates and exactly one verifiable answer, built from records alone.

    `difficulty` holds measures of the candidate set by name (`data/difficulty.py`); none of them knows the answer.
    """

    id: str
    cluster: str
    split: Split
    level: int
    question: Question
    labels: tuple[str, ...]
    answer: str
    query_record: str
    candidate_records: tuple[str, ...]
    difficulty: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One user turn: text and views in reading order."""

    parts: tuple[str | View, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """What the policy wrote: `text` without special tokens, `token_ids` up to and without the end token.

    `finished` is False where the token limit cut it.
    """

    text: str
    token_ids: tuple[int, ...] = ()
    finished: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value of one reward term for one completion, and whether there was anything to score."""

    value: float
    status: Literal["scored", "unparsable", "not_applicable"] = "scored"


@dataclass(frozen=True, slots=True)
class Term:
    """A pure, named function of (task, completion) with values in [low, high]; it never raises on model text.

    `breaks` names invariants of `indirect_rlvr.testing` that it is known to break, for a defect kept on purpose: the
    battery then requires that each of them is broken, and holds no reward that counts the term to those of a whole.
    """

    name: str
    low: float
    high: float
    score: Callable[[ProxyTask, Completion], Outcome]
    breaks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupTerm:
    """A pure, named function of one task and the G completions of its group: one Outcome each, in order, with values
    in [low, high]. It is a type of its own because a `Term` must not see the neighbours of a completion."""

    name: str
    low: float
    high: float
    score: Callable[[ProxyTask, Sequence[Completion]], Sequence[Outcome]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim found in a trace, and what the metadata says of it.

    `kind` is the type of the claim and `span` its place in the text, where the domain knows them.
    """

    claim: str
    status: Status
    evidence: str
    kind: str = ""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One question of a target task; no reward can take it.

    `truth` is what the benchmark's own files say of it, as plain JSON; `task` is the sub-task it counts for. `missing`
    names media that the files promise and the disk lacks: such an example is not asked, and counted. An empty prompt is
    no question for a model: it is scored from predictions alone. `flags` are
    warnings that results are split by, such as "train city".
    """

    id: str
    cluster: str
    prompt: Prompt
    truth: Mapping[str, Any]
    task: str = ""
    missing: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """What any system answered to one example. `frames` is the (width, height) in pixels at which the model saw each
    image of the prompt, in order; () where that is unknown, and boxes are then taken to be in the file's own pixels."""

    text: str
    frames: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Graded:
    """One example with what was read from its response and what that is worth.

    `parsed` is None where nothing usable was said, and where media were missing; `values` maps the names of per-example
    values (shares in [0, 1], kilometres …) to finite numbers, and a value that does not apply is absent.
    """

    example: Example
    parsed: Mapping[str, Any] | None
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a benchmark. `unit` is "share" (in [0, 1]), "km" or "points"; `task` is "" for the whole benchmark.

    `n` is the denominator that `convention` prescribes, `n_parsed` how many of those responses could be read,
    `n_missing_media` how many examples could not be asked; `value` is NaN where `n` is 0. `baselines` (chance,
    majority, constant location …) are in the same unit. `ci95` is None where no interval is defined.
    """

    name: str
    value: float
    unit: Literal["share", "km", "points"]
    n: int
    n_parsed: int
    n_missing_media: int
    convention: str
    ci95: tuple[float, float] | None
    task: str = ""
    baselines: Mapping[str, float] = field(default_factory=dict)
    higher_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """Where a published benchmark comes from and how it lies on disk.

    `layout` says for people which files go where below DATA_ROOT/<benchmark name>/; `files` are the paths (globs) below
    that folder without which nothing can be asked; `revision` is the release that the loader was written for.
    """

    homepage: str
    licence: str
    size: str
    layout: str
    files: tuple[str, ...]
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A target task, or a family of them: what we care about and never train on.

    `examples` reads the benchmark's folder (lazily, images unopened); it is not called where `source.files` are absent,
    and ignores the folder where `source` is None: those examples are made from held-out records. `parse` reads a
    response, None where it says nothing usable; `judge` turns what was read (None included) into per-example values;
    `metrics` turns all graded examples into every metric under every convention. The three are pure and never raise on
    model text. `main` names the per-example value that models are compared by, `tasks` the sub-tasks that count.
    `suites` are the named suites it belongs to, such as "paper".
    """

    name: str
    description: str
    source: Source | None
    examples: Callable[[Path], Iterable[Example]]
    parse: Callable[[Example, Response], Mapping[str, Any] | None]
    judge: Callable[[Example, Mapping[str, Any] | None], Mapping[str, float]]
    metrics: Callable[[Sequence[Graded]], Sequence[Metric]]
    main: str
    tasks: tuple[str, ...] = ("",)
    parser_version: str = "1"
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrimerExample:
    """One generic-skill example of a model without pretraining: `images` are PIL images, in the order of the prompt's
    image parts, and `completion` is what the model should write."""

    messages: Sequence[Mapping[str, object]]
    images: Sequence[object]
    completion: str


@dataclass(frozen=True, slots=True)
class Primer:
    """Generic skills as a stand-in for pretraining: `example(seed, index)` is pure; `lexicon` holds the tokenizer's
    words; `about` says what the skills are, for the report; `shipped` is the folder of weights made beforehand, or
    None."""

    lexicon: Sequence[str]
    example: Callable[[int, int], PrimerExample]
    about: str
    shipped: Path | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What a stage kept, and what it dropped by reason; `note` is what else its reader should know, or ""."""

    kept: int
    unit: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
