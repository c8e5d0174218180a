"""Prepare a data set: listed, surveyed, every header read, settled, written as records; resumed after a kill.

The folder holds `records/*.parquet`, which appear all at once, smaller copies where a cap asked for them,
`dropped.jsonl`, and `manifest.json`, whose state is "complete" only when all of them are there.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.run import digest, disk_errors, file_digest, read_json, write_json, write_jsonl
from indirect_rlvr_geo.prepare import cv_cities, cvact, cvusa, table, university, vigor
from indirect_rlvr_geo.prepare.finished import MANIFEST, finished
from indirect_rlvr_geo.prepare.options import Options
from indirect_rlvr_geo.prepare.pairs import Listing, take
from indirect_rlvr_geo.prepare.parts import SHARD, VIEWS, check_parts, write_table
from indirect_rlvr_geo.prepare.settle import REASONS, Settled, settle
from indirect_rlvr_geo.prepare.survey import Survey, survey

DROPPED, SHARDS = "dropped.jsonl", "records"
VERSION = 2
"""Of what the files say; another one never continues what this one began."""
SOURCES: dict[str, Callable[[Path, Options], Listing]] = {
    "cv-cities": cv_cities.listing,
    "cvusa": cvusa.listing,
    "cvact": cvact.listing,
    "vigor": vigor.listing,
    "university1652": university.listing,
    "table": table.listing,
}

Say = Callable[[str], None]


def prepare(source: str, root: Path, out: Path, limit: int, options: Options, say: Say) -> dict[str, Any]:
    """Write the records of a data set into `out`, and give its manifest.

    Raises ConfigError for an unknown source, DataError for an unusable data set, RunError where `out` belongs to
    another preparation or the disk fails; the manifest is then not complete.
    """
    if source not in SOURCES:
        raise ConfigError(f"unknown source `{source}`; the sources are {', '.join(SOURCES)}")
    if not root.is_dir():
        raise DataError(f"`{root}` is not a folder; give the folder of the data set with --root")
    listing = SOURCES[source](root, options)
    surveyed = survey(listing, root, limit, options)
    settings = options.model_dump(exclude={"bad_share"})
    key = digest({"version": VERSION, "source": source, "options": settings, "pairs": surveyed.digest})
    before = _open(out, key)
    if before.get("state") == "complete":
        finished(out)
        shutil.rmtree(out / "parts", ignore_errors=True)
        say(f"`{out}` is complete already")
        return before
    begun = {"state": "partial", "key": key, "source": source, "root": os.path.relpath(root.resolve(), out.resolve())}
    write_json(out / MANIFEST, begun)
    for note in surveyed.notes:
        say(f"note: {note}")
    say(f"{surveyed.pairs:,} pairs are listed; reading their headers")
    parts = _parts(listing, surveyed, root, out, limit, options, key, say)
    settled = settle(parts, root)
    return _close(out, begun, listing, surveyed, parts, settled, options)


def _parts(
    listing: Listing, surveyed: Survey, root: Path, out: Path, limit: int, options: Options, key: str, say: Say
) -> list[Path]:
    """Every part checked; stops where more than the allowed share cannot be used."""
    pairs = (pair for _, pair in take(listing, limit))
    allowed = options.bad_share * surveyed.pairs
    parts: list[Path] = []
    bad = 0
    for path, unusable in check_parts(pairs, root, out, options, key):
        parts.append(path)
        bad += unusable
        if bad > allowed:
            rows = _dropped(parts)
            write_jsonl(out / DROPPED, rows)
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in Counter(r["reason"] for r in rows).items())
            raise DataError(
                f"{bad:,} of the first {min(len(parts) * options.shard, surveyed.pairs):,} pairs below `{root}` cannot "
                f"be used ({reasons}), first `{rows[0]['id']}`; they are listed in `{out / DROPPED}`: fetch them again "
                "and give the same command, or allow it with --set bad_share=0.5"
            )
        if surveyed.pairs > options.shard:
            say(f"{min(len(parts) * options.shard, surveyed.pairs):,} of {surveyed.pairs:,} pairs")
    return parts


def _dropped(parts: Sequence[Path], settled: Settled | None = None) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    start = 0
    for path in parts:
        part = pq.read_table(path, columns=["id", "reason", *VIEWS])
        reasons = _reasons(part, settled, start)
        rows += [
            {"id": row["id"], "reason": reason, **{view: row[view] for view in VIEWS}}
            for row, reason in zip(part.to_pylist(), reasons, strict=True)
            if reason
        ]
        start += len(part)
    return rows


def _reasons(part: pa.Table, settled: Settled | None, start: int) -> list[str]:
    own: list[str] = part["reason"].to_pylist()
    if settled is None:
        return own
    later = settled.reason[start : start + len(part)].tolist()
    return [first or REASONS[second] for first, second in zip(own, later, strict=True)]


def _close(
    out: Path,
    begun: dict[str, Any],
    listing: Listing,
    surveyed: Survey,
    parts: Sequence[Path],
    settled: Settled,
    options: Options,
) -> dict[str, Any]:
    """Write shards, the list of what was dropped and the manifest; then the parts can go."""
    dropped = _dropped(parts, settled)
    write_jsonl(out / DROPPED, dropped)
    files, splits, cities = _shards(out, parts, settled)
    for side in ("train", "test"):
        if not splits[side]:
            raise DataError(f"no pair of the {side} side can be used; `{out / DROPPED}` says why")
    with disk_errors(out):
        shutil.rmtree(out / SHARDS, ignore_errors=True)
        (out / "parts" / SHARDS).replace(out / SHARDS)
    manifest = begun | {
        "state": "complete",
        "options": options.model_dump(mode="json"),
        "about": listing.about,
        "notes": surveyed.notes,
        "positions": surveyed.has_positions,
        "listed": surveyed.pairs,
        "records": dict(splits),
        "cities": {city: dict(count) for city, count in sorted(cities.items())},
        "dropped": dict(sorted(Counter(row["reason"] for row in dropped).items())),
        "repeats": settled.repeats,
        "files": files,
        "dropped_sha256": file_digest(out / DROPPED),
        "sha256": digest([entry["sha256"] for entry in files]),
    }
    write_json(out / MANIFEST, manifest)
    shutil.rmtree(out / "parts")
    return manifest


def _shards(
    out: Path, parts: Sequence[Path], settled: Settled
) -> tuple[list[dict[str, Any]], Counter[str], dict[str, Counter[str]]]:
    files: list[dict[str, Any]] = []
    splits: Counter[str] = Counter()
    cities: dict[str, Counter[str]] = {}
    start = 0
    for path in parts:
        part = pq.read_table(path)
        kept = _settled_part(part, settled, start)
        start += len(part)
        written = out / "parts" / SHARDS / path.name
        write_table(written, kept)
        files.append({"file": f"{SHARDS}/{path.name}", "records": len(kept), "sha256": file_digest(written)})
        for city, split in zip(kept["city"].to_pylist(), kept["split"].to_pylist(), strict=True):
            splits[split] += 1
            cities.setdefault(city, Counter())[split] += 1
    return files, splits, cities


def _settled_part(part: pa.Table, settled: Settled, start: int) -> pa.Table:
    """The usable rows of a part, in the columns of a shard, with the contents that were told apart by all bytes."""
    reasons = _reasons(part, settled, start)
    for view, name in enumerate(VIEWS):
        column = f"{name}_content"
        values = [settled.contents.get((start + row, view), old) for row, old in enumerate(part[column].to_pylist())]
        part = part.set_column(part.column_names.index(column), column, pa.array(values, pa.string()))
    kept = part.filter(pc.equal(pa.array(reasons, pa.string()), ""))
    return kept.select(SHARD.names).cast(SHARD).replace_schema_metadata()


def _open(out: Path, key: str) -> dict[str, Any]:
    """The manifest that is in the folder already, or an empty one."""
    with disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    path = out / MANIFEST
    if not path.exists():
        if any(entry for entry in out.iterdir() if not entry.name.startswith(".")):
            raise RunError(f"`{out}` is not empty and holds no prepared records; choose another folder with --out")
        return {}
    found: dict[str, Any] = read_json(path)
    if found.get("key") != key:
        raise RunError(
            f"`{out}` holds records of another data set, table or settings; remove it, or choose another folder with "
            "--out"
        )
    return found
