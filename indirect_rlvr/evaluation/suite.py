"""Which benchmarks a domain has, which of them are meant, where their files are, and what is to be downloaded."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import Benchmark, Example

ALL = "all"
ONLY_SCORED = "no model can be asked this; it is scored from predictions alone, by `rlvr score`"


@dataclass(frozen=True, slots=True)
class Place:
    """A benchmark with its folder: of its own files, or of the held-out records it is made from.

    `data` stands for the files' content in the marks of answers: a release or a digest. `lacking` are the paths that
    the benchmark's source names and the folder does not hold: nothing can be asked then.
    """

    benchmark: Benchmark
    folder: Path
    data: str
    lacking: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ready:
    """A benchmark with the examples that are to be asked, or the `fault` for which they cannot be read."""

    place: Place
    examples: Sequence[Example] = field(default=())
    fault: str = ""

    @property
    def unaskable(self) -> str:
        """Why no model can be asked any of the examples, "" where one can: prompts are empty, or media missing."""
        if not self.examples or any(example.prompt.parts and not example.missing for example in self.examples):
            return ""
        lost = next((example.missing[0] for example in self.examples if example.missing), "")
        return f"the media of all {len(self.examples):,} examples are absent, first `{lost}`" if lost else ONLY_SCORED


def check_names(what: str, names: Iterable[str]) -> None:
    """Names become file names and keys of the results; raises DataError where one cannot, or comes twice."""
    for name, times in Counter(names).items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise DataError(f"{what} `{name}` must be made of letters, digits, `.`, `_` and `-`; rename it")
        if times > 1:
            raise DataError(f"two {what}s are named `{name}`; give each a name of its own")


def choose(known: Sequence[Benchmark], wanted: str) -> tuple[list[Benchmark], set[str]]:
    """The benchmarks of a comma-separated list of names of benchmarks and suites, and which were named themselves.

    A suite takes all its members, "all" everything, and each suite what is made from held-out records too. Raises
    ConfigError that lists what is known.
    """
    names = {name.strip() for name in wanted.split(",")} - {""}
    suites = {suite for benchmark in known for suite in benchmark.suites} | {ALL}
    unknown = sorted(names - suites - {each.name for each in known})
    if unknown or not names:
        raise ConfigError(
            f"unknown benchmark or suite `{', '.join(unknown)}`; suites: {', '.join(sorted(suites))}; benchmarks: "
            f"{', '.join(each.name for each in known)}"
        )
    held_out = bool(names & suites)
    taken = [
        each
        for each in known
        if ALL in names or {each.name, *each.suites} & names or (held_out and each.source is None)
    ]
    return taken, names & {each.name for each in taken}


def named(known: Sequence[Benchmark], name: str) -> Benchmark:
    """The benchmark of this name; raises ConfigError that lists what is known."""
    for each in known:
        if each.name == name:
            return each
    raise ConfigError(f"unknown benchmark `{name}`; benchmarks: {', '.join(each.name for each in known) or 'none'}")


def place(benchmark: Benchmark, data_root: Path | None) -> Place:
    """Where the files of a published benchmark are below a data root, and what is lacking: everything without one."""
    found = at(benchmark, (data_root or Path("DATA_ROOT")) / benchmark.name)
    return found if data_root else replace(found, lacking=benchmark.source.files if benchmark.source else ())


def at(benchmark: Benchmark, folder: Path) -> Place:
    """A published benchmark with its files in `folder`."""
    wanted = benchmark.source.files if benchmark.source else ()
    revision = benchmark.source.revision if benchmark.source else ""
    return Place(benchmark, folder, revision, tuple(each for each in wanted if not _exists(folder, each)))


def ready(where: Place, limit: int | None, seed: int) -> Ready:
    """The examples of a benchmark whose files are there; with `limit` a sample of so many, the same every time.

    A file that its loader refuses is a fault of this benchmark and stops no other.
    """
    try:
        examples = list(where.benchmark.examples(where.folder))
        _check_ids(where.benchmark.name, examples)
    except DataError as error:
        return Ready(where, fault=str(error))
    if not examples:
        return Ready(where, fault=f"`{where.folder}` holds no example of `{where.benchmark.name}`")
    return Ready(where, _sample(examples, limit, seed))


def required(ready: Ready) -> Ready:
    """The same; where no model can be asked it, that is a fault: it was named."""
    return replace(ready, examples=(), fault=ready.unaskable) if ready.unaskable else ready


def check_root(data_root: Path | None) -> str:
    """What is to be said of a data root, "" where it is a folder; raises ConfigError where it is something else."""
    if data_root is None or data_root.is_dir():
        return ""
    if data_root.exists():
        raise ConfigError(f"--data-root `{data_root}` is no folder; give the one that holds a folder NAME for each")
    return f"there is no folder `{data_root}`: the files of no published benchmark are here"


def get(where: Place) -> str:
    """What to download from where into which folder, for people."""
    source = where.benchmark.source
    if source is None:
        return "nothing: it is made from held-out records"
    lacking = f"lacking: {', '.join(where.lacking)}\n" if where.lacking else ""
    return (
        f"from: {source.homepage} (revision {source.revision or 'not pinned'}; {source.size}; licence: "
        f"{source.licence})\ninto: {where.folder}/\n{lacking}layout:\n{_indented(source.layout)}"
    )


def refuse_absent(places: Iterable[Place]) -> None:
    """Raise DataError where files are lacking, with what to get."""
    absent = [where for where in places if where.lacking]
    if absent:
        told = "\n\n".join(f"{where.benchmark.name}\n{_indented(get(where))}" for where in absent)
        raise DataError(f"the files of {len(absent)} benchmarks asked for by name are not here:\n\n{told}")


def _exists(folder: Path, pattern: str) -> bool:
    return folder.is_dir() and next(folder.glob(pattern), None) is not None


def _check_ids(name: str, examples: Sequence[Example]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"benchmark `{name}`: example id `{example.id}` comes twice; mend its files")
        seen.add(example.id)


def _sample(examples: list[Example], limit: int | None, seed: int) -> list[Example]:
    if limit is None or limit >= len(examples):
        return examples
    drawn = sorted(range(len(examples)), key=lambda i: keyed_rng(seed, "limit", examples[i].id).random())[:limit]
    return [examples[index] for index in sorted(drawn)]


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())
