"""How an exported model was made, for its card: recipe, reward, audit, stages, digests, versions."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tomli_w

from indirect_rlvr.reporting.markdown import plain, table
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.reporting.provenance import audit_verdict
from indirect_rlvr.reporting.wording import duration, number

FILES = {"records": "records.jsonl", "tasks": "tasks.jsonl", "scaffold": "sft.jsonl"}
"""What a stage wrote, whose digest the manifest has."""
RECIPE_LIMIT = 60_000
SAID_LIMIT = 2000


def origin(
    stages: Sequence[str], manifest: Mapping[str, Any], audit: Mapping[str, Any], recipe: Mapping[str, Any]
) -> list[str]:
    """Blocks of Markdown; `stages` are those that the model went through, oldest first."""
    artefacts = manifest["artefacts"]
    packages = ", ".join(f"{name} {version}" for name, version in manifest["packages"].items())
    hardware = ", ".join(
        f"{name} {value}" for name, value in (manifest.get("hardware") or {}).items() if value not in ("", None)
    )
    times = [
        [name, duration(done["seconds"]), f"{done['kept']:,} {done['unit']}", _dropped(done)]
        for name, done in manifest["stages"].items()
    ]
    digests = [
        [name, file, str(artefacts[name]["sha256"])]
        for name, file in FILES.items()
        if artefacts.get(name, {}).get("sha256")
    ]
    weights = [
        [stage, "weights", artefacts[stage]["weights_sha256"]]
        for stage in stages
        if artefacts.get(stage, {}).get("weights_sha256")
    ]
    return [
        f"Recipe `{_code(manifest['recipe_name'])}`, seed {manifest['seed']}, every key of it:",
        fenced("toml", visible(tomli_w.dumps(recipe), RECIPE_LIMIT)),
        _reward(artefacts.get(stages[-1], {})),
        "Audit of the tasks, before any training. " + plain(audit_verdict(audit)),
        *(_note(name, said) for name, said in (manifest.get("notes") or {}).items()),
        table(["stage", "time", "kept", "dropped"], times),
        "SHA-256 of the data and of the parameters (names, types, shapes and bytes, in order of name):",
        table(["stage", "what", "sha256"], digests + weights),
        f"Versions: {plain(packages)}.",
        f"Hardware: {plain(hardware)}.",
    ]


def _reward(artefact: Mapping[str, Any]) -> str:
    if not artefact.get("reward"):
        return ""
    body = [
        [
            term["name"],
            number(term["weight"]),
            ", ".join(f"{k} {v}" for k, v in dict(term.get("parameters", {})).items()),
        ]
        for term in artefact["reward"]
    ]
    terms = table(["reward term", "weight", "parameters"], body)
    return f"{terms}\n\nReward version {plain(str(artefact['reward_version']))}."


def _note(name: str, said: object) -> str:
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return f"**{plain(name)}**: {plain(text[:SAID_LIMIT])}"


def _dropped(stage: Mapping[str, Any]) -> str:
    return ", ".join(f"{count:,} {why}" for why, count in (stage.get("dropped") or {}).items() if count) or "nothing"


def _code(text: object) -> str:
    """A name inside a code span, which a backtick would end."""
    return visible(" ".join(str(text).split()), 200).replace("`", "'")


def fenced(language: str, code: str) -> str:
    """Code in a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in code).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"
