"""The model card of an exported row: what it is, what came out, how it was made, what it does not show, how to use it.

A pure function of a run's files. Whatever records, recipes and stages wrote is escaped, or stands in a fence that no
line of it can close.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import ModelCardData

from indirect_rlvr.export import limits, origin
from indirect_rlvr.export.origin import fenced
from indirect_rlvr.reporting import markdown
from indirect_rlvr.reporting.markdown import plain
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.reporting.summary import verdict

ORIGIN = "https://arxiv.org/abs/2510.00072"
UNKNOWN = "unknown"
"""What the Hub calls a licence that nobody has stated."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the card tells: the row and the stages it went through, oldest first; the run's files; what the exporter
    stated (`licence`, `datasets`); and the code that asks the model."""

    row: str
    stages: Sequence[str]
    manifest: Mapping[str, Any]
    results: Mapping[str, Any]
    audit: Mapping[str, Any]
    recipe: Mapping[str, Any]
    base: str | None
    is_vision: bool
    licence: str | None
    datasets: Sequence[str]
    adapter: bool
    transformers_code: str
    vllm_code: str


def card(facts: Facts) -> str:
    """The whole README.md."""
    parts = [
        f"---\n{_metadata(facts)}\n---",
        f"# {plain(facts.row)}: {plain(facts.manifest['domain'])}",
        *_about(facts),
        markdown.rows(facts.results),
        _how_to_read(facts),
        markdown.targets(facts.results),
        "## How it was made",
        *origin.origin(facts.stages, facts.manifest, facts.audit, facts.recipe),
        "## What it does not show",
        limits.limits(facts.row, facts.stages, facts.manifest, facts.results, facts.audit, facts.recipe),
        "## Licences",
        _licences(facts),
        "## How to use it",
        *_use(facts),
        "## How to repeat it",
        *_repeat(facts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _metadata(facts: Facts) -> str:
    """The front matter, written by the Hub's own library, which quotes what YAML would act on."""
    method = "grpo" if facts.stages[-1].startswith("grpo") else facts.stages[-1]
    made = ModelCardData(
        license=facts.licence or UNKNOWN,
        base_model=facts.base,
        library_name="transformers",
        pipeline_tag="image-text-to-text" if facts.is_vision else "text-generation",
        tags=["indirect-rlvr", "trl", method, str(facts.manifest["domain"])],
        datasets=list(facts.datasets) or None,
    )
    return str(made.to_yaml())


def _about(facts: Facts) -> list[str]:
    return [
        f"{plain(verdict(facts.results))} This folder holds the row **{plain(facts.row)}**.",
        f"{_trained(facts)} One run, one seed: the intervals say how far the sample of questions could have moved a "
        "figure, not how far another seed would.",
    ]


def _trained(facts: Facts) -> str:
    if len(facts.stages) == 1:
        return "It is the model before any training of the run, to compare the other rows with."
    return (
        f"It was trained with [indirect rewards]({ORIGIN}): on a proxy task whose answer follows from metadata alone "
        f"(which of {facts.recipe['tasks']['k']} candidates belongs to the query?), to see whether that carries over "
        f"to target tasks that were never trained on. Stages: {plain(' → '.join(facts.stages))}."
    )


def _how_to_read(facts: Facts) -> str:
    return (
        "Greedy answers; one that cannot be read is wrong. Without query and without images, and with the query of "
        "another task, nobody can know the answer, and an honest model is at chance or below it; with the candidates "
        "reordered it does as well as before. `results.json` has the figures."
    )


def _licences(facts: Facts) -> str:
    stated = f"stated by whoever exported it: {plain(facts.licence)}" if facts.licence else "not stated"
    base = (
        f"the licence of [{plain(facts.base)}](https://huggingface.co/{facts.base}) goes on to weights made from it"
        if facts.base
        else "a tiny model that the domain made from nothing, without pretrained weights"
        if facts.recipe["model"]["path"] == "primed"
        else "a folder whose licence the run does not know"
    )
    data = ", ".join(f"[{plain(one)}](https://huggingface.co/datasets/{one})" for one in facts.datasets)
    return "\n".join(
        [
            f"* Weights: {stated}. Base: {base}.",
            f"* Data: {data + '; ' if data else ''}the run knows no licence of its records; whoever publishes this "
            "folder has to know that what they were made from allows it. The folder holds no record, picture or "
            "completion of the run.",
            "* Code: indirect-rlvr is Apache-2.0.",
        ]
    )


def _use(facts: Facts) -> list[str]:
    first = facts.base if len(facts.stages) == 2 and facts.base else f"the model of stage `{facts.stages[-2:][0]}`"
    adapter = (
        "`adapter/` holds the low-rank adapters alone, for PEFT; the weights beside it have them merged in. They go on "
        f"{first}{'' if first == facts.base else ', which is not in this folder'}."
    )
    return [
        "One held-out prompt of the run in the form of the training, with blank pictures. With transformers:"
        if facts.is_vision
        else "One held-out prompt of the run in the form of the training. With transformers:",
        fenced("python", facts.transformers_code.rstrip()),
        "With vLLM:",
        fenced("python", facts.vllm_code.rstrip()),
        "The code for transformers was run when this project was tested; that for vLLM was not run on this model."
        + (" Qwen's own processors need torchvision." if facts.is_vision else ""),
        adapter if facts.adapter else "",
    ]


def _repeat(facts: Facts) -> list[str]:
    packages = facts.manifest["packages"]
    ours = [_word(f"{name}=={version}") for name, version in packages.items() if name.startswith("indirect-rlvr")]
    processes = (facts.manifest.get("hardware") or {}).get("processes", 1)
    launched = f" --nproc {processes}" if isinstance(processes, int) and processes > 1 else ""
    commands = [
        f"pip install {' '.join(ours)}",
        f"rlvr run --domain {_word(facts.manifest['domain'])} --recipe recipe.toml --out runs/repeated{launched}",
        f"rlvr export hub runs/repeated --out exported --row {_word(facts.row)}",
    ]
    return [
        fenced("sh", "\n".join(commands)),
        "On a CPU the same versions, threads and processes give the same bytes. On GPUs they need not.",
    ]


def _word(text: object) -> str:
    """One word of a shell command on one line."""
    return shlex.quote(visible(" ".join(str(text).split()), 200))
