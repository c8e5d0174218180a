"""Where the figures come from: the audit of the tasks, what was known before training, stages, manifest."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.data.audit import findings, wins
from indirect_rlvr.reporting.blocks import Column, folded, paragraph, section, table
from indirect_rlvr.reporting.charts import Series, accuracy_bar, line_chart
from indirect_rlvr.reporting.contents import Contents
from indirect_rlvr.reporting.markup import Html, element, join, text
from indirect_rlvr.reporting.wording import duration, interval, number, p_value, percent

MANIFEST_LIMIT = 60_000
STYLES = ("m-0", "m-1", "m-last")
"""Colours of the probes together, the learned probe and the oracle."""
NOTE_ITEMS = 40
"""Entries of a list in a note that are shown."""


def audit_section(contents: Contents) -> Html:
    """What a policy wins that never sees the query: each probe against chance, and the verdict in words."""
    audit = contents.audit
    columns = [
        Column("Probe"), Column("Accuracy, exact 95 % interval", "wide"), Column("Sees only"), Column("p", "num"),
    ]  # fmt: skip
    splits = [
        f"{split['tasks']:,} {side} tasks in {split['clusters']:,} clusters" for side, split in audit["splits"].items()
    ]
    parts: list[str] = [paragraph(audit_verdict(audit))]
    if audit["probes"]:
        body = [_probe(probe) for probe in [*audit["probes"], *audit["oracle"]]]
        said = "Probes, cross-validated by cluster, that must not beat chance; p of doing so well by luck"
        parts += [table(said, columns, body, "cards trio"), paragraph(_doubt(audit["entropy"])), _levels(audit)]
    parts.append(paragraph(f"Audited: {'; '.join(splits)}.", style="note"))
    return section("audit", "Can the tasks be won without the query?", *parts)


def audit_verdict(audit: Mapping[str, Any]) -> str:
    """The audit in one sentence, as `data.audit.findings` judges it."""
    found, probes = findings(audit), audit["probes"]
    if found:
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
        allowed = " The run went on because --allow-leaks was given." if audit["overridden"] else ""
        return f"Yes, these tasks leak: {'; '.join(found[:3])}{more}.{allowed}"
    if not probes:
        return "Not known: no probe was run."
    accepted = [f"{probe['name']} beats chance, and the recipe accepts it" for probe in probes if wins(audit, probe)]
    best = max(probes, key=lambda probe: probe["accuracy"])
    return (
        f"Not by what was tried: none of {len(probes)} probes beats chance at α = {audit['alpha']:g} divided by their "
        f"number. The best, {best['name']}, wins {percent(best['accuracy'])} ({interval((best['low'], best['high']))}) "
        f"where chance is {percent(best['chance'])}."
        if not accepted
        else f"Only in a way that was accepted: {'; '.join(accepted)}."
    )


def _doubt(entropy: Mapping[str, Any]) -> str:
    """How many nats of doubt about the answer each measured probe leaves."""
    left = [
        f"{name} {number(found['nats'])} ({number(found['low'])} to {number(found['high'])})"
        for name, found in entropy["left"].items()
    ]
    return f"Nats of doubt about the answer that are left, of log K = {number(entropy['log_k'])}: {'; '.join(left)}."


def _levels(audit: Mapping[str, Any]) -> Html:
    """Accuracy of the probes together, and of the oracle, against the size of the neighbourhood; from two sizes on."""
    levels = audit["by_level"]
    if len(levels) < 2:
        return join()
    sized = all(level["cell"] is not None for level in levels)
    xs = [float(level["cell"] if sized else level["level"]) for level in levels]
    names = list(levels[0]["accuracy"])
    series = [
        Series(name, style, [(x, level["accuracy"][name]["accuracy"]) for x, level in zip(xs, levels, strict=True)])
        for name, style in zip(names, STYLES, strict=False)
    ]
    chance = Series("chance", "m-2", [(x, audit["chance"]) for x in (xs[0], xs[-1])])
    axis = f"cell side, {levels[0]['unit']}" if sized else "level"
    keys = [
        element("span", {"class": "key"}, element("i", {"class": f"{line.style} swatch"}), line.name)
        for line in (*series, chance)
    ]
    title = "Accuracy against the neighbourhood's size"
    chart = line_chart(title, [*series, chance], low=0.0, high=1.0, axis=axis)
    figure = element("figure", None, element("figcaption", None, title), chart)
    return join(element("p", {"class": "legend"}, *keys), element("div", {"class": "charts"}, figure))


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
    return [probe["name"], join(bar, words), probe["sees"], p_value(probe["p"])]


def _dropped(stage: Mapping[str, Any]) -> str:
    found = [f"{count:,} {why}" for why, count in (stage.get("dropped") or {}).items() if count]
    return ", ".join(found) or "nothing"
