"""What the JSON files of a run must look like before anything is read out of them; further keys are left alone.

A file may come from another version, another program or another hand: what is read of it is checked here, in one
place, and everything behind can rely on it.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from indirect_rlvr.errors import DataError
from indirect_rlvr.run import read_json

LISTED = 3
"""Problems of one file that are named."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
"""Names of rows, stages and target tasks, which become names of files."""


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("expected letters, digits, `.`, `_` and `-`")
    return name


Name = Annotated[str, AfterValidator(_named)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Interval = Annotated[tuple[Number, Number], Strict(False)]  # JSON has lists
Direction = Literal["rose", "fell", "no measurable change"]


class Shape(BaseModel):
    """A JSON object; values are taken as they are, without conversion."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Stage(Shape):
    """A finished stage of the manifest."""

    key: str = ""
    finished: str = ""
    seconds: Number
    kept: Count
    unit: str
    dropped: dict[str, Count] | None = None
    depends_on: dict[str, str] = {}


class Weighted(Shape):
    """A reward term as the manifest describes it."""

    name: str
    weight: Number


class Artefact(Shape):
    """What a stage left in the manifest: of a training its weights and what it started from, of GRPO its reward."""

    reward_version: str | None = None
    reward: list[Weighted] = []
    weights_sha256: str | None = None
    parent: str | None = None


class Manifest(Shape):
    """`manifest.json` of a run."""

    domain: str
    recipe_name: str
    recipe: dict[str, Any] = {}
    stages: dict[str, Stage]
    notes: dict[str, Any] | None = None
    artefacts: dict[str, Artefact] = {}
    hardware: dict[str, Any] | None = None
    packages: dict[str, Any] = {}


class Answered(Shape):
    """Accuracy among the items with a usable answer."""

    accuracy: Share
    n: Count


class Control(Shape):
    """A row in one modality control."""

    accuracy: Share
    ci95: Interval
    n: Count
    answered: Answered | None


class Controls(Shape):
    """The modality controls that every row has."""

    no_query: Control
    other_query: Control
    permuted: Control


class Row(Shape):
    """A row of the results."""

    model: Name
    accuracy: Share
    ci95: Interval
    n: Count
    clusters: Count
    format_rate: Share
    mean_completion_tokens: Number
    answer_histogram: dict[str, Count]
    controls: Controls


class Named(Shape):
    """A row, by its name alone."""

    model: Name


class Rows(Shape):
    """Of `results.json`, which rows there are."""

    rows: list[Named]


class Target(Shape):
    """A target task; the accuracy of each row stands under the row's own key."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    description: str
    n: Count
    chance: Share
    ci95: dict[str, Interval]
    answer_histogram: dict[str, dict[str, Count]] = {}
    gain: Number
    gain_ci95: Interval
    p_value: Share
    direction: Direction


class Transfer(Shape):
    """From proxy to target, first row against last."""

    first: Name
    last: Name
    statement: str


class Results(Shape):
    """`results.json`."""

    chance: Share
    answer_key: dict[str, Count]
    rows: Annotated[list[Row], Field(min_length=1)]
    targets: list[Target]
    transfer: Transfer

    @model_validator(mode="after")
    def _is_whole(self) -> "Results":
        models = [row.model for row in self.rows]
        ends = (self.transfer.first, self.transfer.last)
        if len(set(models)) < len(models):
            raise ValueError("two rows have one name")
        for target in self.targets:
            for end in (name.replace("-", "_") for name in ends):
                accuracy = (target.model_extra or {}).get(end)
                if end not in target.ci95 or not isinstance(accuracy, (int, float)) or not 0 <= accuracy <= 1:
                    raise ValueError(f"target `{target.name:.80}` has no accuracy or no interval of `{end}`")
        return self


class Measured(Shape):
    """A benchmark in the results of `rlvr eval`, as far as two of them are compared."""

    name: Name
    main: str
    tasks: list[str]
    prompt_hash: str
    parser_version: str
    data_revision: str


class Evaluation(Shape):
    """`results.json` of `rlvr eval`."""

    model: str | None = None
    benchmarks: list[Measured]


class Shard(Shape):
    """A file of candidate sets."""

    file: Name
    sha256: str


class Job(Shape):
    """How candidate sets were mined, as far as a run must want the same."""

    k: Count
    sampler: str
    cells: list[Number]
    r_min: Number


class Mining(Shape):
    """`manifest.json` of a finished `rlvr data mine`, as far as a run takes it."""

    job: Job
    shards: Annotated[list[Shard], Field(min_length=1)]
    sha256: str


class Probe(Shape):
    """A probe of the audit."""

    name: str
    sees: str
    accuracy: Share
    low: Share
    high: Share
    chance: Share
    p: Share
    n: Count


class Left(Shape):
    """Doubt about the answer that a probe leaves, in nats."""

    nats: Number
    low: Number
    high: Number


class Entropy(Shape):
    """The doubt that all measured probes leave."""

    log_k: Number
    left: dict[str, Left]


class Accuracy(Shape):
    """How often a probe is right."""

    accuracy: Share


class Level(Shape):
    """The probes within one size of neighbourhood."""

    level: Number
    cell: Number | None
    unit: str
    accuracy: dict[str, Accuracy]


class Side(Shape):
    """One split of the audited tasks."""

    tasks: Count
    clusters: Count
    answers: dict[str, Count]
    answers_p: Share


class Audit(Shape):
    """`audit.json`."""

    alpha: Share
    problems: list[str]
    k: list[Count]
    splits: dict[str, Side]
    probes: list[Probe]
    oracle: list[Probe] = []
    accepted: list[str]
    overridden: list[str]
    entropy: Entropy | None = None
    by_level: list[Level] = []
    chance: Share | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Audit":
        wanted = {"entropy", "chance", "oracle", "by_level"}
        if self.probes and (self.entropy is None or self.chance is None or not wanted <= self.model_fields_set):
            raise ValueError("there are probes, and one of `entropy`, `chance`, `oracle` and `by_level` is not there")
        if len({frozenset(level.accuracy) for level in self.by_level}) > 1:
            raise ValueError("the levels in `by_level` name different probes")
        return self


class Mark(Shape):
    """`complete.json` of a checkpoint."""

    weights_sha256: str
    files: dict[str, Count]
    lengths: dict[str, Count]
    extra: dict[str, Any]


class Identity(Shape):
    """`identity.json` of an unfinished training: digests by name."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, str]


def read(path: Path, shape: type[Shape], writer: str = "its stage") -> dict[str, Any]:
    """The object in a JSON file, as it stands there. Raises DataError that names the file, what is wrong with it, and
    the `writer` that can write it again."""
    value = read_json(path)
    try:
        shape.model_validate(value)
    except ValidationError as error:
        said = [f"`{'.'.join(map(str, e['loc'])) or 'the file'}`: {e['msg']}" for e in error.errors()[:LISTED]]
        raise DataError(f"`{path}` is not what {writer} writes: {'; '.join(said)[:600]}; run {writer} again") from error
    found: dict[str, Any] = value
    return found
