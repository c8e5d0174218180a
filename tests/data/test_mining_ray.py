"""A hundred thousand records: the same bytes in one process, over shuffled partitions and on Ray Data."""

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indirect_rlvr.data.columns import Columns, Job
from indirect_rlvr.data.mining import content_digest, mine_files, read_sets
from indirect_rlvr.errors import RunError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason='Ray is not installed: pip install "indirect-rlvr[ray]"'),
]

N = 100_000
OPTIONS = [
    *(
        "--longitude-degrees",
        "longitude",
        "--latitude-degrees",
        "latitude",
        "--k",
        "5",
        "--r-min",
        "50",
        "--shards",
        "4",
    ),
    *("--cells", "2500", "--cells", "10000", "--r-min", "50", "--engine", "ray"),
]
JOB = Job(Columns(position=("longitude", "latitude")), k=5, cells=(2500.0, 10000.0), r_min=50.0, shards=4)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clusters over the world, in two files."""
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 300), np.degrees(np.arcsin(rng.uniform(-1, 1, 300)))
    lat[0], lon[1] = 89.99, 180.0
    of = rng.integers(0, 300, N)
    longitude = (lon[of] + rng.normal(0, 0.04, N) / np.maximum(0.05, np.cos(np.radians(lat[of]))) + 180) % 360 - 180
    latitude = np.clip(lat[of] + rng.normal(0, 0.04, N), -90, 90)
    folder = tmp_path_factory.mktemp("input")
    table = pa.table({"id": [f"r{i}" for i in range(N)], "longitude": longitude, "latitude": latitude})
    pq.write_table(table[: N // 3], folder / "a.parquet")
    pq.write_table(table[N // 3 :], folder / "b.parquet")
    return folder


def ray_command(files: list[Path], out: Path) -> list[str]:
    """`rlvr data mine … --engine ray`, for a process of its own: Ray leaves threads and processes behind."""
    command = [sys.executable, "-c", "from indirect_rlvr.cli import app; app()", "data", "mine", *map(str, files)]
    return [*command, "--out", str(out), *OPTIONS]


def on_ray(files: list[Path], out: Path) -> subprocess.CompletedProcess[str]:
    """Once more where a busy machine did not let Ray start in its time; that says nothing of the mining."""
    done = subprocess.run(ray_command(files, out), capture_output=True, text=True)
    if "Ray could not be started" not in done.stderr:
        return done
    return subprocess.run(ray_command(files, out), capture_output=True, text=True)


def test_one_process_many_partitions_and_ray_give_the_same_bytes(tmp_path: Path, places: Path) -> None:
    files = sorted(places.glob("*.parquet"))
    done = on_ray(files, tmp_path / "ray")
    assert done.returncode == 0, done.stderr
    local = mine_files(files, tmp_path / "local", JOB)
    assert {path.name: path.read_bytes() for path in (tmp_path / "ray").glob("*.parquet")} == {
        path.name: path.read_bytes() for path in (tmp_path / "local").glob("*.parquet")
    }
    assert local["sha256"] in done.stdout and local["sets"] > 15_000
    mine_files(files, tmp_path / "whole", Job(JOB.columns, k=5, cells=JOB.cells, r_min=50.0, shards=1))
    assert content_digest(read_sets(tmp_path / "whole")) == content_digest(read_sets(tmp_path / "ray"))


def test_shuffled_partitions_give_the_same_bytes(tmp_path: Path, places: Path) -> None:
    files = sorted(places.glob("*.parquet"))
    rows = pa.concat_tables(map(pq.read_table, files)).take(pa.array(np.random.default_rng(1).permutation(N)))
    cuts = [0, 7_000, 40_000, 40_001, N]
    parts = [tmp_path / f"{number}.parquet" for number in range(len(cuts) - 1)]
    for path, low, high in zip(parts, cuts[:-1], cuts[1:], strict=True):
        pq.write_table(rows[low:high], path)
    assert mine_files(parts, tmp_path / "out", JOB)["sha256"] == mine_files(files, tmp_path / "one", JOB)["sha256"]


def test_a_killed_worker_costs_time_and_nothing_else(tmp_path: Path, places: Path) -> None:
    files, out = sorted(places.glob("*.parquet")), tmp_path / "out"
    with subprocess.Popen(ray_command(files, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        killed = _kill_a_worker(run)
        said, complaint = run.communicate()
    assert killed
    if run.returncode == 0:
        assert mine_files(files, tmp_path / "local", JOB)["sha256"] in said
    else:
        assert complaint.splitlines()[-1].startswith("rlvr: Ray gave up")
        with pytest.raises(RunError, match="not complete"):
            read_sets(out)


def _kill_a_worker(run: "subprocess.Popen[str]") -> bool:
    """Kill the first process of Ray that is at work on our data, as soon as there is one."""
    while run.poll() is None:
        for process in psutil.Process(run.pid).children(recursive=True):
            with suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith("ray::MapBatches"):
                    process.kill()
                    return True
        time.sleep(0.01)
    return False


def test_a_corrupt_file_on_ray_is_one_message_and_nothing_that_looks_whole(tmp_path: Path, places: Path) -> None:
    torn = Path(shutil.copy(places / "b.parquet", tmp_path / "torn.parquet"))
    raw = bytearray(torn.read_bytes())
    raw[200:500_000] = bytes(499_800)
    torn.write_bytes(raw)
    done = on_ray([places / "a.parquet", torn], tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"rlvr: `{torn}` is not a whole Parquet file")  # below Ray's own log
    assert not list((tmp_path / "out").glob("*.parquet"))
