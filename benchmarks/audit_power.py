"""How often the audit finds a planted shortcut worth five points, and how often it refuses clean tasks.

    python benchmarks/audit_power.py benchmarks/results/audit_power.json

Tasks of the default size (2,000 training and 600 held-out tasks, K = 5) on the overhead views of the geo pack, in sets
drawn at random within a split. In each trial the right candidate is changed so that the best rule wins 25 % where
chance is 20 %: its view is brighter (mean colour), its file is longer by a comment (file size), or it stands first more
often (position). The strength of the first two is computed from the views themselves. A second argument names a run
folder to keep: it holds the records and the changed views, which are otherwise made anew.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy.optimize import brentq

from indirect_rlvr import engine
from indirect_rlvr.data import audit
from indirect_rlvr.data import records as store
from indirect_rlvr.data.looks import NUISANCES, Looks
from indirect_rlvr.pipeline import Run
from indirect_rlvr.run import keyed_rng, write_json
from indirect_rlvr.types import Neighbourhood, ProxyTask, Question, Record, View

TRIALS, K, POINTS, ALPHA = 200, 5, 0.05, 0.001
SIZES = {"train": 2000, "test": 600}
PLANTS = ("clean", "brightness", "file size", "position")


def strength(values: np.ndarray) -> float:
    """How much the right candidate's value must grow to be the largest of K in 1/K + POINTS of all sets."""
    sets = values[np.random.default_rng(0).integers(len(values), size=(200_000, K))]

    def too_often(shift: float) -> float:
        return float((sets[:, 0] + shift > sets[:, 1:].max(axis=1)).mean()) - 1 / K - POINTS

    return float(brentq(too_often, 0.0, float(np.ptp(values)), xtol=1e-6))


def plant(run: Run, records: list[Record], looks: Looks) -> dict[str, float]:
    """Write each overhead view twice more, brighter and longer; returns how much."""
    table = np.array([looks.of(record.views["overhead"]).nuisance for record in records])
    sizes = np.expm1(table[:, NUISANCES.index("file size")])
    grow = {"brightness": strength(table[:, NUISANCES.index("brightness")]), "file size": round(strength(sizes))}
    for name in grow:
        (run.views / name).mkdir(exist_ok=True)
    for record in records:
        if (run.views / path_of(record, "file size")).exists():
            continue
        with Image.open(run.views / record.views["overhead"].content) as image:
            noise = np.random.default_rng(keyed_rng(0, "dither", record.id).getrandbits(64)).random((84, 84, 3))
            brighter = np.clip(np.asarray(image) + 255 * grow["brightness"] + noise, 0, 255).astype(np.uint8)
            comment = PngInfo()
            comment.add_text("c", "x" * int(grow["file size"] - 14))  # a chunk of its own has 12 bytes and the key
            Image.fromarray(brighter).save(run.views / path_of(record, "brightness"))
            image.save(run.views / path_of(record, "file size"), pnginfo=comment)
    return grow


def path_of(record: Record, name: str) -> str:
    return f"{name}/{record.id}.png"


def tasks_of(records: list[Record], name: str, seed: int) -> list[ProxyTask]:
    """Random sets of each split, each member asked for once, with one shortcut planted."""
    made: list[ProxyTask] = []
    for split, count in SIZES.items():
        rng = keyed_rng(seed, "power", split)
        pool = [record for record in records if record.split == split]
        rounds = -(-count // (len(pool) // K * K))
        drawn = [record for _ in range(rounds) for record in rng.sample(pool, len(pool) // K * K)]
        for number in range(count):
            members = drawn[number // K * K : number // K * K + K]
            query = members[number % K]
            others = [record for record in members if record is not query]
            rng.shuffle(others)
            first = name == "position" and rng.random() < POINTS * K / (K - 1)
            place = 0 if first else rng.randrange(K)
            others.insert(place, query)
            made.append(_task(f"{split}-{number}", split, query, others, place, name))
    return made


def _task(name: str, split: Any, query: Record, shown: list[Record], place: int, planted: str) -> ProxyTask:
    views = [record.views["overhead"] for record in shown]
    if planted in ("brightness", "file size"):
        views[place] = View("overhead", "image", path_of(query, planted))
    question = Question("Which overhead view?", (query.views["ground"],), tuple(views), {})
    ids, labels = tuple(record.id for record in shown), tuple("ABCDE")
    return ProxyTask(name, query.cluster, split, 0, question, labels, labels[place], query.id, ids)


def measure(run: Run, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Refusals of each kind of tasks, and by which probes."""
    records = store.read(run.views / "records.jsonl")
    looks = Looks(run.views)
    grow = plant(run, records, looks)
    rows: dict[str, Any] = {name: {"refused": 0, "found_by": {}, "accuracy": []} for name in PLANTS}
    for trial in range(TRIALS):
        for name, row in rows.items():
            report = audit.audit(tasks_of(records, name, trial), [], Neighbourhood(), looks, ALPHA)
            row["refused"] += bool(audit.findings(report))
            best = max(report["probes"], key=lambda probe: probe["accuracy"])
            row["accuracy"].append(best["accuracy"])
            for probe in report["probes"]:
                if audit.wins(report, probe):
                    row["found_by"][probe["name"]] = row["found_by"].get(probe["name"], 0) + 1
        if trial % 20 == 19:
            say(f"{trial + 1} of {TRIALS}: { ({name: row['refused'] for name, row in rows.items()}) }")
    for row in rows.values():
        row["share_refused"] = row["refused"] / TRIALS
        row["best_probe_mean_accuracy"] = float(np.mean(row.pop("accuracy")))
    return {"trials": TRIALS, "k": K, "alpha": ALPHA, "sizes": SIZES, "planted": grow, "rows": rows}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(scratch) / "run"
        prepared, recipe_name = engine.prepare("geo", "default", [], folder)
        engine.execute(prepared, recipe_name, None, "records")
        command = "python benchmarks/audit_power.py benchmarks/results/audit_power.json"
        write_json(Path(sys.argv[1]), {"command": command, **measure(prepared)})
