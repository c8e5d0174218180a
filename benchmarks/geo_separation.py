"""How far apart candidates must be: accuracy of the geometry oracle and of candidates-only rules against r_min.

    python benchmarks/geo_separation.py benchmarks/results/geo_separation.json

Records are those of the geo pack's default recipe; about two minutes on one thread. The default `min_separation_m`
keeps the oracle above 95 of 100 held-out tasks, also at the resolution of the traces, and is half of an overhead view's
half-width, so that two candidates never show nearly the same ground.
"""

import sys
import tempfile
from pathlib import Path

from indirect_rlvr import engine
from indirect_rlvr.data import audit, negatives, proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.run import write_json
from indirect_rlvr.types import Split
from indirect_rlvr_geo.oracle import accuracy

SEPARATIONS_M = (200, 300, 400, 500, 700, 1000)


def measure(folder: Path) -> list[dict[str, float]]:
    """One row for each separation: tasks, oracle accuracy in degrees and in levels, accuracy of the medoid."""
    rows: list[dict[str, float]] = []
    for separation in SEPARATIONS_M:
        run, name = engine.prepare("geo", "default", [f"records.min_separation_m={separation}"], folder)
        if not rows:
            engine.execute(run, name, None, "records")
        records, near = store.read(run.views / "records.jsonl"), run.domain.neighbourhood()
        sets, dropped = negatives.form_sets(records, near, 5, 0)
        limit: dict[Split, int] = {"train": 1000, "test": 1000}
        tasks = proxy.make_tasks(run.domain, sets, records, queries_per_set=5, limit=limit, seed=0)
        held_out = [task for task in tasks if task.split == "test"]
        probes = {p["name"]: p for p in audit.audit(tasks, records, near, Looks(run.views), 0.001)["probes"]}
        rows.append(
            {
                "min_separation_m": separation,
                "tasks": len(held_out),
                "records_without_a_set": dropped["no K neighbours"],
                "oracle_degrees": accuracy(held_out, run.views),
                "oracle_levels": accuracy(held_out, run.views, coarse=True),
                "medoid": probes["medoid"]["accuracy"],
                "learned_candidates_only": probes["learned"]["accuracy"],
            }
        )
        print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        command = "python benchmarks/geo_separation.py benchmarks/results/geo_separation.json"
        write_json(Path(sys.argv[1]), {"command": command, "rows": measure(Path(scratch))})
