"""Where the figures come from: the audit of the tasks, what was known before training, stages, manifest."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.reporting.blocks import Column, folded, paragraph, section, table
from indirect_rlvr.reporting.charts import accuracy_bar
from indirect_rlvr.reporting.contents import Contents
from indirect_rlvr.reporting.markup import Html, element, join, text
from indirect_rlvr.reporting.wording import duration, interval, number, p_value, percent

MANIFEST_LIMIT = 60_000
NOTE_ITEMS = 40
"""Entries of a list in a note that are shown."""


def audit_section(contents: Contents) -> Html:
    """What a policy wins that never sees the query: each probe against chance, and the verdict in words."""
    audit = contents.audit
    columns = [
        Column("Probe"), Column("Accuracy, 95 % interval", "wide"), Column("Sees only"), Column("Split"),
        Column("p", "num"),
    ]  # fmt: skip
    body = [_probe(probe) for probe in audit["probes"]]
    splits = [
        f"{split['tasks']:,} {side} tasks in {split['clusters']:,} clusters" for side, split in audit["splits"].items()
    ]
    parts: list[str] = [paragraph(audit_verdict(audit))]
    if body:
        parts.append(table("Probes that must not beat chance; p of doing so well by luck", columns, body, "cards trio"))
    if "entropy" in audit:
        left, log_k = audit["entropy"]["posterior"], audit["entropy"]["log_k"]
        said = f"The learned probe is left with {number(left)} of log K = {number(log_k)} nats of doubt on the answer."
        parts.append(paragraph(said))
    parts.append(paragraph(f"Audited: {'; '.join(splits)}.", style="note"))
    return section("audit", "Can the tasks be won without the query?", *parts)


def audit_verdict(audit: Mapping[str, Any]) -> str:
    """The audit in one sentence; a probe wins where p is below alpha divided by the number of probes."""
    probes, alpha = audit["probes"], audit["alpha"]
    won = [probe["name"] for probe in probes if probe["p"] < alpha / len(probes)]
    if audit["problems"] or won:
        faults = [*audit["problems"][:3], *(f"probe {name} beats chance" for name in won)]
        return f"Yes, these tasks leak: {'; '.join(faults)}."
    if not probes:
        return "Not known: no probe was run."
    best = max(probes, key=lambda probe: probe["accuracy"])
    return (
        f"Not by what was tried: none of {len(probes)} probes beats chance at α = {alpha:g} divided by their number. "
        f"The best, {best['name']}, wins {percent(best['accuracy'])} ({interval((best['low'], best['high']))}) where "
        f"chance is {percent(best['chance'])}."
    )


def notes_section(contents: Contents) -> Html:
    """What stages left in writing: what the base model was primed on, what a scaffold gives away."""
    notes = contents.manifest.get("notes") or {}
    if not notes:
        return join()
    parts = [element("div", {"class": "said"}, element("h3", None, title), note(said)) for title, said in notes.items()]
    return section("notes", "What went in before reinforcement learning", *parts)


def note(value: object) -> Html:
    """Anything JSON as readable HTML: text in paragraphs, objects as terms and definitions, lists as lists."""
    if isinstance(value, Mapping):
        pairs = [
            (element("dt", None, str(name).replace("_", " ")), element("dd", None, note(item)))
            for name, item in value.items()
        ]
        return element("dl", None, *(part for pair in pairs for part in pair))
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = [element("li", None, note(item)) for item in value[:NOTE_ITEMS]]
        more = [element("li", None, f"and {len(value) - NOTE_ITEMS:,} more")] if len(value) > NOTE_ITEMS else []
        return element("ul", None, *items, *more)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return join(number(value))
    return join(*(paragraph(part) for part in str(value).split("\n\n")))


def stages_section(contents: Contents) -> Html:
    """How long each stage took, what it kept and what it dropped, and why."""
    stages = contents.manifest["stages"]
    columns = [Column("Stage"), Column("Time", "num"), Column("Kept", "num"), Column("Dropped, by reason")]
    body = [[name, duration(s["seconds"]), f"{s['kept']:,} {s['unit']}", _dropped(s)] for name, s in stages.items()]
    total = duration(sum(stage["seconds"] for stage in stages.values()))
    return section("stages", "Stages", table(f"Time and counts of each stage; {total} in all", columns, body, "cards"))


def manifest_section(contents: Contents) -> Html:
    """Recipe, versions, seed, hardware and digests as they were recorded."""
    manifest = contents.manifest
    hardware = manifest.get("hardware") or {}
    facts = {
        "Domain": manifest.get("domain"),
        "Recipe": manifest.get("recipe_name"),
        "Seed": manifest.get("seed"),
        "Started": manifest.get("started"),
        "Machine": ", ".join(f"{name} {value}" for name, value in hardware.items() if value not in ("", None)),
    }
    whole = text(json.dumps(manifest, indent=2, ensure_ascii=False, sort_keys=True), MANIFEST_LIMIT)
    return section(
        "manifest",
        "Manifest",
        note({name: str(value) for name, value in facts.items() if value not in ("", None)}),
        folded("The whole manifest: recipe, versions, digests", element("pre", {"tabindex": 0}, whole)),
    )


def _probe(probe: Mapping[str, Any]) -> list[str]:
    ends = (probe["low"], probe["high"])
    words = element(
        "span",
        {"class": "figure"},
        element("b", None, percent(probe["accuracy"])),
        element("span", None, f" {interval(ends)}"),
    )
    bar = accuracy_bar(probe["accuracy"], ends, probe["chance"], "m-0")
    return [probe["name"], join(bar, words), probe["sees"], probe["split"], p_value(probe["p"])]


def _dropped(stage: Mapping[str, Any]) -> str:
    found = [f"{count:,} {why}" for why, count in (stage.get("dropped") or {}).items() if count]
    return ", ".join(found) or "nothing"
