"""Unpacks a data set of the Hugging Face hub: Parquet files with images inside, into one JSON-lines file and a folder
of images beside it.

    python -m indirect_rlvr_geo.benchmarks.unpack DATA_ROOT/mmmu/validation.jsonl MMMU/*/validation-*.parquet

A view is a path, so images must lie on disk before a benchmark is asked; they are named by their content.
"""

from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.run import make_folder, write_jsonl
from indirect_rlvr_geo.benchmarks.alone import command

FOLDER = "images"
_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif", "GIF": "gif", "BMP": "bmp"}
ROWS_AT_ONCE = 64


def unpack(target: Path, parquets: Sequence[Path]) -> int:
    """Write every row of the Parquet files, in order, as a line of `target`, and its images to `images/` beside it.

    An image column becomes the image's path relative to the folder of `target`. Returns the number of rows. Raises
    DataError for a file that cannot be read and an image in a format of no use here.
    """
    folder = target.parent / FOLDER
    make_folder(folder)
    lines = [line for path in parquets for line in _lines(path, folder)]
    write_jsonl(target, lines)
    return len(lines)


def main(arguments: Sequence[str]) -> int:
    """Unpack what is named; raises ConfigError without any Parquet file."""
    if len(arguments) < 2:
        raise ConfigError(f"expected the file to write and the Parquet files to read, got {list(arguments)}")
    target, *parquets = map(Path, arguments)
    return unpack(target, parquets)


def _lines(path: Path, folder: Path) -> list[dict[str, Any]]:
    try:
        batches = pq.ParquetFile(path).iter_batches(batch_size=ROWS_AT_ONCE)
        return [_plain(row, folder) for batch in batches for row in batch.to_pylist()]
    except (OSError, ValueError) as error:
        raise DataError(f"`{path}` cannot be read as Parquet: {error}; download it again") from error


def _plain(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"bytes", "path"}:
            return None if value["bytes"] is None else _write(value["bytes"], folder)
        return {key: _plain(item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, folder) for item in value]
    return value


def _write(data: bytes, folder: Path) -> str:
    try:
        with Image.open(BytesIO(data), formats=tuple(_SUFFIXES)) as image:
            suffix = _SUFFIXES[str(image.format)]
    except Exception as error:  # decoders raise anything on torn bytes
        raise DataError(f"an image of {len(data)} bytes is none of {', '.join(_SUFFIXES)}: {error}") from error
    path = folder / f"{sha256(data).hexdigest()[:20]}.{suffix}"
    if not path.exists():
        path.write_bytes(data)
    return f"{FOLDER}/{path.name}"


if __name__ == "__main__":
    command(main, "rows")
