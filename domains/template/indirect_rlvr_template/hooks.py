"""A whole domain in one file: vital signs in words (the nurse's note) and in numbers (the monitor's print-out).

The hooks stand in pipeline order. Change them from top to bottom: "yours:" says what to put in.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import cast

from pydantic import BaseModel, ConfigDict, Field

from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.types import (
    Benchmark,
    Completion,
    Neighbourhood,
    Outcome,
    Primer,
    Prompt,
    ProxyTask,
    Question,
    Record,
    Term,
    Verdict,
    View,
)
from indirect_rlvr_template import primer as skills
from indirect_rlvr_template.signs import LEVEL_OF, LEVELS, SIGNS, Readings, monitor, note, trace


# Yours: the [records] table of the recipe, one field with one sentence for each key.
class Settings(BaseModel):
    """How large the clinic is."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    patients: int = Field(300, ge=2)
    """How many patients to draw."""
    visits: int = Field(4, ge=1)
    """Visits of each patient."""


@hookimpl
def domain_settings() -> type[BaseModel]:
    return Settings


# Yours: read your table or files. One record is one thing seen in two ways; `cluster` is what must never be split
# between training and test; `facts` is the metadata, and only training data and checks may use it, never the prompt.
@hookimpl
def load_records(settings: Settings, folder: Path, seed: int) -> Iterator[Record]:
    for patient in range(settings.patients):
        for visit in range(settings.visits):
            rng = keyed_rng(seed, "records", patient, visit)  # one item, one generator: any record can be made alone
            readings = {sign: rng.choice(rng.choice(ranges)) for sign, ranges in SIGNS.items()}
            bed = rng.randrange(1, 10)
            printed = View("monitor", "text", monitor(bed, readings))
            views = {"note": View("note", "text", note(readings)), "monitor": printed}
            facts = {"ward": rng.choice(("north", "south")), "bed": bed, **readings}
            yield Record(f"visit-{patient:04d}-{visit}", f"patient-{patient:04d}", views, facts)


# Yours: what makes two records hard to tell apart (`keys`, `position` with `cells`), what makes them provably
# different (`r_min`), and a scalar that must not give the answer away (`nuisance`).
@hookimpl
def neighbourhood(settings: Settings) -> Neighbourhood:
    return Neighbourhood(
        keys=("ward",),
        position=lambda record: [LEVELS.index(LEVEL_OF[int(record.facts[sign])]) for sign in SIGNS],
        unit="levels",
        cells=(2.0, 3.0),
        r_min=1.0,  # at least one sign differs by a level, so that exactly one print-out fits the note
        nuisance=lambda record: float(record.facts["bed"]),
    )


# Yours: the question. `facts` is for the two hooks below; the model never sees it.
@hookimpl
def make_task(settings: Settings, query: Record, candidates: Sequence[Record]) -> Question:
    return Question(
        text="Which print-out belongs to the note?",
        query=(query.views["note"],),
        candidates=tuple(candidate.views["monitor"] for candidate in candidates),
        facts={"note": _readings(query), "monitors": [_readings(candidate) for candidate in candidates]},
    )


# Yours: the reasoning you want to see. It teaches the form; the answer is drawn, so that no label gets into SFT.
@hookimpl
def scaffold(settings: Settings, task: ProxyTask, rng: Random) -> str:
    return trace(cast(Readings, task.question.facts["note"]), _monitors(task), answer=rng.choice(task.labels))


# Yours: what a teacher is told, if one writes the traces: how to reason, and facts that all candidates of a task share.
@hookimpl
def brief(settings: Settings, record: Record) -> list[str]:
    levels = [f"In every print-out the {sign} is {LEVEL_OF[int(record.facts[sign])]}." for sign in SIGNS]
    return ["Take one print-out after another and name each sign's level beside its number.", *levels]


# Yours: find each claim in a model's text and look it up; split the text, never trust it.
@hookimpl
def check_facts(settings: Settings, task: ProxyTask, text: str) -> list[Verdict]:
    monitors = _monitors(task)
    verdicts: list[Verdict] = []
    for label, _, rest in (line.partition(":") for line in text.splitlines()):
        printed = [str(reading) for reading in monitors.get(label, {}).values()]
        verdicts += [
            Verdict(f"{label} shows {word}", "supported" if word in printed else "contradicted", " ".join(printed))
            for word in rest.split()
            if printed and word.isdecimal()
        ]
    return verdicts


# Yours: what else is worth a reward; a term counts only if the recipe's [reward.weights] names it.
@hookimpl
def rewards(settings: Settings) -> list[Term]:
    return [Term("grounded", 0.0, 1.0, partial(grounded, settings=settings))]


def grounded(task: ProxyTask, completion: Completion, settings: Settings) -> Outcome:
    found = [verdict.status == "supported" for verdict in check_facts(settings, task, completion.text)]
    return Outcome(sum(found) / len(found)) if found else Outcome(0.0, "unparsable")


# Yours: what you really care about, and never train on.
@hookimpl
def benchmarks(settings: Settings, records: Sequence[Record], count: int, seed: int) -> list[Benchmark]:
    examples = [
        choice_example(
            id=f"pulse-{record.id}",
            cluster=record.cluster,
            prompt=Prompt((record.views["monitor"], skills.choice_question("pulse"))),
            labels=tuple(skills.CHOICES),
            answer=skills.answer(int(record.facts["pulse"])),
        )
        for record in records[:count]
    ]
    return [choice_benchmark("pulse", "is the pulse low, normal or high", lambda _: examples)]


# Only for a model without pretraining. Yours: delete it, and give `model.path` a checkpoint.
@hookimpl
def primer(settings: Settings) -> Primer:
    return Primer(lexicon=skills.lexicon(), example=skills.example, about=skills.ABOUT)


def _readings(record: Record) -> dict[str, object]:
    return {sign: record.facts[sign] for sign in SIGNS}


def _monitors(task: ProxyTask) -> dict[str, Readings]:
    return dict(zip(task.labels, cast(list[Readings], task.question.facts["monitors"]), strict=True))
