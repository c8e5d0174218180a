"""Which ways of choosing negatives leak, on real terrain: anchor rings, random negatives, symmetric sets.

    python benchmarks/theory.py benchmarks/results/theory.json docs/theory.svg

The whole audit on places drawn evenly over the built-in elevation model, K = 8, with the geo pack's views, over which
we lay a weather of our own: a tint that varies smoothly over some 30 km and falls alike on the ground view and the
overhead view of a place, so that there is a nuisance to match. The oracle reads the skyline and knows the terrain.
Rings and random negatives are as the papers describe them, around the place that is asked for and without regard to
the split.
"""

import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from indirect_rlvr.data import audit, negatives, proxy
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.domain import Domain, load_domain
from indirect_rlvr.reporting.charts import HEIGHT, WIDTH, Series, line_chart
from indirect_rlvr.reporting.markup import Html, element
from indirect_rlvr.run import keyed_rng, write_json, write_text
from indirect_rlvr.types import CandidateSet, Neighbourhood, ProxyTask, Record, Split, View
from indirect_rlvr_geo.probes import GEOMETRY, build
from indirect_rlvr_geo.records import place_record
from indirect_rlvr_geo.terrain import HALF_WIDTH_M, Pose, load_terrain

K, TASKS, PLACES, R_MIN = 8, 1000, 3000, 500.0
RINGS_KM = ((0.3, 2.0), (1.0, 2.0), (2.0, 5.0))
CELLS_KM = (2.5, 5.0, 10.0, 20.0)
EVERYWHERE_KM = 32.0
TINT, WAVES_KM = 0.2, (25.0, 40.0)
ALPHA = 0.001


def places(folder: Path) -> list[Record]:
    """Records of places drawn evenly, so far inside the elevation model that their overhead views are whole."""
    terrain, rng = load_terrain(), np.random.default_rng(0)
    room = np.array([terrain.width, terrain.height]) - 2 * HALF_WIDTH_M
    where = HALF_WIDTH_M + rng.random((PLACES, 2)) * room
    (folder / "views").mkdir(parents=True)
    return [place_record(terrain, Pose(float(x), float(y)), folder, 0) for x, y in where]


def weathered(records: list[Record], folder: Path) -> list[Record]:
    """The records with both views under the weather of their place."""
    rng = np.random.default_rng(1)
    length, angle = rng.uniform(*WAVES_KM, (3, 4)), rng.uniform(0, 2 * math.pi, (3, 4))
    phase = rng.uniform(0, 2 * math.pi, (3, 4))
    changed = []
    for record in records:
        x, y = float(record.facts["x_m"]) / 1000, float(record.facts["y_m"]) / 1000
        waves = np.sin(2 * math.pi * (x * np.cos(angle) + y * np.sin(angle)) / length + phase)
        tint = 1 + TINT * waves.sum(axis=1) / 2
        views = {kind: _tinted(view, tint, folder) for kind, view in record.views.items()}
        changed.append(replace(record, views=views))
    return changed


def _tinted(view: View, tint: np.ndarray, folder: Path) -> View:
    path = view.content.replace("views/", "views/weather-")
    with Image.open(folder / view.content) as image:
        pixels = np.clip(np.asarray(image, dtype=np.float64) * 0.8 * tint + 0.5, 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(folder / path)
    return View(view.kind, "image", path)


def anchored(records: list[Record], low: float, high: float) -> list[CandidateSet]:
    """Around each record, itself and K − 1 others at random from the ring [low, high] metres."""
    where = np.array([(float(record.facts["x_m"]), float(record.facts["y_m"])) for record in records])
    sets = []
    for row, record in enumerate(records):
        apart = np.linalg.norm(where - where[row], axis=1)
        ring = [int(i) for i in np.flatnonzero((apart >= low) & (apart <= high))]
        if len(ring) >= K - 1:
            others = keyed_rng(0, "ring", record.id).sample(ring, K - 1)
            ids = (record.id, *(records[i].id for i in others))
            sets.append(CandidateSet(record.id, cast(Split, record.split), 0, ids))
    return sets


def tasks_of(domain: Domain, records: list[Record], sets: list[CandidateSet], ask_first: bool) -> list[ProxyTask]:
    """Tasks of the sets; with `ask_first` the first member of each set is the one asked for."""
    if not ask_first:
        limit: dict[Split, int] = {"train": TASKS, "test": TASKS}
        return proxy.make_tasks(domain, sets, records, queries_per_set=4, limit=limit, seed=0)
    by_id, tasks, labels = {record.id: record for record in records}, [], tuple("ABCDEFGH")
    for split in ("train", "test"):
        for number, one in enumerate([s for s in sets if s.split == split][:TASKS]):
            query, *others = (by_id[name] for name in one.members)
            keyed_rng(0, "order", one.id).shuffle(others)
            others.insert(number % K, query)
            question, ids = domain.make_task(query, others), tuple(record.id for record in others)
            answer = labels[number % K]
            tasks.append(ProxyTask(one.id, query.cluster, one.split, 0, question, labels, answer, query.id, ids))
    return tasks


def constructions(records: list[Record], near: Neighbourhood) -> Iterator[tuple[str, float, list[CandidateSet], bool]]:
    """(name, size in km, sets, whether their first member is asked for) of each way to choose negatives."""
    for low, high in RINGS_KM:
        yield f"anchor ring, {low:g} to {high:g} km", high, anchored(records, low * 1000, high * 1000), True
    yield "random negatives", EVERYWHERE_KM, anchored(records, 0.1, math.inf), True
    for side in CELLS_KM:
        cells = replace(near, cells=(side * 1000,))
        sets, _ = negatives.form_sets(records, cells, K, 0)
        yield f"symmetric, cells of {side:g} km", side, sets, False


def measure(folder: Path, say: Callable[[object], None] = print) -> list[dict[str, Any]]:
    """One row for each construction: what each kind of probe wins, and the nats that are left of log K."""
    domain = load_domain("geo", {})
    records = weathered(places(folder), folder)
    near = replace(domain.neighbourhood(), r_min=R_MIN, buffer=0.0)
    looks, rows = Looks(folder), []
    for name, size, sets, ask_first in constructions(records, near):
        tasks = tasks_of(domain, records, sets, ask_first)
        report = audit.audit(tasks, records, near, looks, ALPHA, own_probes=build())
        found = {probe["name"]: probe for probe in (*report["probes"], *report["oracle"])}
        row: dict[str, Any] = {"construction": name, "size_km": size, "tasks": len(tasks)}
        for key, probe in COLUMNS.items():
            row[key] = {part: found[probe][part] for part in ("accuracy", "low", "high", "p")}
        row["probes_that_win"] = [probe["name"] for probe in report["probes"] if audit.wins(report, probe)]
        row["nats_left"] = {name: left["nats"] for name, left in report["entropy"]["left"].items()}
        rows.append(row)
        say(row)
    return rows


COLUMNS = {
    "medoid": "medoid", "elevation": "the domain's nuisance", "nuisance": "likeness of colour", "oracle": GEOMETRY,
}  # fmt: skip


def picture(rows: list[dict[str, Any]]) -> str:
    """Nuisance-only and oracle accuracy against the size of the neighbourhood, as one SVG file."""
    sized = sorted((row for row in rows if "ring" not in row["construction"]), key=lambda row: float(row["size_km"]))
    named = (("nuisance only (likeness of colour)", "m-2", "nuisance"), ("oracle (geometry)", "m-last", "oracle"))
    series = [
        Series(name, style, [(float(row["size_km"]), float(row[key]["accuracy"])) for row in sized])
        for name, style, key in named
    ]
    chance = Series("chance", "m-0", [(float(sized[0]["size_km"]), 1 / K), (float(sized[-1]["size_km"]), 1 / K)])
    drawn = line_chart("Accuracy against the neighbourhood's size", [*series, chance], 0.0, 1.0, "size, km")
    style = files("indirect_rlvr.reporting").joinpath("page.css").read_text(encoding="utf-8")
    keys = [
        element("text", {"x": 60, "y": HEIGHT + 16 * (at + 1), "class": line.style}, f"— {line.name}")
        for at, line in enumerate((*series, chance))
    ]
    box = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH:g} {HEIGHT + 60:g}", "class": "chart"}
    frame = element("svg", {"width": WIDTH, "height": HEIGHT}, drawn)
    paper = element("rect", {"width": "100%", "height": "100%", "style": "fill: var(--paper)"})
    return element("svg", box, element("style", None, Html(style)), paper, frame, *keys) + "\n"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        measured = measure(Path(scratch))
    command = "python benchmarks/theory.py benchmarks/results/theory.json docs/theory.svg"
    write_json(Path(sys.argv[1]), {"command": command, "k": K, "alpha": ALPHA, "rows": measured})
    write_text(Path(sys.argv[2]), picture(measured))
