"""The contents page of the geo pack: every hook in pipeline order, each a line that delegates."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

from pydantic import BaseModel

from indirect_rlvr.data.probe import Probe
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.rewards.facts import fact_precision
from indirect_rlvr.types import Benchmark, Neighbourhood, Primer, Prompt, ProxyTask, Question, Record, Term, Verdict
from indirect_rlvr_geo import facts, photo_traces, prepared, released, tasks
from indirect_rlvr_geo import probes as oracle_probes
from indirect_rlvr_geo import records as places
from indirect_rlvr_geo.benchmarks import terrain as targets
from indirect_rlvr_geo.settings import Settings


@hookimpl
def domain_settings() -> type[BaseModel]:
    """Where places lie and how far apart, or where prepared records are."""
    return Settings


@hookimpl
def prepare(
    source: str, root: Path, out: Path, limit: int, options: Mapping[str, str], say: Callable[[str], None]
) -> str:
    """Published data sets of ground and overhead images, made into records."""
    from indirect_rlvr_geo.prepare import command

    return command.prepare(source, root, out, limit, options, say)


@hookimpl
def load_records(settings: Settings, folder: Path, seed: int) -> Iterable[Record]:
    """Real places with a ground and an overhead view."""
    return prepared.load(settings, folder) if settings.prepared else places.load(settings, folder, seed)


@hookimpl
def neighbourhood(settings: Settings) -> Neighbourhood:
    """Cells of a few kilometres, a minimum separation, a buffer between the splits."""
    return prepared.neighbourhood(settings) if settings.prepared else tasks.neighbourhood(settings)


@hookimpl
def make_task(settings: Settings, query: Record, candidates: Sequence[Record]) -> Question:
    """Which overhead view shows the place of the ground view?"""
    return prepared.question(query, candidates) if settings.prepared else tasks.question(query, candidates)


@hookimpl
def probes(settings: Settings) -> list[Probe]:
    """The geometry oracle: how much the skyline alone decides; of photos nobody knows the skyline."""
    return [] if settings.prepared else oracle_probes.build()


@hookimpl
def render(settings: Settings, task: ProxyTask) -> Prompt:
    """Interleaved, labelled views, or all of them first, as the released code shows them."""
    first = settings.prepared and settings.photos.layout == "images-first"
    return prepared.images_first(task) if first else tasks.render(task)


@hookimpl
def scaffold(settings: Settings, task: ProxyTask, rng: Random) -> str | None:
    """Cues, evidence, knowledge, and a random letter."""
    return photo_traces.scaffold(task, rng) if settings.prepared else tasks.scaffold(task, rng)


@hookimpl
def brief(settings: Settings, record: Record) -> Sequence[str]:
    """The template, and what is true of a photo's whole neighbourhood."""
    return photo_traces.brief(record) if settings.prepared else photo_traces.STEPS


@hookimpl
def check_facts(settings: Settings, task: ProxyTask, text: str) -> Sequence[Verdict]:
    """Every stated level against the elevation model."""
    return facts.check(task, text)


@hookimpl
def rewards(settings: Settings) -> list[Term]:
    """The share of a trace's checkable claims that are true, and the released rewards of Geo-R1; each counts where a
    recipe gives it a weight."""
    return [fact_precision(facts.check), *released.terms()]


@hookimpl
def benchmarks(settings: Settings, records: Sequence[Record], count: int, seed: int) -> list[Benchmark]:
    """Four target tasks on terrain that training never saw; those of photos are published benchmarks."""
    return [] if settings.prepared else targets.build(records, count, seed)


@hookimpl
def suite(settings: Settings) -> list[Benchmark]:
    """Every published benchmark the pack knows, a file each in `benchmarks/`."""
    from indirect_rlvr_geo.benchmarks.suite import benchmarks as published

    return published()


@hookimpl
def primer(settings: Settings) -> Primer:
    """Generic skills of seeing, comparing and choosing for the tiny model."""
    from indirect_rlvr_geo.primer import primer as skills

    return skills()
