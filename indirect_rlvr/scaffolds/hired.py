"""Which writer a recipe asks for, and what is said of it: before a run, in the manifest and in the report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.config import Scaffold
from indirect_rlvr.domain import Domain
from indirect_rlvr.scaffolds import cost
from indirect_rlvr.scaffolds.askers import lacks_key
from indirect_rlvr.scaffolds.teacher import ANSWERS, Asked
from indirect_rlvr.scaffolds.written import Rules, Writer
from indirect_rlvr.types import ProxyTask


def writer(domain: Domain, settings: Scaffold, tasks: Sequence[ProxyTask], folder: Path, seed: int) -> Writer:
    """The domain's rules, or the teacher with the records of the run in `folder`."""
    if settings.writer == "rules":
        return Rules(domain, seed)
    from indirect_rlvr.data import records as store

    wanted = {name for task in tasks for name in task.candidate_records}
    views = folder / "records"
    records = {record.id: record for record in store.read(views / "records.jsonl") if record.id in wanted}
    return Asked(domain, settings, records, views, folder / ANSWERS, seed)


def facts(writer: Writer, settings: Scaffold) -> dict[str, Any]:
    """What the manifest holds: who wrote, and of a teacher what it saw and took."""
    if not isinstance(writer, Asked):
        return {"writer": settings.writer}
    teacher, usage = writer.teacher, writer.usage()
    return {
        "writer": settings.writer,
        "teacher": teacher.model,
        "shows_answer": teacher.shows_answer,
        "answers": usage.answers,
        "prompt_tokens": round(usage.prompt),
        "completion_tokens": round(usage.completion),
        "answers_guessed": usage.guessed,
        "cost": round(usage.cost(teacher), 6),
    }


def bill(writer: Writer, kept: int, settings: Scaffold) -> str:
    """What a teacher took in the end, and how many traces are short of what was wanted; "" of the rules."""
    if not isinstance(writer, Asked):
        return ""
    short = f"{kept:,} of {settings.count:,} wanted, because there are no more training tasks; "
    return short * (kept < settings.count) + f"the teacher took {writer.usage().says(writer.teacher)}"


def credit(settings: Scaffold) -> str:
    """Who wrote the traces, in a sentence for the report."""
    if settings.writer == "rules":
        return "Written by the domain's own rules."
    saw = "was told the true answer, so SFT saw it" if settings.teacher.shows_answer else "was not told the true answer"
    return f"Written by the teacher {settings.teacher.model} ({settings.writer}), which {saw}."


def outlook(settings: Scaffold) -> list[str]:
    """Who will write, and what that may cost, before anything is asked."""
    if settings.writer == "rules":
        return [f"scaffolds: {settings.count:,} by the domain's own rules"]
    teacher = settings.teacher
    most = cost.Usage(settings.count, 0, settings.count * teacher.max_tokens)
    price = f" ({most.cost(teacher):,.2f} at most)" if teacher.price_out else ""
    budget = f"; the budget is {teacher.budget:g}" if teacher.budget else ""
    shown = "; it is told the true answer" if teacher.shows_answer else ""
    note = lacks_key(settings)
    return [
        f"scaffolds: {settings.count:,} by the teacher `{teacher.model}` ({settings.writer}): at most "
        f"{most.completion:,.0f} completion tokens{price}, and as many again for each attempt after a dropped trace; "
        f"prompts are counted when the stage starts{budget}{shown}",
        *([f"note: {note}"] if note else []),
    ]
