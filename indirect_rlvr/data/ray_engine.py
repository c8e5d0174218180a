"""The same mining on Ray Data, past one machine: rows go to their shards, each shard is mined by one task.

Nothing is decided here. A task gets the rows of one shard in any order and calls the function that the local engine
calls; Ray brings rows there. `out` must be a folder that every machine sees.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from indirect_rlvr.data.columns import Job, ids_of, rows_of_batch
from indirect_rlvr.data.mining import batches, splits_of
from indirect_rlvr.data.rows import Plan, Rows
from indirect_rlvr.data.shards import copies, homes, mine_shard, write_shard
from indirect_rlvr.errors import ConfigError, RlvrError, RunError
from indirect_rlvr.progress import each


def mine_with_ray(
    files: Sequence[Path], out: Path, job: Job, plan: Plan, key: str, todo: Sequence[int]
) -> list[dict[str, Any]]:
    """Mine the shards asked for and give their manifest entries.

    Uses the cluster of `RAY_ADDRESS`, or starts Ray on this machine. Raises ConfigError where Ray is not installed, our
    own errors as the tasks raised them, and RunError where a worker died more often than Ray tries again.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            'the engine "ray" needs Ray: pip install "indirect-rlvr[ray]", or take --engine local'
        ) from error
    started = not ray.is_initialized()
    if started:
        _start()
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars, context.raise_original_map_exception = False, True
    wanted = set(todo)

    def spread(table: pa.Table) -> pa.Table:
        return pa.concat_tables([spread_rows(batch, job, plan, wanted) for batch in _all(table)])

    def mine_one(group: pa.Table) -> pa.Table:
        shard = group["shard"][0].as_py()
        made = mine_shard(*from_table(group), plan)
        return pa.Table.from_pylist([write_shard(out.resolve(), shard, *made, key)])

    def _all(table: pa.Table) -> list[pa.Table]:
        return [batch for path in table["path"].to_pylist() for batch in batches(Path(path), job)]

    try:
        paths = ray.data.from_items([{"path": str(path.resolve())} for path in files])
        groups = paths.map_batches(spread, batch_format="pyarrow", batch_size=1).groupby("shard")
        rows = groups.map_groups(mine_one, batch_format="pyarrow").iter_rows()
        made: list[dict[str, Any]] = list(each(rows, "mining", "shard", len(todo)))
    except ray.exceptions.RayError as error:
        raise _ours(error) from error
    finally:
        if started:
            ray.shutdown()
    return made + _empty(out, plan, job, key, wanted - {int(entry["shard"]) for entry in made})


def _start() -> None:
    """Join the cluster of `RAY_ADDRESS`, or start Ray here."""
    import ray

    try:
        ray.init(include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # Ray raises plain exceptions when a node does not come up
        reason = str(error).strip().splitlines()[0][:160]
        raise RunError(f"Ray could not be started: {reason}; look at its cluster, or take --engine local") from error


def spread_rows(batch: pa.Table, job: Job, plan: Plan, wanted: set[int]) -> pa.Table:
    """The rows of a batch as columns, once for each wanted shard that owns them or needs them as neighbours."""
    rows = rows_of_batch(batch, job)
    home = homes(rows, plan, job.shards)
    row, shard = copies(rows, plan, job.shards)
    which, goes_to = np.concatenate([np.arange(len(rows)), row]), np.concatenate([home, shard])
    own = np.arange(len(which)) < len(rows)
    keep = np.isin(goes_to, list(wanted))
    which, goes_to, own = which[keep], goes_to[keep], own[keep]
    part = pa.array(which)
    chosen = rows.take(which)
    columns: dict[str, Any] = {"shard": goes_to, "own": own, "tags": chosen.tags, "pools": chosen.pools}
    columns |= {f"points{i}": column for i, column in enumerate(chosen.points.T)}
    columns |= {f"bits{i}": column for i, column in enumerate(chosen.bits.T)}
    columns |= {f"distinct{i}": column for i, column in enumerate(chosen.distinct.T)}
    columns["nuisance"] = chosen.nuisance
    columns["id"] = pa.array(ids_of(batch, job), pa.string()).take(part)
    columns["split"] = splits_of(batch, job).take(part)
    return pa.table(columns)


def from_table(group: pa.Table) -> tuple[Rows, Any, pa.Array, pa.Array]:
    """The rows of one shard, which of them are its own, their ids and splits."""

    def stacked(name: str, kind: type[np.generic]) -> Any:
        found = [group[column].to_numpy() for column in group.column_names if column.startswith(name)]
        return np.column_stack([np.zeros((len(group), 0), dtype=kind), *found])

    rows = Rows(
        tags=group["tags"].to_numpy(),
        pools=group["pools"].to_numpy(),
        points=stacked("points", np.int64),
        bits=stacked("bits", np.uint64),
        distinct=stacked("distinct", np.uint64),
        nuisance=group["nuisance"].to_numpy(),
    )
    own = group["own"].to_numpy(zero_copy_only=False)
    return rows, own, group["id"].combine_chunks(), group["split"].combine_chunks()


def _empty(out: Path, plan: Plan, job: Job, key: str, shards: set[int]) -> list[dict[str, Any]]:
    """Shards that no record goes to: Ray makes no group for them."""
    none = Rows(**{name: value[:0] for name, value in _blank(plan).items()})
    text = pa.array([], pa.string())
    made = mine_shard(none, np.zeros(0, dtype=np.bool_), text, text, plan)
    return [write_shard(out, shard, *made, key) for shard in sorted(shards)]


def _blank(plan: Plan) -> dict[str, Any]:
    points = max((axis.stop for axis in plan.axes if axis.kind == "points"), default=0)
    words = max((axis.stop for axis in plan.axes if axis.kind != "points"), default=0)
    one, whole = np.zeros(1, dtype=np.uint64), np.zeros((1, points), dtype=np.int64)
    none = np.zeros((1, 0), dtype=np.uint64)
    return {
        "tags": one, "pools": one, "points": whole, "bits": np.zeros((1, words), dtype=np.uint64), "distinct": none,
        "nuisance": np.zeros(1),
    }  # fmt: skip


def _ours(error: Any) -> RlvrError:
    """The error that a task of ours raised, without what Ray wrote below it; or one message for a worker that died."""
    cause = vars(error).get("cause")
    if isinstance(cause, RlvrError):
        return type(cause)(str(cause).splitlines()[0])
    reason = str(error).strip().splitlines()[0][:160]
    return RunError(f"Ray gave up: {reason}; finished shards are kept, give the same command again")
