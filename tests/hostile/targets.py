"""What is fuzzed: each target spoils one kind of input and holds what reads it to `guard.survives`.

The test suite gives each a few examples; `benchmarks/fuzz.py` gives each as many as there is time for.
"""

import io
import json
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import toy
from guard import survives
from hypothesis import strategies as st
from PIL import Image
from spoiling import LEAVES, WORDS, as_json, damaged, file_of, lines_of, spoiled

from indirect_rlvr.audit_run import audit_path
from indirect_rlvr.audit_run import summary as audit_summary
from indirect_rlvr.config import load_recipe
from indirect_rlvr.data import columns, mining, proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.evaluation.difficulty import against, answered, table
from indirect_rlvr.evaluation.rescore import rescore
from indirect_rlvr.evaluation.score import read_predictions, score_predictions, summarise
from indirect_rlvr.reporting import difficulty as difficulty_words
from indirect_rlvr.reporting import rescored, write
from indirect_rlvr.reporting.columns import columns as aligned
from indirect_rlvr.reporting.markup import text as quoted
from indirect_rlvr.reporting.pictures import show
from indirect_rlvr.reporting.summary import summary
from indirect_rlvr.rewards import facts, parsing, places, quantities, shapes, terms, traces
from indirect_rlvr.testing.strategies import completions
from indirect_rlvr.training.dataset import images
from indirect_rlvr.types import Completion, Prompt, ProxyTask, Record, View
from indirect_rlvr_geo import claims
from indirect_rlvr_template import hooks as template

Target = Callable[[st.DataObject, Path], None]
LABELS = ("A", "B", "C", "D", "E")


def model_text(draw: st.DataObject, folder: Path) -> None:
    """What a model writes: every parser, term and fact check, and the report's escaping; none of them ever refuses."""
    completion = draw.draw(completions(LABELS) | st.builds(Completion, st.text(max_size=200)))
    for read in READERS_OF_TEXT:
        assert survives(partial(read, completion), folder) is not None, f"{read} refused a text"


def _of_text(call: Callable[[str], object]) -> Callable[[Completion], object]:
    return lambda completion: [call(completion.text), call(parsing.last_answer(completion.text) or "")]


def _scored(completion: Completion) -> object:
    task = _tasks()[0]
    made = [terms.accuracy("plus-minus"), terms.format_term(), terms.length(512), terms.repetition(6)]
    return [term.score(task, completion) for term in [*made, terms.overlong(512, 64), _grounded()]]


def _checked(completion: Completion) -> object:
    text, task = completion.text, _tasks()[0]
    verdicts = template.check_facts(template.Settings(), task, text)
    return [facts.precision(verdicts), facts.sentences(text), facts.repaired(text, verdicts), claims.find(text, LABELS)]


def _grounded() -> Any:
    return template.rewards(template.Settings())[0]


READERS_OF_TEXT = (
    _scored,
    _checked,
    *map(_of_text, (
        parsing.sections, lambda text: parsing.parse_choice(text, LABELS), quantities.parse_coordinates,
        lambda text: quantities.parse_number(text, {"km": 1000.0, "m": 1.0}), shapes.parse_boxes, shapes.parse_mask,
        lambda text: places.parse_place(text, ("country", "city")), lambda text: traces.named_in(text, ("snow", "sea")),
        quoted, lambda text: aligned([{"text": text}]),
    )),
)  # fmt: skip


def records(draw: st.DataObject, folder: Path) -> None:
    """Rows of `records.jsonl`, and records as a pack gives them."""
    path = folder / "records.jsonl"
    path.write_bytes(lines_of(draw, _rows("records/records.jsonl")[:3]))
    survives(partial(store.read, path), folder)
    given = _record(draw)
    survives(partial(store.load, [given], folder), folder)


def _record(draw: st.DataObject) -> Record:
    content = draw.draw(st.sampled_from(WORDS) | st.text(max_size=30))
    views = {"v": View("v", draw.draw(st.sampled_from(("text", "image", "sound"))), content)}  # type: ignore[arg-type]
    found = draw.draw(st.dictionaries(st.text(max_size=5), LEAVES, max_size=3))
    return Record(draw.draw(st.sampled_from(WORDS) | st.text(max_size=9)), "c", views, found)


def picture(draw: st.DataObject, folder: Path) -> None:
    """An image of any mode and format, with the wrong extension, odd metadata, many frames or damage."""
    name = "x" + draw.draw(st.sampled_from((".png", ".jpg", ".tif", ".webp", ".bmp", ".txt", "")))
    (folder / name).write_bytes(_image(draw))
    view = View("v", "image", name)
    survives(partial(store.open_image, folder, name), folder)
    survives(partial(Looks(folder).of, view), folder)
    survives(partial(show, view, folder, "x"), folder)
    survives(partial(images, Prompt((view,)), folder), folder)


def _image(draw: st.DataObject) -> bytes:
    how = draw.draw(st.sampled_from(("mode", "mode", "frames", "exif", "bomb", "junk")))
    if how == "junk":
        return draw.draw(
            st.sampled_from((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"RIFF", b"BM", b"%!PS"))
        ) + (draw.draw(st.binary(max_size=300)))
    if how == "bomb":
        return bomb(draw.draw(st.integers(1, 2**31 - 1)), draw.draw(st.integers(1, 2**31 - 1)))
    whole = draw.draw(st.sampled_from(_images()[how]))
    return damaged(draw, whole) if draw.draw(st.integers(0, 2)) else whole


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims so many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@lru_cache(maxsize=1)
def _images() -> Mapping[str, list[bytes]]:
    modes = {"1": "PNG", "L": "PNG", "LA": "PNG", "P": "PNG", "RGB": "JPEG", "RGBA": "WEBP", "CMYK": "JPEG",
             "I;16": "TIFF", "I": "TIFF", "F": "TIFF", "YCbCr": "TIFF"}  # fmt: skip
    found: dict[str, list[bytes]] = {"mode": [_saved(Image.new(mode, (9, 7)), kind) for mode, kind in modes.items()]}
    found["mode"] += [_saved(Image.new("RGB", (9, 7)), kind) for kind in ("BMP", "TIFF", "WEBP", "GIF")]
    more = [Image.new("RGB", (9, 7), (n * 40, 0, 0)) for n in range(4)]
    found["frames"] = [_saved(more[0], kind, save_all=True, append_images=more[1:]) for kind in ("TIFF", "WEBP", "PNG")]
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x9286] = 6, "x" * 20_000, b"\xff" * 20_000
    found["exif"] = [_saved(more[0], kind, exif=exif.tobytes()) for kind in ("JPEG", "WEBP", "PNG")]
    return found


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def recipe(draw: st.DataObject, folder: Path) -> None:
    """A recipe as a file, whole or damaged, and `--set`."""
    path = folder / "recipe.toml"
    whole = (toy.run_folder() / "recipe.toml").read_bytes()
    path.write_bytes(damaged(draw, whole) if draw.draw(st.booleans()) else whole)
    keys = st.sampled_from(
        (
            "seed",
            "tasks.k",
            "grpo.trl",
            "grpo.trl.x",
            "reward.weights.accuracy",
            "records",
            "threads",
            "model.path",
            "grpo.curriculum.band",
            "sft.steps.x",
            "",
            ".",
            "a..b",
            "\0",
        )
    )
    values = st.one_of(
        st.sampled_from(
            (
                *WORDS,
                "1\nseed = 2",
                "nan",
                "-inf",
                "1e400",
                "9" * 5000,
                "1979-05-27",
                "[" * 3000,
                "{a={a=1}}",
                "{ x = [[[nan]]] }",
                "true",
                '"\\uD800"',
                "0x7fffffffffffffffff",
            )
        ),
        st.text(max_size=20),
        LEAVES.map(str),
    )
    overrides = draw.draw(st.lists(st.builds("{}={}".format, keys, values) | st.text(max_size=12), max_size=3))
    found = survives(partial(load_recipe, path, overrides), folder)
    if found is not None:
        write.write_text(folder / "out.json", json.dumps(found.model_dump(), allow_nan=False, ensure_ascii=False))


def answers(draw: st.DataObject, folder: Path) -> None:
    """Predictions, by which a benchmark is scored and difficulty measured."""
    path = folder / "proxy.jsonl"
    path.write_bytes(lines_of(draw, _rows("evaluation/base/proxy.jsonl")))
    tasks = [task for task in _tasks() if task.split == "test"][:12]
    survives(lambda: summarise(tasks, score_predictions(tasks, read_predictions(path))), folder)
    survives(lambda: difficulty_words.text(table({"x": answered(tasks, path)}, "tasks")), folder)


def rollouts(draw: st.DataObject, folder: Path) -> None:
    """Rollouts of a run, scored again."""
    run = _copy(folder, ("manifest.json", "recipe.toml", "tasks.jsonl", "grpo"))
    (run / "grpo" / "rollouts.jsonl").write_bytes(lines_of(draw, _rows("grpo/rollouts.jsonl")))
    survives(lambda: rescored.table(rescore(run)), folder)


def results(draw: st.DataObject, folder: Path) -> None:
    """Any one file of a finished run, and everything that reads the run: report, summary, rescore, difficulty."""
    run = _copy(folder, None)
    name = draw.draw(st.sampled_from(("results.json", "results.json", "manifest.json", "manifest.json", "audit.json")))
    (run / name).write_bytes(file_of(draw, json.loads((run / name).read_text(encoding="utf-8"))))
    _read_run(run, folder)


def lines_of_a_run(draw: st.DataObject, folder: Path) -> None:
    """Tasks, answers, verdicts and logs of a finished run, and everything that reads the run."""
    run = _copy(folder, None)
    name = draw.draw(st.sampled_from(("tasks.jsonl", "grpo/log.jsonl", "evaluation/base/proxy.jsonl", "claims")))
    if name == "claims":
        name = "evaluation/base/claims.jsonl"
        verdict = {"claim": "a", "status": "supported", "evidence": "b", "kind": "c", "span": [0, 3]}
        rows = [{"id": row["id"], "verdicts": [verdict]} for row in _rows("evaluation/base/proxy.jsonl")]
    else:
        rows = _rows(name)
    if name == "tasks.jsonl":
        rows = [{**row, "question": {**row["question"], "facts": {}}} for row in rows]  # facts are the pack's to read
    (run / name).write_bytes(lines_of(draw, rows))
    _read_run(run, folder, rescoring=name != "tasks.jsonl")


def _read_run(run: Path, folder: Path, rescoring: bool = True) -> None:
    survives(partial(write.write, run), folder)
    survives(lambda: json.dumps(summary(run), allow_nan=False), folder)
    survives(lambda: difficulty_words.picture(against(run)), folder)
    if rescoring:
        survives(lambda: rescored.table(rescore(run)), folder)


def audited(draw: st.DataObject, folder: Path) -> None:
    """A file of tasks and one of records made elsewhere, audited."""
    run = _copy(folder, ("tasks.jsonl", "records"))
    name = draw.draw(st.sampled_from(("tasks.jsonl", "records/records.jsonl")))
    rows = _rows(name)[: 16 if name == "tasks.jsonl" else None]
    (run / name).write_bytes(lines_of(draw, rows))
    survives(lambda: audit_summary(audit_path(run / "tasks.jsonl", None, None, True, str)), folder)


def parquet(draw: st.DataObject, folder: Path) -> None:
    """A table to mine candidate sets of: columns of any type, GeoParquet metadata, damaged bytes."""
    path, out = folder / "table.parquet", folder / "sets"
    pq.write_table(_table(draw), path)
    if draw.draw(st.integers(0, 2)) == 0:
        path.write_bytes(damaged(draw, path.read_bytes()))
    survives(partial(_mine, draw.draw(st.booleans()), path, out), folder)


CELLS = (5000.0,)


def _mine(named: bool, path: Path, out: Path) -> object:
    position = columns.position_of([path], "x" if named else "", "y" if named else "", (), CELLS, ())
    mined = columns.Columns(position=position, keys=("key",) if named else ())
    return mining.mine_files([path], out, columns.Job(mined, 3, cells=CELLS if position else (), shards=1))


def _table(draw: st.DataObject) -> pa.Table:
    n = draw.draw(st.integers(0, 12))
    columns_of = {
        "id": st.sampled_from(([f"r{i}" for i in range(n)], [1] * n, [None] * n, [b"\xff%d" % i for i in range(n)])),
        "x": st.lists(st.floats() | st.floats(-1, 1), min_size=n, max_size=n) | st.just(["far"] * n),
        "y": st.lists(st.floats(-1, 1), min_size=n, max_size=n) | st.just([None] * n) | st.just([[1.0]] * n),
        "key": st.sampled_from((["k"] * n, [None] * n, [{"a": 1}] * n, [b"\xff"] * n, list(range(n)))),
        "geometry": st.lists(st.binary(max_size=25), min_size=n, max_size=n)
        | st.just([b"\x01\x01\x00\x00\x00" + np.array([i / 99, 1.0]).tobytes() for i in range(n)]),
    }
    chosen = {name: draw.draw(values) for name, values in columns_of.items() if draw.draw(st.integers(0, 9))}
    made = pa.table(chosen)
    geo = {"primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB", "crs": {"id": {"code": 4326}}}}}
    spoilt = draw.draw(st.sampled_from((b"", as_json(geo), file_of(draw, geo))))
    return made.replace_schema_metadata({b"geo": spoilt}) if spoilt else made


def _copy(folder: Path, names: Sequence[str] | None) -> Path:
    """The toy run, or the named parts of it, as files that may be broken."""
    source, run = toy.run_folder(), folder / "run"
    for name in names or [entry.name for entry in source.iterdir() if not entry.name.startswith(".")]:
        whole = source / name
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(whole, run / name) if whole.is_dir() else shutil.copyfile(whole, run / name)
    return run


@lru_cache(maxsize=16)
def _rows(name: str) -> list[Any]:
    return [json.loads(line) for line in (toy.run_folder() / name).read_text(encoding="utf-8").splitlines()]


@lru_cache(maxsize=1)
def _tasks() -> list[ProxyTask]:
    return proxy.read(toy.run_folder() / "tasks.jsonl")


TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        model_text, records, picture, recipe, answers, rollouts, results, lines_of_a_run, audited, parquet
    )
}  # fmt: skip
"""Without checkpoints, which `target_models` adds: they need torch."""

__all__ = ["TARGETS", "Target", "bomb", "spoiled"]
