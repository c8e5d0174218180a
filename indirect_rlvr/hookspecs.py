"""The contract between the core and a domain: every hook, in the order the pipeline asks for it.

A pack implements them as plain functions marked `@hookimpl`; only `load_records` and `make_task` are required.
Returning `None` means "I pass" and the core's own answer (`defaults.py`) is used; an empty list is an answer.
Every hook of a run gets `settings`: the `[records]` table of the recipe, validated by what `domain_settings` returned.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

import pluggy
from pydantic import BaseModel

from indirect_rlvr.data.probe import Probe
from indirect_rlvr.types import (
    Benchmark,
    GroupTerm,
    Neighbourhood,
    Primer,
    Prompt,
    ProxyTask,
    Question,
    Record,
    Term,
    Verdict,
)

GROUP = "indirect_rlvr.domains"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec(firstresult=True)
def domain_settings() -> type[BaseModel] | None:
    """Before anything else: the domain's own settings, a frozen pydantic model that forbids unknown keys.

    class Settings(BaseModel, frozen=True, extra="forbid"):
        places: int = 2000
        \"\"\"How many places to draw.\"\"\"

    @hookimpl
    def domain_settings():
        return Settings
    """


@hookspec(firstresult=True)
def prepare(
    source: str, root: Path, out: Path, limit: int, options: Mapping[str, str], say: Callable[[str], None]
) -> str | None:
    """Before any run, `rlvr data prepare DOMAIN`: make records in `out` of a data set in `root` whose layout `source`
    names, at most `limit` of them (0 is all); return what is said at the end. `options` are those of --set, as text.
    It must resume after an interruption and leave nothing half-written that looks whole. It gets no `settings`.

        @hookimpl
        def prepare(source, root, out, limit, options, say):
            rows = [row for row in csv.DictReader(open(root / "notes.csv")) if row["note"]]
            return f"{write_jsonl(out / 'notes.jsonl', rows[: limit or None])} notes in {out}"
    """


@hookspec(firstresult=True)
def load_records(settings: BaseModel, folder: Path, seed: int) -> Iterable[Record] | None:
    """Stage records: yield the world, one record at a time; image views are written into `folder` and named relative
    to it. The core validates, de-duplicates, splits and stores what comes.

        @hookimpl
        def load_records(settings, folder, seed):
            for row in csv.DictReader(open(settings.table)):
                views = {"note": View("note", "text", row["note"]), "code": View("code", "text", row["code"])}
                yield Record(id=row["id"], cluster=row["patient"], views=views, facts={"age": int(row["age"])})
    """


@hookspec(firstresult=True)
def neighbourhood(settings: BaseModel) -> Neighbourhood | None:
    """Stage tasks: what "same neighbourhood" means, so that negatives are hard. Without it all records are neighbours.

    @hookimpl
    def neighbourhood(settings):
        return Neighbourhood(keys=("ward",), position=lambda r: (r.facts["hour"],), unit="h", cells=(24.0,))
    """


@hookspec(firstresult=True)
def make_task(settings: BaseModel, query: Record, candidates: Sequence[Record]) -> Question | None:
    """Stage tasks: the question of one candidate set. `query` is one of `candidates`, which come in the order they are
    shown; the wording must not depend on where `query` stands among them.

        @hookimpl
        def make_task(settings, query, candidates):
            return Question(
                text="Which code belongs to the note?",
                query=(query.views["note"],),
                candidates=tuple(c.views["code"] for c in candidates),
                facts={"query": dict(query.facts), "candidates": [dict(c.facts) for c in candidates]},
            )
    """


@hookspec
def probes(settings: BaseModel) -> list[Probe]:
    """Stage tasks: shortcuts of the domain's own that the audit must try beside the core's: a number for each
    candidate, made of anything but what decides the answer. One that sees "semantics" is the domain's oracle: it shows
    how much can be won, and never refuses the data set. Collected: two probes of one name are an error.

        @hookimpl
        def probes(settings):
            def length(task, folder):
                return [len(view.content) for view in task.question.candidates]
            return [Probe("length of the code", "nuisance", length)]
    """


@hookspec(firstresult=True)
def render(settings: BaseModel, task: ProxyTask) -> Prompt | None:
    """Whenever a task is shown to a model: the user turn. The core's answer shows the query views, then the labelled
    candidates, then the wording and the answer instruction; `task.question.query` is empty in the control without it.

        @hookimpl
        def render(settings, task):
            return Prompt(parts=("Note:", *task.question.query, *task.question.candidates, task.question.text))
    """


@hookspec(firstresult=True)
def scaffold(settings: BaseModel, task: ProxyTask, rng: Random) -> str | None:
    """Stage scaffold: one reasoning trace in the domain's template, think and answer tags included, written from
    `task.question.facts`. Without it there is no SFT and the policy starts from the base model.

        @hookimpl
        def scaffold(settings, task, rng):
            age = task.question.facts["query"]["age"]
            return f"<think>The patient is {age} years old.</think><answer>{rng.choice(task.labels)}</answer>"
    """


@hookspec(firstresult=True)
def brief(settings: BaseModel, record: Record) -> Sequence[str] | None:
    """Stage scaffold, only where a teacher writes the traces: sentences for it beside the task, on how to reason and on
    what metadata knows. Each candidate's `record` is asked about by itself, and a sentence is told only where every
    candidate of the task has it, so that none can tell the answer.

        @hookimpl
        def brief(settings, record):
            return "Say what the note implies, then check each code.", f"The ward is {record.facts['ward']}."
    """


@hookspec(firstresult=True)
def check_facts(settings: BaseModel, task: ProxyTask, text: str) -> Sequence[Verdict] | None:
    """Stage scaffold and the report: each claim found in `text` with a verdict from the metadata; linear in `text`,
    never raising on it.

        @hookimpl
        def check_facts(settings, task, text):
            ages = [w for w in text.split() if w.isdigit()]
            true = str(task.question.facts["query"]["age"])
            return [Verdict(a, "supported" if a == true else "contradicted", f"age is {true}") for a in ages]
    """


@hookspec
def rewards(settings: BaseModel) -> list[Term | GroupTerm]:
    """Stage GRPO: terms of the domain's own, beside the core's accuracy, format, length, repetition and overlong. The
    recipe's `[reward.weights]` names the terms that count. Collected: two terms of one name are an error.

        @hookimpl
        def rewards(settings):
            return [Term("brevity", 0.0, 1.0, lambda task, completion: Outcome(float(len(completion.text) < 200)))]
    """


@hookspec
def benchmarks(settings: BaseModel, records: Sequence[Record], count: int, seed: int) -> list[Benchmark]:
    """Stage evaluate, and `rlvr eval`: the target tasks, made from held-out `records` only, at most `count` examples
    each. Without records: the same benchmarks without examples, for lists of names. Collected: two benchmarks of one
    name are an error.

        @hookimpl
        def benchmarks(settings, records, count, seed):
            examples = [
                choice_example(r.id, r.cluster, Prompt((r.views["note"], "Older than 60? A: yes, B: no.")), ("A", "B"),
                               "A" if r.facts["age"] > 60 else "B")
                for r in records[:count]
            ]
            return [choice_benchmark("over-60", "is the patient older than 60", lambda folder: examples)]
    """


@hookspec
def suite(settings: BaseModel) -> list[Benchmark]:
    """`rlvr eval`, `rlvr score` and `rlvr benchmarks`: the published benchmarks of the domain, whose files a user
    downloads. Nothing is read here; `examples` gets the benchmark's folder, DATA_ROOT/NAME. Collected.

        @hookimpl
        def suite(settings):
            source = Source("https://example.org", "CC BY 4.0", "500 notes", "notes.csv: id,note,code", ("notes.csv",))
            return [choice_benchmark("icd-notes", "which code fits the note", read_notes, source=source)]
    """


@hookspec(firstresult=True)
def primer(settings: BaseModel) -> Primer | None:
    """Stage base, only where the recipe says `model.path = "primed"`: generic skills for a tiny model that stands in
    for a pretrained one. A domain that always starts from a real checkpoint does not need it.

        @hookimpl
        def primer(settings):
            def example(seed, index):
                rng = Random(f"{seed}/{index}")
                number = rng.randrange(100)
                return PrimerExample([{"role": "user", "content": [{"type": "text", "text": f"Say {number}."}]}], [],
                                     str(number))
            return Primer(lexicon=["Say", *map(str, range(100))], example=example, about="saying numbers")
    """
