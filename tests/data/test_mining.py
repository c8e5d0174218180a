"""Mining a Parquet file: the same bytes for any partitions and engine, resumed at the shard, or one message."""

import json
import re
import struct
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.data import mining
from indirect_rlvr.data.columns import Columns, Job, position_of, time_of
from indirect_rlvr.data.mining import content_digest, mine_files, read_sets, read_table
from indirect_rlvr.data.shards import copies, homes, mine_shard
from indirect_rlvr.errors import ConfigError, DataError, RunError

COLUMNS = Columns(position=("longitude_degrees", "latitude_degrees"), split="split", nuisance="speed")
JOB = Job(COLUMNS, k=5, cells=(2500.0, 5000.0, 10000.0), r_min=50.0, shards=4)


def world(n: int, seed: int = 0) -> dict[str, object]:
    """Clusters over the world, two of them on a pole and on the antimeridian, half of the places test."""
    rng = np.random.default_rng(seed)
    clusters = max(4, n // 300)
    lon, lat = rng.uniform(-180, 180, clusters), np.degrees(np.arcsin(rng.uniform(-1, 1, clusters)))
    lat[0], lon[1] = 90.0, 180.0
    of = rng.integers(0, clusters, n)
    latitude = lat[of] + rng.normal(0, 0.04, n)
    longitude = lon[of] + rng.normal(0, 0.04, n) / np.maximum(0.05, np.cos(np.radians(lat[of])))
    longitude = np.where(latitude > 90, longitude + 180, longitude)
    return {
        "id": [f"r{i}" for i in range(n)],
        "longitude_degrees": (longitude + 180) % 360 - 180,
        "latitude_degrees": np.where(
            latitude > 90, 180 - latitude, np.where(latitude < -90, -180 - latitude, latitude)
        ),
        "split": np.where(np.arange(n) % 2, "train", "test"),
        "speed": rng.normal(size=n),
    }


def write(path: Path, columns: dict[str, object], **options: int) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("input") / "places.parquet", world(3000), row_group_size=700)


@pytest.mark.parametrize(
    ("change", "job", "message"),
    [
        (
            {"latitude_degrees": [np.nan] * 9},
            JOB,
            "^record `r0`: longitude is .* latitude nan degrees; expected finite",
        ),
        (
            {"longitude_degrees": [48.0] * 9, "latitude_degrees": [120.0] * 9},
            JOB,
            "the two look swapped: .*9 of 9 places",
        ),
        ({"latitude_degrees": [None] * 9}, JOB, "^column `latitude_degrees` has 9 nulls; leave those records out"),
        ({"latitude_degrees": ["x"] * 9}, JOB, "^column `latitude_degrees` is of type string; expected numbers"),
        ({"speed": [np.inf] * 9}, JOB, "^column `speed` is inf in row 0 of a batch; expected finite numbers"),
        ({"id": ["a"] * 9}, JOB, "^the id `a` comes twice, as numbers 0 and 1; give each record an id of its own"),
        ({}, replace(JOB, k=9), "^none of 9 records has 8 legal neighbours: K is 9, r_min 50, cells"),
        ({}, replace(JOB, r_min=-1.0), "^`neighbourhood.r_min` is -1.0; expected a finite distance"),
        ({}, replace(JOB, cells=(5.0, 1.0)), "^`neighbourhood.cells` is"),
        (
            {},
            replace(JOB, columns=replace(COLUMNS, keys=("ward",))),
            r"some.parquet` has no column `ward`; it has: id \(string\), .*, speed \(double\)$",
        ),
    ],
)
def test_unusable_input_is_one_message_and_leaves_nothing_that_looks_whole(
    tmp_path: Path, change: dict[str, object], job: Job, message: str
) -> None:
    path = write(tmp_path / "some.parquet", {**world(9), **change})
    with pytest.raises(DataError, match=message):
        mine_files([path], tmp_path / "out", job)
    assert not list((tmp_path / "out").glob("*.parquet"))
    if (tmp_path / "out/manifest.json").exists():
        with pytest.raises(RunError, match="is not complete; give its command again"):
            read_sets(tmp_path / "out")


def test_a_torn_text_in_a_column_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "torn.parquet"
    pq.write_table(pa.table(world(40)), path, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(b"r17", b"r\xb47"))
    with pytest.raises(DataError, match=r"is not a whole Parquet file: In column 0: Invalid: Invalid UTF8 sequence"):
        mine_files([path], tmp_path / "out", JOB)


def test_a_torn_name_of_a_column_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "torn.parquet"
    pq.write_table(pa.table({"id": ["a"], "position": [1.0]}), path)
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"position", b"\xb4osition"))
    with pytest.raises(DataError, match="is not a whole Parquet file: 'utf-8' codec can't decode"):
        position_of((path,), "", "", (), ())
    with pytest.raises(DataError, match="is not a whole Parquet file"):
        mine_files([path], tmp_path / "out", JOB)


@pytest.mark.parametrize("spoil", ["cut", "middle", "text"])
def test_a_corrupt_input_file_is_one_message(tmp_path: Path, places: Path, spoil: str) -> None:
    raw = bytearray(places.read_bytes())
    if spoil == "middle":
        raw[200:20_000] = bytes(19_800)
    path = tmp_path / "torn.parquet"
    path.write_bytes({"cut": raw[:-100], "middle": raw, "text": b"id,x\n"}[spoil])
    with pytest.raises(DataError, match=f"^`{path}` is not a whole Parquet file: .*; fetch or write it again$"):
        mine_files([path], tmp_path / "out", JOB)
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_missing_file_and_a_folder_of_something_else_are_refused(tmp_path: Path, places: Path) -> None:
    with pytest.raises(DataError, match=r"^cannot read `nowhere.parquet`: No such file"):
        mine_files([Path("nowhere.parquet")], tmp_path / "out", JOB)
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="is not empty and holds no mining; choose another folder with --out$"):
        mine_files([places], tmp_path, JOB)


@pytest.mark.parametrize("out", ["a file", "a file/below it", "n" * 300, "/proc/nowhere"])
def test_a_place_where_no_folder_can_be_is_one_message(tmp_path: Path, places: Path, out: str) -> None:
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(RunError, match="^cannot make the folder `.*`: .*; choose another folder with --out$"):
        mine_files([places], tmp_path / out, JOB)
    assert (tmp_path / "a file").read_text() == "mine"


def test_more_shards_than_records_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    few = write(tmp_path / "few.parquet", world(9))
    with pytest.raises(ConfigError, match="^--shards is 10, more than the 9 records; give fewer"):
        mine_files([few], tmp_path / "out", replace(JOB, shards=10))
    assert not (tmp_path / "out").exists()


def test_a_mining_that_never_came_to_a_shard_does_not_hold_its_folder(tmp_path: Path, places: Path) -> None:
    swapped = replace(JOB, columns=replace(COLUMNS, position=COLUMNS.position[::-1]))
    with pytest.raises(DataError, match="the two look swapped"):
        mine_files([places], tmp_path / "out", swapped)
    assert mine_files([places], tmp_path / "out", JOB)["state"] == "complete"
    with pytest.raises(RunError, match="holds the mining of other input or settings"):
        mine_files([places], tmp_path / "out", replace(JOB, k=4))


def test_shards_of_an_interrupted_mining_hold_the_folder_against_another(tmp_path: Path, places: Path) -> None:
    mine_files([places], tmp_path / "out", JOB)
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    (tmp_path / "out/manifest.json").write_text(json.dumps(manifest | {"state": "partial"}))
    with pytest.raises(RunError, match="holds the mining of other input or settings"):
        mine_files([places], tmp_path / "out", replace(JOB, k=4))


@pytest.mark.parametrize(("text", "said"), [("{", "is torn: .*; delete the folder"), ("[]", "is no manifest of a")])
def test_a_torn_manifest_says_what_works(tmp_path: Path, places: Path, text: str, said: str) -> None:
    mine_files([places], tmp_path, JOB)
    (tmp_path / "manifest.json").write_text(text)
    for read in (lambda: read_sets(tmp_path), lambda: mine_files([places], tmp_path, JOB)):
        with pytest.raises(RunError, match=said):
            read()


def test_interrupted_mining_resumes_at_the_shard_and_ends_in_the_same_bytes(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = mine_files([places], tmp_path / "whole", JOB)
    made: list[int] = []
    write_shard = mining.write_shard

    def killed(folder: Path, shard: int, *rest: object) -> dict[str, object]:
        if shard == 2 and 2 not in made:
            made.append(shard)
            raise KeyboardInterrupt
        made.append(shard)
        return write_shard(folder, shard, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(mining, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        mine_files([places], tmp_path / "out", JOB)
    assert json.loads((tmp_path / "out/manifest.json").read_text())["state"] == "partial"
    with pytest.raises(RunError, match="is not complete"):
        read_sets(tmp_path / "out")
    resumed = mine_files([places], tmp_path / "out", JOB)
    assert made == [0, 1, 2, 2, 3]
    assert resumed["sha256"] == whole["sha256"] and resumed["shards"] == whole["shards"]


def test_torn_changed_or_foreign_shards_are_refused_by_name(tmp_path: Path, places: Path) -> None:
    out = tmp_path / "out"
    made = mine_files([places], out, JOB)
    assert len(read_sets(out)) == made["sets"] > 400
    assert mine_files([places], out, JOB) == json.loads((out / "manifest.json").read_text())  # nothing is done again
    with pytest.raises(RunError, match="holds the mining of other input or settings"):
        mine_files([places], out, replace(JOB, seed=1))
    shard = out / "sets-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-50])
    for again in (lambda: read_sets(out), lambda: mine_files([places], out, JOB)):
        with pytest.raises(
            RunError, match=f"^`{shard}` is missing, torn or was changed since it was mined; delete the"
        ):
            again()


def test_a_shard_torn_between_two_minings_is_refused_not_trusted(
    tmp_path: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*rest: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(mining, "_close", killed)
        mine_files([places], tmp_path / "out", JOB)
    shard = tmp_path / "out/sets-00003.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(RunError, match=f"^`{shard}` is missing, torn or was changed"):
        mine_files([places], tmp_path / "out", JOB)


@pytest.mark.parametrize("sampler", ["symmetric", "blocks", "ring"])
def test_any_number_of_shards_in_any_order_with_their_halo_gives_the_same_sets(
    tmp_path: Path, places: Path, sampler: str
) -> None:
    job = replace(JOB, sampler=sampler, shards=1)  # type: ignore[arg-type]
    mine_files([places], tmp_path / "one", job)
    one = read_sets(tmp_path / "one")
    table = read_table([places], job)
    plan, shards = job.plan(), 37
    home, (row, shard) = homes(table.rows, plan, shards), copies(table.rows, plan, shards)
    parts = []
    rng = np.random.default_rng(0)
    for number in rng.permutation(shards):
        own, halo = np.flatnonzero(home == number), row[shard == number]
        order = rng.permutation(len(own) + len(halo))
        which = np.concatenate([own, halo])[order]
        is_own = (np.arange(len(which)) < len(own))[order]
        ids, splits = table.ids.take(pa.array(which)), table.splits.take(pa.array(which))
        parts.append(mine_shard(table.rows.take(which), is_own, ids, splits, plan)[0])
    assert len(one) > 300 and len(row) > 0
    assert content_digest(pa.concat_tables(parts)) == content_digest(one)


def test_the_order_of_input_rows_and_files_does_not_matter(tmp_path: Path, places: Path) -> None:
    table = pq.read_table(places).take(pa.array(np.random.default_rng(1).permutation(3000)))
    halves = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path, part in zip(halves, (table[:1234], table[1234:]), strict=True):
        pq.write_table(part, path)
    one = mine_files([places], tmp_path / "one", JOB)
    other = mine_files(halves, tmp_path / "other", JOB)
    assert one["sha256"] == other["sha256"]


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_its_engine_says_what_to_install(tmp_path: Path, places: Path) -> None:
    with pytest.raises(ConfigError, match=r'needs Ray: pip install "indirect-rlvr\[ray\]"'):
        mine_files([places], tmp_path / "out", JOB, "ray")


def test_content_matches_looks_and_times_are_kept_apart(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(2), 600
    columns: dict[str, object] = {
        **world(n),
        "sha": rng.integers(0, 40, n),
        "street": [f"s{i % 50}" for i in range(n)],
        "look": rng.integers(0, 2**20, n, dtype=np.uint64),
        "taken": pa.array(rng.integers(0, 7200, n) * 1_000_000, pa.timestamp("us")),
    }
    named = replace(COLUMNS, content=("sha",), match=("street",), look="look", times=(("taken", 5.0, 3600.0),))
    mine_files([write(tmp_path / "p.parquet", columns)], tmp_path / "out", replace(JOB, columns=named, k=3))
    row = {name: i for i, name in enumerate(columns["id"])}  # type: ignore[arg-type,var-annotated]
    taken = columns["taken"].cast(pa.int64()).to_numpy() / 1e6  # type: ignore[attr-defined]
    sets = read_sets(tmp_path / "out")["members"].to_pylist()
    assert len(sets) > 20
    for members in sets:
        own = [row[member] for member in members]
        for column in ("sha", "street"):
            assert len({columns[column][i] for i in own}) == 3  # type: ignore[index]
        looks = [int(columns["look"][i]) for i in own]  # type: ignore[index]
        assert all((a ^ b).bit_count() > 6 for i, a in enumerate(looks) for b in looks[:i])
        assert all(5 <= abs(taken[a] - taken[b]) <= 3600 for i, a in enumerate(own) for b in own[:i])


def test_geoparquet_points_are_the_same_as_columns_of_degrees(tmp_path: Path, places: Path) -> None:
    table = pq.read_table(places)
    degrees = zip(*(table[name].to_pylist() for name in COLUMNS.position), strict=True)
    points = pa.array([struct.pack("<BIdd", 1, 1, *place) for place in degrees], pa.binary())
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    path = tmp_path / "p.geoparquet"
    table = table.append_column("geometry", points).replace_schema_metadata({"geo": json.dumps(geo)})
    pq.write_table(table.drop_columns(list(COLUMNS.position)), path)
    assert position_of([path], "", "", (), [5000.0]) == ("geometry",)
    named = replace(COLUMNS, position=("geometry",))
    here = mine_files([path], tmp_path / "geo", replace(JOB, columns=named))
    there = mine_files([places], tmp_path / "columns", JOB)
    assert [s["sets"] for s in here["shards"]] == [s["sets"] for s in there["shards"]]
    assert content_digest(read_sets(tmp_path / "geo")) == content_digest(read_sets(tmp_path / "columns"))
    geo["columns"]["geometry"]["crs"] = {"id": {"authority": "EPSG", "code": 32633}}  # type: ignore[index]
    pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)
    with pytest.raises(DataError, match="expected longitude and latitude"):
        position_of([path], "", "", (), [5000.0])


def test_places_without_cells_are_refused_unless_keys_say_what_is_near(tmp_path: Path, places: Path) -> None:
    unbounded = "^places are in `lon`, `lat`, and no --cells says how far apart .*; give --cells, for example"
    with pytest.raises(ConfigError, match=unbounded):
        position_of([places], "lon", "lat", (), [], ["ward"])
    with pytest.raises(ConfigError, match="^places are in `x`, and no --cells"):
        position_of([places], "", "", ("x",), [])
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    path = tmp_path / "p.geoparquet"
    pq.write_table(pa.table({"geometry": [b""]}).replace_schema_metadata({"geo": json.dumps(geo)}), path)
    with pytest.raises(ConfigError, match="^places are in `geometry`, and no --cells"):
        position_of([path], "", "", (), [])
    assert position_of([path], "", "", (), [], ["ward"]) == ()
    assert position_of([places], "", "", (), []) == ()


@pytest.mark.parametrize("text", ["taken", "taken:1", "taken:a:b", "1:2"])
def test_a_time_that_is_no_ring_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not COLUMN:MIN:MAX in seconds"):
        time_of(text)


def test_the_command_mines_and_says_what_it_could_not_tell(tmp_path: Path, places: Path) -> None:
    named = ["--longitude-degrees", "longitude_degrees", "--latitude-degrees", "latitude_degrees", "--split", "split"]
    wanted = ["--cells", "2500", "--cells", "10000", "--r-min", "50", "--k", "4", "--shards", "3"]
    done = CliRunner().invoke(cli.app, ["data", "mine", str(places), "--out", str(tmp_path / "out"), *named, *wanted])
    assert done.exit_code == 0, done.output
    assert "sets of 4 from 3,000 records" in done.stdout
    found = read_sets(tmp_path / "out")["members"].to_pylist()
    said = re.search(
        r"([\d,]+) sets .*: ([\d,]+) disjoint ones .*, ([\d,]+) that .*; ([\d,]+) without one", done.stdout
    )
    assert said is not None
    sets, disjoint, again, without = (int(number.replace(",", "")) for number in said.groups())
    assert sets == len(found) == disjoint + again and again > 0
    assert without == 3000 - len({name for members in found for name in members})
    assert disjoint * 4 <= 3000 - without
    half = CliRunner().invoke(cli.app, ["data", "mine", str(places), "--out", str(tmp_path / "o2"), *named[:2]])
    assert half.exit_code == 2 and "give both --longitude-degrees and --latitude-degrees" in half.stderr
