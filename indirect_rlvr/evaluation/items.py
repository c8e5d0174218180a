"""Reads what an evaluation folder holds for a comparison: its results, and each item's value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indirect_rlvr import shapes
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import read_jsonl

SAME = ("prompt_hash", "parser_version", "data_revision", "main")
"""What must be equal before two results of one benchmark can be compared."""
LARGEST = 1e300
"""Values of items at most, either side of 0: JSON may hold whole numbers that no float can."""


@dataclass(frozen=True, slots=True)
class Item:
    """One example of a benchmark as an evaluation left it; `value` is that of `main`, None where it is absent."""

    id: str
    task: str
    cluster: str
    is_missing: bool
    is_parsed: bool
    value: float | None


def results(folder: Path) -> dict[str, Any]:
    """The results.json of an evaluation folder; raises DataError where it is missing or not that."""
    path = folder / "results.json"
    if not path.is_file():
        raise DataError(f"`{folder}` holds no results.json; make it with `rlvr eval --out {folder}`")
    return shapes.read(path, shapes.Evaluation, "`rlvr eval`")


def require_same(name: str, rows: tuple[Mapping[str, Any], Mapping[str, Any]], folders: tuple[Path, Path]) -> None:
    """Raise DataError where one benchmark was not measured alike in two folders."""
    for what in SAME:
        if rows[0][what] != rows[1][what]:
            raise DataError(
                f"benchmark `{name}` has {what} {rows[0][what]!r} in `{folders[0]}` and {rows[1][what]!r} in "
                f"`{folders[1]}`: they were not measured alike; evaluate both with the same release, data and --limit"
            )


def require_same_items(name: str, sides: Sequence[Mapping[str, Item]], folders: tuple[Path, Path]) -> None:
    """Raise DataError where an item was asked in one folder alone."""
    asked = [{key for key, item in side.items() if not item.is_missing} for side in sides]
    odd = sorted(asked[0] ^ asked[1])
    if odd:
        raise DataError(
            f"benchmark `{name}`: {len(odd)} items were asked in only one of `{folders[0]}` and `{folders[1]}`, first "
            f"`{odd[0]}`; evaluate both with the same data and --limit"
        )


def items(path: Path, main: str) -> dict[str, Item]:
    """The items of one benchmark by id, in order; raises DataError that names file and line."""
    found: dict[str, Item] = {}
    for number, row in enumerate(read_jsonl(path), 1):
        item = _item(row, main, f"`{path}` line {number}")
        if item.id in found:
            raise DataError(f"`{path}` line {number}: item {item.id!r:.80} is there twice; score the benchmark again")
        found[item.id] = item
    return found


def _item(row: Any, main: str, place: str) -> Item:
    kinds = {"id": str, "task": str, "cluster": str, "missing": bool, "values": dict}
    wrong = [key for key, kind in kinds.items() if not isinstance(row, dict) or not isinstance(row.get(key), kind)]
    if wrong:
        raise DataError(f"{place}: `{wrong[0]}` is missing or of another type; score the benchmark again")
    value = row["values"].get(main)
    if value is not None and not (isinstance(value, int | float) and abs(value) <= LARGEST):
        raise DataError(
            f"{place}: `{main}` is {value!r:.40}, expected a number up to {LARGEST:g}; score the benchmark again"
        )
    parsed = row.get("parsed") is not None
    return Item(row["id"], row["task"], row["cluster"], row["missing"], parsed, None if value is None else float(value))
