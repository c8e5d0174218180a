"""Checkpoints of a training: marked when whole, the newest found without being told, what follows them cut off.

A training stage works in a hidden folder beside its own, which takes the stage's name when the training ends well and
stays where it does not; its checkpoints stay in it until the stage is marked as finished (`run.settle`). A checkpoint
counts once `complete.json` stands in it, written last; a torn one has none.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from accelerate.utils import is_peft_model
from torch import nn
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from indirect_rlvr import processes, shapes
from indirect_rlvr.config import Model
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.run import IDENTITY, disk_errors, plain, settle, write_json
from indirect_rlvr.stopping import Stop
from indirect_rlvr.training import lora, models

MARK = "complete.json"
UNREAD = ("training_args.bin", "pytorch_model_fsdp.bin")
"""What Trainer writes and nobody reads: its arguments pickled, and the weights, a second time, of a sharded model."""
TRACKED = "runs"
"""Where TensorBoard's files are; it passes over what a resumed training writes a second time."""
SOFT = ("packages", "processes")
"""Changes after which a training goes on from its checkpoint, though no longer to the same bytes."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A whole checkpoint: its folder, its step, the digest of its weights, how long the stage's files were then, and
    what else the trainer wants back."""

    folder: Path
    step: int
    weights_sha256: str
    lengths: Mapping[str, int]
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resume:
    """What a training depends on, as digests by name, and whether it may go on though some of that has changed.

    Whoever names what it depends on marks it as finished, and settles its folder then (`run.settle`).
    """

    identity: Mapping[str, str] = field(default_factory=dict)
    accept_changes: bool = False


ALONE = Resume()
"""Of a training that nothing is known of: any earlier attempt in its place is its own."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One go at a stage: the folder it works in, and the checkpoint it starts from, None at the beginning."""

    folder: Path
    start: Checkpoint | None

    def policy(self, first: Path | str, settings: Model, dtype: str | None = None) -> models.Policy:
        """The policy of the checkpoint, its parameters verified, else that in `first`; either way it says that it comes
        from `first`, where TRL then looks for the reference model. With adapters always that in `first`: see
        `take_up`. `dtype` as `models.load_for_training` takes it."""
        if self.start is None or settings.lora.rank:
            return models.load_for_training(first, settings, dtype=dtype)
        policy = models.load_for_training(self.start.folder, settings, processor_of=first, dtype=dtype)
        _verify(policy.model, self.start)
        policy.model.config._name_or_path = policy.model.name_or_path = str(first)
        return policy

    def take_up(self, model: nn.Module) -> None:
        """Give the trainer's model the adapters of the checkpoint, verified, where it has any."""
        if not is_peft_model(model):
            return
        lora.forget_base(model)
        if self.start is not None:
            lora.take_up(model, self.start.folder)
            _verify(model, self.start)

    @property
    def resume(self) -> str | None:
        """What `Trainer.train` is told to resume from."""
        return str(self.start.folder) if self.start else None

    @property
    def extra(self) -> Mapping[str, Any]:
        """What the trainer left with the checkpoint, nothing at the beginning."""
        return self.start.extra if self.start else {}


@contextmanager
def attempt(out: Path, resume: Resume) -> Iterator[Attempt]:
    """Work on the stage folder `out`, going on where an earlier attempt of the same identity stopped.

    Files that grow line by line (*.jsonl) lose what they got behind the checkpoint. Raises ConfigError where the
    earlier attempt was of another identity, unless changes are accepted: then one of other packages or processes goes
    on, and any other starts anew. An attempt that ends badly stays for the next one if it has a checkpoint. Of several
    processes the first does all this, the others wait for it and start from the same checkpoint.
    """
    processes.join()
    beside = out.with_name(f".{out.name}.partial")
    start = processes.by_first(partial(_opened, beside, out, resume))
    try:
        yield Attempt(beside, start)
    except BaseException:
        if processes.is_first() and newest(beside) is None:
            shutil.rmtree(beside, ignore_errors=True)
        raise
    processes.wait()
    processes.by_first(partial(_finish, beside, out, resume))


def _opened(beside: Path, out: Path, resume: Resume) -> Checkpoint | None:
    """Bring the folder to where the checkpoint that the attempt starts from left it.

    A training that ended well and that nobody marked is taken back.
    """
    if (out / IDENTITY).is_file() and not beside.exists():
        out.replace(beside)
    _reconcile(beside, resume)
    with disk_errors(beside):
        beside.mkdir(parents=True, exist_ok=True)
        start = newest(beside)
        _cut(beside, start)
        write_json(beside / IDENTITY, dict(resume.identity))
    return start


def _finish(beside: Path, out: Path, resume: Resume) -> None:
    with disk_errors(out):
        if out.exists():
            shutil.rmtree(out)
        beside.replace(out)
        if not resume.identity:
            settle(out)


def newest(folder: Path) -> Checkpoint | None:
    """The last whole checkpoint in `folder`; torn ones are passed over, and those whose files, or the stage's as they
    were then, are missing or cut."""
    for step, path in sorted(_steps(folder), reverse=True):
        try:
            mark = shapes.read(path / MARK, shapes.Mark)
            whole = all((path / name).stat().st_size == size for name, size in mark["files"].items())
            whole &= all((folder / name).stat().st_size >= size for name, size in mark["lengths"].items())
        except (DataError, OSError, ValueError):  # a name of a file may hold anything
            continue
        if whole:
            return Checkpoint(path, step, mark["weights_sha256"], mark["lengths"], mark["extra"])
    return None


def _verify(model: nn.Module, start: Checkpoint) -> None:
    """Raise RunError unless the model's parameters are those the checkpoint was marked with."""
    found = models.weights_digest(model)
    if found != start.weights_sha256:
        raise RunError(
            f"the parameters loaded from `{start.folder}` are not those that were saved (sha256 {found[:12]}…, marked "
            f"{start.weights_sha256[:12]}…); delete that folder, and the run goes on from the checkpoint before it"
        )


class FromCheckpoint:
    """Goes before a Trainer whose model was built from the checkpoint: nothing is loaded into it a second time.

    Trainer would load the raw keys of the file, which for Qwen2.5-VL are none of the model's, and go on from whatever
    weights are there with a warning (transformers #43701). DeepSpeed loads what it has sharded elsewhere.
    """

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Nothing: the weights are there."""

    def _save_checkpoint(self, *arguments: object, **named: object) -> None:
        """As Trainer's; a disk that fails is one message."""
        trainer: Any = self
        with models.written(Path(trainer.args.output_dir)):
            super()._save_checkpoint(*arguments, **named)  # type: ignore[misc]

    def create_model_card(self, *arguments: object, **named: object) -> None:
        """None: TRL would write one of its own beside each checkpoint."""


class Keeper(TrainerCallback):
    """Marks each checkpoint that Trainer has written, removes those before the last `keep` except the newest one of a
    step up to `sound`, and ends the training with a checkpoint at the next boundary once `stop` was asked for in any
    process. A boundary is every `cycle`-th step."""

    def __init__(
        self,
        folder: Path,
        keep: int,
        cycle: int,
        stop: Stop,
        extra: Callable[[], Mapping[str, object]],
        sound: Callable[[], int],
    ) -> None:
        self._folder = folder
        self._last = keep
        self._cycle = cycle
        self._stop = stop
        self._extra = extra
        self._sound = sound

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        if state.global_step % self._cycle == 0 and self._stop.shared():
            control.should_save = control.should_training_stop = True
        if state.global_step >= state.max_steps:  # whoever goes on from there takes one step too many
            control.should_save = False

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: object,
    ) -> None:
        if model is None:
            return
        processes.wait()  # for what each process wrote of its own
        weights_sha256 = models.weights_digest(model)
        processes.by_first(partial(self._keep_step, state.global_step, weights_sha256))

    def _keep_step(self, step: int, weights_sha256: str) -> None:
        path = self._folder / f"checkpoint-{step}"
        with disk_errors(path):
            for name in UNREAD:
                (path / name).unlink(missing_ok=True)
            files = sorted(file for file in path.rglob("*") if file.is_file() and file.name != MARK)
            growing = sorted(self._folder.glob("*.jsonl"))
            for file in (*files, *growing):
                _flush(file)
        mark = {
            "step": step,
            "weights_sha256": weights_sha256,
            "files": {file.relative_to(path).as_posix(): file.stat().st_size for file in files},
            "lengths": {file.name: file.stat().st_size for file in growing},
            "extra": plain(self._extra()),
        }
        write_json(path / MARK, mark)
        steps = sorted(_steps(self._folder))
        last_sound = max((saved for saved, _ in steps if saved <= self._sound()), default=None)
        for saved, old in steps[: -self._last]:
            if saved != last_sound:
                shutil.rmtree(old)


def forget_after(folder: Path, step: int) -> int | None:
    """Remove the checkpoints from after `step`; returns the step of the newest whole one that is left."""
    for later, path in _steps(folder):
        if later > step:
            shutil.rmtree(path)
    found = newest(folder)
    return found.step if found else None


def _steps(folder: Path) -> list[tuple[int, Path]]:
    found = ((re.fullmatch(r"checkpoint-([0-9]{1,12})", path.name), path) for path in folder.glob("checkpoint-*"))
    return [(int(match[1]), path) for match, path in found if match]


def _reconcile(beside: Path, resume: Resume) -> None:
    """Forget an attempt that nobody can go on with, or that may not be gone on with as things are now."""
    if not newest(beside):
        return
    before, now = shapes.read(beside / IDENTITY, shapes.Identity), resume.identity
    changed = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    hard = [name for name in changed if name not in SOFT]
    if changed and not resume.accept_changes:
        follows = "starts anew" if hard else "goes on from its checkpoint, though not to the same bytes"
        raise ConfigError(
            f"`{beside}` holds an unfinished training, and since then changed: {', '.join(changed):.300}; with the "
            f"change it {follows}. Give --accept-changes for that, or undo the change"
        )
    if hard:
        shutil.rmtree(beside)


def _cut(folder: Path, start: Checkpoint | None) -> None:
    """Bring the stage's files back to what they were at the checkpoint: what is later was not finished."""
    kept = {} if start is None else start.lengths
    folders = {path for step, path in _steps(folder) if start is not None and step <= start.step}
    folders |= {folder / TRACKED} if start is not None else set()
    for path in folder.iterdir():
        if path.name in kept and path.is_file():
            with path.open("ab") as stream:
                stream.truncate(kept[path.name])
        elif path.is_dir() and path not in folders:
            shutil.rmtree(path)
        elif path.is_file():
            path.unlink()


def _flush(path: Path) -> None:
    """Have the disk keep a file before the mark says that it is there."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
