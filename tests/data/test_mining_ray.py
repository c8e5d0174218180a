"""A hundred thousand records: the same bytes in one process, over shuffled partitions and on Ray Data."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indirect_rlvr.data.columns import Columns, Job
from indirect_rlvr.data.mining import content_digest, mine_files, read_sets

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


def on_ray(files: list[Path], out: Path) -> subprocess.CompletedProcess[str]:
    """`rlvr data mine … --engine ray`, in a process of its own: Ray leaves threads and processes behind."""
    command = [sys.executable, "-c", "from indirect_rlvr.cli import app; app()", "data", "mine", *map(str, files)]
    return subprocess.run([*command, "--out", str(out), *OPTIONS], capture_output=True, text=True)


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


def test_a_corrupt_file_on_ray_is_one_message_and_nothing_that_looks_whole(tmp_path: Path, places: Path) -> None:
    torn = Path(shutil.copy(places / "b.parquet", tmp_path / "torn.parquet"))
    raw = bytearray(torn.read_bytes())
    raw[200:500_000] = bytes(499_800)
    torn.write_bytes(raw)
    done = on_ray([places / "a.parquet", torn], tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"rlvr: `{torn}` is not a whole Parquet file")  # below Ray's own log
    assert not list((tmp_path / "out").glob("*.parquet"))
