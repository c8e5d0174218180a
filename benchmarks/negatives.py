"""How fast candidate sets are mined, against scikit-learn's BallTree with haversine doing the same legal job.

    python benchmarks/negatives.py benchmarks/results/negatives.json

Needs scikit-learn. A clustered world of points, with clusters on both poles and on both sides of the antimeridian; one
thread. Times are processor seconds, so that they hold on a shared machine too. `--largest 10_000_000` is the default.
"""

import argparse
import multiprocessing
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.neighbors import BallTree

from indirect_rlvr.data import ring, sphere
from indirect_rlvr.data.columns import Columns, Job
from indirect_rlvr.data.legal import legal_pairs
from indirect_rlvr.data.mine import mine
from indirect_rlvr.data.mining import mine_files, read_table
from indirect_rlvr.data.rows import Plan, Rows
from indirect_rlvr.run import write_json

K = 8
CELLS_M = (2500.0, 5000.0, 10000.0)
R_MIN_M = 50.0
SAMPLE = 20_000
"""Anchors that BallTree looks up; its cost per record is that of the sample, with the build shared by all records."""

COLUMNS = Columns(position=("longitude_degrees", "latitude_degrees"))


def world(n: int, seed: int = 0, clusters: int = 3000) -> dict[str, np.ndarray]:
    """Longitudes and latitudes in degrees: nine tenths in clusters of a few kilometres, the rest anywhere."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, clusters + 1) ** -0.8
    latitude, longitude = np.degrees(np.arcsin(rng.uniform(-1, 1, clusters))), rng.uniform(-180, 180, clusters)
    latitude[:4], longitude[2:4] = (90, -90, 10, 10.01), (180, -180)
    sigma = np.exp(rng.normal(np.log(4), 0.6, clusters)) / 111.2
    of = rng.choice(clusters, size=n, p=weights / weights.sum())
    lat = latitude[of] + rng.normal(size=n) * sigma[of]
    lon = longitude[of] + rng.normal(size=n) * sigma[of] / np.maximum(0.01, np.cos(np.radians(latitude[of])))
    lon = np.where(np.abs(lat) > 90, lon + 180, lon)
    lat = np.where(lat > 90, 180 - lat, np.where(lat < -90, -180 - lat, lat))
    anywhere = rng.random(n) < 0.1
    lat[anywhere] = np.degrees(np.arcsin(rng.uniform(-1, 1, anywhere.sum())))
    lon[anywhere] = rng.uniform(-180, 180, anywhere.sum())
    return {"longitude_degrees": (lon + 180) % 360 - 180, "latitude_degrees": lat}


class Haversine:
    """BallTree with the answers that `ring.look_up` expects of a tree."""

    def __init__(self, longitude_degrees: np.ndarray, latitude_degrees: np.ndarray, table: np.ndarray) -> None:
        self.radians = np.radians(np.column_stack([latitude_degrees, longitude_degrees]))
        self.tree = BallTree(self.radians[table], metric="haversine")
        self.size = len(table)

    def query(self, radians: np.ndarray, k: list[int], distance_upper_bound: float) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest; beyond the bound (a chord in integer steps) there is nobody."""
        angle, found = self.tree.query(radians, k=len(k))
        far = 2 * np.sin(angle / 2) * sphere.SCALE > distance_upper_bound
        return angle, np.where(far, self.size, found)


def same_job(n: int, folder: Path) -> dict[str, object]:
    """Every record with its K − 1 nearest legal neighbours from 50 m to 5 km: ours for all, BallTree's for a sample."""
    places = world(n)
    table = write(folder / "one.parquet", places)
    job = Job(COLUMNS, K, sampler="ring", cells=CELLS_M[-1:], r_min=R_MIN_M)
    rows, plan = read_table([table], job).rows, job.plan()
    whole = np.ones(n, dtype=np.bool_)
    start = time.process_time()
    ours = mine(rows, whole, plan)
    ours_s = (time.process_time() - start) / n
    start = time.process_time()
    symmetric = mine(rows, whole, Job(COLUMNS, K, cells=CELLS_M, r_min=R_MIN_M).plan())
    symmetric_s = (time.process_time() - start) / n
    theirs, theirs_s = with_balltree(rows, plan, places)
    anchor = dict(zip(ours.members[:, 0].tolist(), ours.members.tolist(), strict=True))
    equal = sum(anchor.get(row[0]) == row for row in rows.tags[theirs].tolist())
    brute = against_brute_force(rows, plan, anchor)
    return {
        "records": n, "k": K, "sample": SAMPLE, "sets_of_the_sample": len(theirs), "equal_sets": equal,
        "brute_force_equal": brute, "seconds_per_million_ours": ours_s * 1e6,
        "seconds_per_million_balltree": theirs_s * 1e6,
        "seconds_per_million_symmetric": symmetric_s * 1e6, "ratio": theirs_s / ours_s,
        "ratio_symmetric": theirs_s / symmetric_s, "ring_sets": len(ours), "symmetric_sets": len(symmetric),
    }  # fmt: skip


def with_balltree(rows: Rows, plan: Plan, places: dict[str, np.ndarray]) -> tuple[np.ndarray, float]:
    """The sets of a sample of anchors, as row numbers, and the seconds per record."""
    anchors = np.sort(np.random.default_rng(1).choice(len(rows), size=min(SAMPLE, len(rows)), replace=False))
    start = time.process_time()
    table = ring.representatives(rows, plan)
    tree = Haversine(places["longitude_degrees"], places["latitude_degrees"], table)
    built_s = time.process_time() - start
    start = time.process_time()
    anchors = anchors[np.lexsort((rows.points[anchors] >> 20).T)]
    found, _ = ring.look_up(rows, plan, tree, tree.radians, table, anchors, plan.reach[0])
    return found, built_s / len(rows) + (time.process_time() - start) / len(anchors)


def against_brute_force(rows: Rows, plan: Plan, anchor: dict[int, list[int]], count: int = 200) -> int:
    """How many of 200 random anchors have the set that comparing them with every record in plain Python gives."""
    table = ring.representatives(rows, plan)
    right = 0
    for row in np.random.default_rng(2).choice(len(rows), size=count, replace=False):
        squares = ((rows.points[table] - rows.points[row]) ** 2).sum(axis=1)
        near = table[squares <= plan.reach[0]]
        near = near[np.lexsort((rows.tags[near], squares[squares <= plan.reach[0]]))]
        chosen = [int(row)]
        for other in near.tolist():
            if all(legal_pairs(rows, plan, np.array([one]), np.array([other]))[0] for one in chosen):
                chosen.append(other)
            if len(chosen) == plan.k:
                break
        wanted = rows.tags[chosen].tolist() if len(chosen) == plan.k else None
        right += anchor.get(int(rows.tags[row])) == wanted
    return right


def write(path: Path, places: dict[str, np.ndarray]) -> Path:
    """The world as Parquet."""
    n = len(places["latitude_degrees"])
    pq.write_table(pa.table({"id": pa.array(np.arange(n)).cast(pa.string()), **places}), path)
    return path


def whole_file(n: int, folder: str) -> dict[str, float]:
    """Parquet to Parquet with the default sampler; run in a process of its own, so that its peak memory is known."""
    path = write(Path(folder) / f"{n}.parquet", world(n))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, clock = time.process_time(), time.perf_counter()
    made = mine_files([path], Path(folder) / f"sets-{n}", Job(COLUMNS, K, cells=CELLS_M, r_min=R_MIN_M))
    seconds, wall = time.process_time() - start, time.perf_counter() - clock
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "records": n, "seconds": seconds, "wall_seconds": wall, "microseconds_per_record": seconds / n * 1e6,
        "sets": made["sets"],
        "without": made["without"], "peak_gib": peak, "peak_gib_of_making_the_input": before / 2**20,
    }  # fmt: skip


def main() -> None:
    """Measure and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--largest", type=int, default=10_000_000)
    parser.add_argument("--job", type=int, default=1_000_000, help="records of the comparison with BallTree")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compared = same_job(asked.job, Path(folder))
        print(compared, flush=True)
        sizes = [n for n in (100_000, 1_000_000, 10_000_000) if n <= asked.largest]
        rows = []
        for n in sizes:
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                rows.append(alone.apply(whole_file, (n, folder)))
            print(rows[-1], flush=True)
    costs = [row["microseconds_per_record"] for row in rows]
    write_json(
        asked.result,
        {
            "command": "python benchmarks/negatives.py benchmarks/results/negatives.json",
            "machine": {"python": platform.python_version(), "numpy": np.__version__, "threads": 1},
            "same_job": compared,
            "parquet_to_parquet": rows,
            "largest_over_smallest_cost_per_record": max(costs) / min(costs),
        },
    )


if __name__ == "__main__":
    main()
