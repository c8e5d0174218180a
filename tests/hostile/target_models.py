"""Checkpoints that are fuzzed: torn, of another model, with lying headers; and marks of checkpoints."""

import json
import shutil
import struct
from functools import lru_cache, partial
from pathlib import Path
from tempfile import mkdtemp

from guard import survives
from hypothesis import strategies as st
from spoiling import damaged, file_of

from indirect_rlvr.config import Tiny
from indirect_rlvr.run import write_json
from indirect_rlvr.training import checkpoints, models
from indirect_rlvr.training.tiny import build_tiny, save_tiny

MARK = {"step": 3, "weights_sha256": "0" * 64, "files": {"a": 1}, "lengths": {"log.jsonl": 3}, "extra": {"recorded": 1}}


def checkpoint(draw: st.DataObject, folder: Path) -> None:
    """A model folder of which one file is spoiled; nothing of it may run, and nothing may be loaded from pickles."""
    model = folder / "model"
    shutil.copytree(_model(), model)
    name = draw.draw(st.sampled_from(sorted(path.name for path in model.iterdir())))
    path = model / name
    if name == "model.safetensors":
        path.write_bytes(_weights(draw, path.read_bytes()))
    elif name.endswith(".json"):
        path.write_bytes(file_of(draw, json.loads(path.read_text(encoding="utf-8"))))
    else:
        path.write_bytes(damaged(draw, path.read_bytes()))
    survives(partial(models.load, model), folder)


def mark(draw: st.DataObject, folder: Path) -> None:
    """The mark and the identity of an unfinished training."""
    beside = folder / ".grpo.partial"
    step = beside / "checkpoint-3"
    step.mkdir(parents=True)
    (step / "a").write_bytes(b"x")
    (beside / "log.jsonl").write_bytes(b"{}\n\n")
    (step / checkpoints.MARK).write_bytes(file_of(draw, MARK))
    identity = {"recipe": "a", "packages": "b"}
    write_json(beside / checkpoints.IDENTITY, identity)
    if draw.draw(st.booleans()):
        write_json(step / checkpoints.MARK, MARK)
        (beside / checkpoints.IDENTITY).write_bytes(file_of(draw, identity))
    survives(partial(_attempt, folder / "grpo", checkpoints.Resume(identity, draw.draw(st.booleans()))), folder)


def _attempt(out: Path, resume: checkpoints.Resume) -> int:
    with checkpoints.attempt(out, resume) as tried:
        return len(tried.extra)


def _weights(draw: st.DataObject, whole: bytes) -> bytes:
    """Damaged bytes, or a header that says something else."""
    if draw.draw(st.booleans()):
        return damaged(draw, whole)
    size = struct.unpack("<Q", whole[:8])[0]
    header = file_of(draw, json.loads(whole[8 : 8 + size]))
    length = draw.draw(st.sampled_from((len(header), len(header), 0, 2**63, 2**40)))
    return struct.pack("<Q", length) + header + whole[8 + size :]


@lru_cache(maxsize=1)
def _model() -> Path:
    folder = Path(mkdtemp()) / "model"
    small = Tiny(hidden=16, layers=1, heads=2, vision_hidden=24, vision_depth=1)
    save_tiny(*build_tiny(small, ["one", "two"], seed=0), folder)
    return folder


TARGETS = {target.__name__: target for target in (checkpoint, mark)}
