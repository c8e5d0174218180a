"""Prepared records in a run: real ground and overhead images, neighbours by longitude and latitude.

`rlvr data prepare geo` made them (`prepare/`). Here they are read, linked into the run's folder and asked about.
"""

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.data.rows import code
from indirect_rlvr.defaults import INSTRUCTION
from indirect_rlvr.errors import DataError
from indirect_rlvr.run import disk_errors, keyed_rng
from indirect_rlvr.types import Neighbourhood, Prompt, ProxyTask, Question, Record, Ring, Scalar, View
from indirect_rlvr_geo.prepare.finished import finished, manifest, rows
from indirect_rlvr_geo.settings import Photos, Settings

VIEWS = ("ground", "overhead")
DAY_S = 86_400.0
CHOSEN_BY_DEGREES = 0.02
"""Side of the blocks, about two kilometres, that a limit takes whole."""
QUESTION = (
    f"Exactly one of the overhead views shows the place where the ground view was taken. Which one? {INSTRUCTION}"
)
_FACTS = ("city", "place", "latitude", "longitude", "captured", "captured_s", "heading_deg", "elevation_m", "covers")


def load(settings: Settings, folder: Path) -> Iterator[Record]:
    """Every prepared record, or so many of each split as the limit says, whole blocks at a time.

    `facts`: longitude and latitude in degrees, city, place (equal for records that show the same), captured (ISO 8601)
    and captured_s (seconds since 1970), captured_utc where the moment is known with its offset, heading_deg,
    elevation_m, overhead and covers (paths of the overhead images that show the place); what is not known is left out.
    """
    source = Path(settings.prepared)
    found = finished(source)
    root = source / found["root"]
    if not root.is_dir():
        raise DataError(
            f"the images of `{source}` should lie in `{root}`, and that is no folder; put them back there, or prepare "
            "again"
        )
    chosen = _chosen(source, found, settings.photos.limit)
    (folder / "views").mkdir(parents=True, exist_ok=True)
    for row in rows(source, found):
        if chosen is None or row["id"] in chosen:
            yield _record(row, source, root, folder)


def neighbourhood(settings: Settings) -> Neighbourhood:
    """Cells in metres along the ground, or, without positions, everyone; what shows the same place never meets."""
    found, photos = manifest(Path(settings.prepared)), settings.photos
    about, rings = str(found["about"]), _window(photos)
    if not found["positions"]:
        return Neighbourhood(match_keys=("place",), matches=shows_the_other, rings=rings, about=about)
    return Neighbourhood(
        position=lambda record: (float(record.facts["longitude"]), float(record.facts["latitude"])),
        metric="lon_lat_degrees",
        unit="m",
        cells=photos.cells_m,
        r_min=photos.min_separation_m,
        buffer=photos.buffer_m,
        rings=rings,
        match_keys=("place",),
        matches=shows_the_other,
        about=about,
    )


def question(query: Record, candidates: Sequence[Record]) -> Question:
    """One ground view, K overhead views, the wording; the metadata goes along for scaffolds and fact checks."""
    return Question(
        text=QUESTION,
        query=(query.views["ground"],),
        candidates=tuple(candidate.views["overhead"] for candidate in candidates),
        facts={"query": dict(query.facts), "candidates": [dict(candidate.facts) for candidate in candidates]},
    )


def images_first(task: ProxyTask) -> Prompt:
    """All images, the ground view before the overhead views, none with a label, then one text that says their order.

    The released code takes the image marks out of the question and puts every image before it; how its question names
    the candidates is not known, so the sentence on the order is ours. Without a query view the ground view goes too.
    """
    *letters, last = task.labels
    named = f"{', '.join(letters)} and {last}, in this order"
    if task.question.query:
        order = f"The first image is the ground view; the images after it are the overhead views {named}."
    else:
        order = f"The images are the overhead views {named}."
    return Prompt((*task.question.query, *task.question.candidates, f"{order} {task.question.text}"))


def shows_the_other(one: Record, other: Record) -> bool:
    """Whether the overhead image of either is among those that show the place of the other (semi-positives)."""
    covers = [str(record.facts.get("covers", "")).split("|") for record in (one, other)]
    return str(one.facts["overhead"]) in covers[1] or str(other.facts["overhead"]) in covers[0]


def _window(photos: Photos) -> tuple[Ring, ...]:
    if photos.window_days is None:
        return ()
    low, high = photos.window_days
    return (Ring("time", "euclidean", _days, low, high, "d"),)


def _days(record: Record) -> tuple[float]:
    if "captured_s" not in record.facts:
        raise DataError(
            f"record `{record.id}` has no time, and `records.photos.window_days` asks for one; leave the setting out, "
            "or prepare a table with a column `time`"
        )
    return (float(record.facts["captured_s"]) / DAY_S,)


def _record(row: Mapping[str, Any], source: Path, root: Path, folder: Path) -> Record:
    facts: dict[str, Scalar] = {name: row[name] for name in _FACTS if row[name] not in (None, "")}
    facts |= {"overhead": row["overhead"]}
    if len(row["captured"]) > len("2019-05-03") and _has_offset(row["captured"]):
        facts["captured_utc"] = row["captured"]
    views = {}
    for view in VIEWS:
        image = source / row[f"{view}_copy"] if row[f"{view}_copy"] else root / row[view]
        name = f"views/{code(row[view]):016x}-{view}{image.suffix.lower()}"
        _bring(image, folder / name, row["id"])
        views[view] = View(view, "image", name)
    return Record(row["id"], row["cluster"], views, facts, row["split"])


def _has_offset(moment: str) -> bool:
    return moment.endswith("Z") or moment[-6:-5] in ("+", "-")


def _bring(image: Path, target: Path, record: str) -> None:
    """A hard link where the disk allows it, else a copy: a run's images lie inside its own folder."""
    if target.exists():
        return
    if not image.is_file():
        raise DataError(f"record `{record}`: `{image}` was there when it was prepared and is not now; prepare again")
    with disk_errors(target):
        try:
            os.link(image.resolve(), target)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES):
                raise
            shutil.copyfile(image, target)


def _chosen(source: Path, found: dict[str, Any], limit: int) -> set[str] | None:
    """The ids that a limit keeps: blocks in an order drawn by a keyed hash, each whole, until a split is full."""
    if not limit:
        return None
    blocks: dict[tuple[str, str], list[str]] = {}
    for row in rows(source, found):
        blocks.setdefault((row["split"], _block(row)), []).append(row["id"])
    kept: dict[str, list[str]] = {}
    for split, block in sorted(blocks, key=lambda each: keyed_rng(0, "limit", *each).random()):
        own = kept.setdefault(split, [])
        own += blocks[split, block][: limit - len(own)]
    return {record for ids in kept.values() for record in ids}


def _block(row: Mapping[str, Any]) -> str:
    if row["latitude"] is None:
        return str(row["place"])
    return f"{row['latitude'] // CHOSEN_BY_DEGREES:g} {row['longitude'] // CHOSEN_BY_DEGREES:g}"
