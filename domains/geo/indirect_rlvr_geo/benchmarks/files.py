"""Reads the files of published benchmarks: JSON, tables, XML, and whether the images they name are there.

All of them are untrusted: nothing is unpickled, XML with a document type is refused, and every error names the file.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from indirect_rlvr.data.records import image_path
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import View

LARGEST_XML = 1_000_000
"""Bytes of an annotation that is read at all; DIOR's are about two thousand."""


def json_file(path: Path) -> Any:
    """A JSON file of a benchmark; raises DataError that names it where it cannot be read or is cut off."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"cannot read `{path}` as JSON: {error}; download it again") from error


def json_rows(path: Path, needed: Sequence[str]) -> list[Mapping[str, Any]]:
    """A JSON list of objects that all have the keys `needed`; raises DataError that names the file and the row."""
    rows = json_file(path)
    if not isinstance(rows, list):
        raise DataError(f"`{path}` holds {type(rows).__name__}; expected a list of records: download it again")
    for number, row in enumerate(rows):
        lacking = [key for key in needed if not isinstance(row, dict) or key not in row]
        if lacking:
            raise DataError(f"`{path}` record {number} has no `{lacking[0]}`; expected {', '.join(needed)}")
    return rows


def table(path: Path, columns: int, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of a table without a header; raises DataError for a line of fewer than `columns` cells."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for number, cells in enumerate(csv.reader(stream, delimiter=delimiter, skipinitialspace=True), 1):
                if cells and len(cells) < columns:
                    raise DataError(f"`{path}` line {number} has {len(cells)} cells; expected at least {columns}")
                if cells:
                    yield number, cells
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"cannot read `{path}`: {error}; download it again") from error


def xml_file(path: Path) -> ElementTree.Element:
    """The root of an XML file of at most `LARGEST_XML` bytes in UTF-8, without a document type and so without entities.

    Raises DataError that names the file for any other.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST_XML else None
        if data is None:
            raise DataError(f"`{path}` has more than {LARGEST_XML} bytes; an annotation has few thousand")
        text = data.decode("utf-8-sig")
        if "<!" in text.replace("<!--", ""):
            raise DataError(f"`{path}` declares a document type or a section of its own; an annotation has neither")
        return ElementTree.fromstring(text)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise DataError(f"cannot read `{path}` as XML: {error}; download it again") from error


def photo(folder: Path, content: object, kind: str = "overhead") -> tuple[View, tuple[str, ...]]:
    """The view of an image of the benchmark, and its name among the missing where `folder` does not hold it.

    A path that leads outside the folder counts as missing, and the view then keeps only its last part.
    """
    name = str(content)
    try:
        image_path(folder, name)
    except DataError:
        inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        return View(kind, "image", name if inside else Path(name).name), (name,)
    return View(kind, "image", name), ()
