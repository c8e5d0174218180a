"""A finished preparation, looked at again before it is used: its manifest and its shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.run import file_digest, read_json

MANIFEST = "manifest.json"
BATCH = 4096


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished preparation; raises DataError where there is none, or it was interrupted."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"`{folder}` holds no prepared records; make them: rlvr data prepare geo --source … --root … --out {folder}"
        )
    found: dict[str, Any] = read_json(path)
    if found.get("state") != "complete":
        raise DataError(f"the preparation in `{folder}` was not finished; give its command again")
    return found


def finished(folder: Path) -> dict[str, Any]:
    """The same, after its shards were compared with it; raises RunError where one is missing, torn or changed."""
    found = manifest(folder)
    for entry in found["files"]:
        path = folder / entry["file"]
        if not path.is_file() or file_digest(path) != entry["sha256"]:
            raise RunError(
                f"`{path}` is missing, torn or was changed since it was prepared; delete `{folder}` and prepare again"
            )
    return found


def rows(folder: Path, found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of all shards in order, a batch in memory at a time."""
    for entry in found["files"]:
        with pq.ParquetFile(folder / entry["file"]) as file:
            for batch in file.iter_batches(BATCH):
                yield from batch.to_pylist()
