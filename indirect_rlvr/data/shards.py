"""Share a mining out: which shard owns a record, which shards need it as a neighbour, and what one shard writes.

Blocks of cells belong wholly to one shard, and a shard also sees the cells around its blocks: its halo. So a shard can
be mined alone, anywhere, and what all shards write together does not depend on how many there are.
"""

import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from indirect_rlvr.data.cells import grid_of
from indirect_rlvr.data.mine import mine
from indirect_rlvr.data.rows import RING, Places, Plan, Rows, Words, check_unique, mix
from indirect_rlvr.errors import RunError
from indirect_rlvr.run import disk_errors, file_digest, read_json, write_json

BLOCK = 32
"""Cells of the last level along each side of a block: few enough to spread, many enough to keep halos thin."""

HALO = 2
"""Cells around a block that its shard must see: a shifted cell reaches one cell further, and whether another record
in it gives the same set follows from the shifted cells of that record."""


def homes(rows: Rows, plan: Plan, shards: int) -> NDArray[np.int64]:
    """The shard that owns each row, shape (n,)."""
    if plan.place is None:
        return (mix(rows.pools) % np.uint64(shards)).astype(np.int64)
    return _shard(_cells(rows, plan) // BLOCK, shards)


def copies(rows: Rows, plan: Plan, shards: int) -> tuple[Places, NDArray[np.int64]]:
    """(row, shard) of every further shard that needs a row as a neighbour, each pair once."""
    if plan.place is None:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.int64)
    cells = _cells(rows, plan)
    inside, own = cells % BLOCK, _shard(cells // BLOCK, shards)
    low, high = inside < HALO, inside >= BLOCK - HALO
    pairs = [np.zeros(0, dtype=np.int64)]
    for step in product((-1, 0, 1), repeat=cells.shape[1]):
        if any(step):
            edge = [low[:, d] if s < 0 else high[:, d] for d, s in enumerate(step) if s]
            near = np.flatnonzero(np.logical_and.reduce(edge))
            shard = _shard(cells[near] // BLOCK + np.array(step), shards)
            pairs.append((near * shards + shard)[shard != own[near]])
    once = np.unique(np.concatenate(pairs))
    return (once // shards).astype(np.intp), once % shards


def _cells(rows: Rows, plan: Plan) -> NDArray[np.int64]:
    """Cells of the last level; three coordinates are enough to share work out."""
    assert plan.place is not None
    return grid_of(rows, plan.place, plan.seed, plan.place.sides[-1])[:, :3]


def _shard(blocks: NDArray[np.int64], shards: int) -> NDArray[np.int64]:
    codes: Words = np.zeros(len(blocks), dtype=np.uint64)
    for column in range(blocks.shape[1]):
        codes = mix(codes ^ mix(blocks[:, column].astype(np.uint64), column + 1))
    return (codes % np.uint64(shards)).astype(np.int64)


def mine_shard(
    rows: Rows, own: NDArray[np.bool_], ids: Sequence[str] | pa.Array, splits: Sequence[str] | pa.Array, plan: Plan
) -> tuple[pa.Table, dict[str, int]]:
    """The sets of one shard as a table sorted by id, and counts: `records`, `sets`, `disjoint`, `without`.

    Columns: `set_id`, `split`, `level`, `anchor` ("" unless the sampler is the ring) and `members`, K ids.
    """
    check_unique(rows.tags, ids)
    order = np.argsort(rows.tags)
    made = mine(rows, own, plan)
    members = order[np.searchsorted(rows.tags[order], made.members)]
    flat = pa.array(ids, pa.string()).take(pa.array(members.ravel()))
    names = _set_ids(made.members, plan)
    first = pa.array(members[:, 0])
    anchors = (
        pa.array(ids, pa.string()).take(first) if plan.sampler == RING else pa.array([""] * len(made), pa.string())
    )
    table = pa.table(
        {
            "set_id": pa.array(names, pa.string()),
            "split": pa.array(splits, pa.string()).take(first),
            "level": pa.array(made.levels, pa.int16()),
            "anchor": anchors,
            "members": pa.FixedSizeListArray.from_arrays(flat, plan.k),
        }
    )
    counts = {
        "records": int(own.sum()), "sets": len(made), "disjoint": made.disjoint, "without": len(made.without)
    }  # fmt: skip
    return table.take(pa.array(np.argsort(np.array(names, dtype=np.str_), kind="stable"))), counts


def _set_ids(members: Words, plan: Plan) -> list[str]:
    """128 bits of hash of each set's members, in hexadecimal; of an anchor ring also of who the anchor is."""
    ordered = members if plan.sampler == RING else np.sort(members, axis=1)
    words = [np.zeros(len(members), dtype=np.uint64) for _ in range(2)]
    for column in range(members.shape[1]):
        words = [mix(word ^ mix(ordered[:, column], key + 1)) for key, word in enumerate(words)]
    return [f"{high:016x}{low:016x}" for high, low in zip(words[0].tolist(), words[1].tolist(), strict=True)]


def shard_path(folder: Path, shard: int) -> Path:
    """The file of one shard."""
    return folder / f"sets-{shard:05d}.parquet"


def write_shard(folder: Path, shard: int, table: pa.Table, counts: dict[str, int], key: str) -> dict[str, Any]:
    """Write one shard atomically, then a note that it is finished, and give its entry of the manifest."""
    path = shard_path(folder, shard)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with disk_errors(path):
        try:
            pq.write_table(table, beside, compression="zstd")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    entry = {"shard": shard, "file": path.name, "sha256": file_digest(path), **counts}
    write_json(note_path(folder, shard), {"key": key, "entry": entry})
    return entry


def note_path(folder: Path, shard: int) -> Path:
    """Where it is noted that a shard is finished, until the manifest says so of all."""
    return folder / f".sets-{shard:05d}.json"


def finished_shard(folder: Path, shard: int, key: str) -> dict[str, Any] | None:
    """The manifest entry of a shard that an interrupted mining of the same job finished; None where there is none.

    Raises RunError where the shard is torn or was changed since.
    """
    note = note_path(folder, shard)
    if not note.exists():
        return None
    noted = read_json(note)
    return check_shard(folder, noted["entry"]) if noted["key"] == key else None


def check_shard(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry itself; raises RunError where its file is missing, torn or changed."""
    path = folder / str(entry["file"])
    if not path.exists() or file_digest(path) != entry["sha256"]:
        raise RunError(
            f"`{path}` is missing, torn or was changed since it was mined; delete the folder `{folder}` and mine again"
        )
    return entry


def read_shard(folder: Path, entry: dict[str, Any], k: int) -> pa.Table:
    """The sets of one shard, each of `k` records, as `mine_shard` made them.

    Raises RunError as `check_shard` does, and where the file holds something else.
    """
    path = folder / check_shard(folder, entry)["file"]
    columns = {"set_id": pa.string(), "split": pa.string(), "level": pa.int16(), "anchor": pa.string()}
    made = pa.schema({**columns, "members": pa.list_(pa.string(), k)})
    try:
        found = pq.read_table(path).select(made.names).cast(made)
        found.validate(full=True)
    except (OSError, KeyError, pa.ArrowException) as error:
        raise RunError(f"`{path}` holds no sets of {k} records: {error!s:.200}; mine into another folder") from error
    if any(column.null_count for column in found.columns) or found["members"].combine_chunks().flatten().null_count:
        raise RunError(f"`{path}` lacks values; mine into another folder")
    return found
