"""What every export holds: recipe, tasks, tokenizer and images, from which `scorer.py` rebuilds the same composite.

How an ecosystem wants to read its prompts and call its reward is left to the file of that ecosystem.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import tomli_w

from indirect_rlvr import engine, pipeline, shapes
from indirect_rlvr.data import proxy
from indirect_rlvr.domain import installed
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.pipeline import Run
from indirect_rlvr.redaction import redacted
from indirect_rlvr.rewards.composite import Composite, build
from indirect_rlvr.run import MANIFEST, disk_errors, fresh_folder, make_folder, write_json, write_text
from indirect_rlvr.types import Completion, ProxyTask, Split

ABOUT = "export.json"
RECIPE = "recipe.toml"
TASKS = "tasks.jsonl"
TOKENIZER = "tokenizer"
IMAGES = "images"
TOTALS = ("score", "overall")
"""What the weighted total is called by verl and by EasyR1."""
PLACEHOLDERS = ("<image>", "<video>", "<audio>")
"""What the other trainers replace by a view wherever it stands, so that no text of a record may hold one."""
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One task as it is shown: `text` is the user turn with `<image>` for each of `images`, which lie in the records
    folder."""

    task: ProxyTask
    text: str
    images: tuple[Path, ...]


@contextmanager
def source(run_or_domain: str, recipe: str | None = None, overrides: Sequence[str] = ()) -> Iterator[Run]:
    """A run whose records and tasks are there: the run folder that is named, or else a domain, whose records and tasks
    are made for the length of the block.

    Raises ConfigError where a run folder is given a recipe or overrides: its tasks are those of its own recipe.
    """
    folder = Path(run_or_domain)
    if (folder / MANIFEST).is_file():
        if recipe or overrides:
            raise ConfigError(f"`{folder}` is a run with a recipe of its own; leave --recipe and --set out")
        yield engine.prepare(
            shapes.read(folder / MANIFEST, shapes.Manifest)["domain"], str(folder / RECIPE), [], folder
        )[0]
        return
    with TemporaryDirectory() as temporary:
        run, _ = engine.prepare(run_or_domain, recipe or "default", list(overrides), Path(temporary))
        pipeline.records(run)
        pipeline.tasks(run)
        yield run


@contextmanager
def exported(out: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `out` when the block ends well.

    Raises RunError where `out` exists and is no export.
    """
    made_before = [*out.glob(ABOUT), *out.glob(f"*/{ABOUT}"), *out.glob(f"*/*/{ABOUT}")]
    if out.exists() and not made_before:
        raise RunError(f"`{out}` exists and is no export; choose another folder with --out")
    with fresh_folder(out) as folder:
        yield folder


def fill(run: Run, folder: Path, ecosystem: str, tokenizer: str | None) -> list[Row]:
    """Write recipe, tasks, tokenizer and `export.json` into `folder`; returns a row for each task.

    `tokenizer` is a folder or hub id; without it, that of `model.path` is taken where the reward counts tokens. Raises
    ConfigError where the reward counts tokens and there is no tokenizer to count with, and as `composite` does.
    """
    tasks = proxy.read(run.folder / TASKS)
    reward = composite(run)
    gold = Completion(f"<think>because</think><answer>{tasks[0].answer}</answer>")
    counting = counts_tokens(reward, tasks[0], gold)
    place = tokenizer or (run.recipe.model.path if run.recipe.model.path != "primed" else None)
    if counting and place is None:
        raise ConfigError(
            f"the reward counts tokens ({', '.join(counting)}), and the recipe names no pretrained model; give the "
            "tokenizer of the model you will train: --tokenizer FOLDER or a hub id"
        )
    rows = _rows(run, tasks)
    make_folder(folder)
    with disk_errors(folder):
        if counting:
            _save_tokenizer(str(place), folder / TOKENIZER)
    write_text(folder / RECIPE, tomli_w.dumps(redacted(run.recipe.model_dump(exclude_none=True))))
    proxy.save(folder / TASKS, tasks)
    write_json(folder / ABOUT, _about(run, ecosystem, reward, counting, tasks))
    return rows


def composite(run: Run) -> Composite:
    """The reward of a run; raises ConfigError where it cannot be exported, for a group term or the name of a term."""
    reward = build(run.recipe.reward, run.domain.rewards())
    if reward.group_terms:
        raise ConfigError(
            f"group term `{reward.group_terms[0].name}` sees the completions of a whole group, and a reward function "
            "of another trainer sees one; take it out of reward.weights"
        )
    taken = [term.name for term in reward.terms if term.name in TOTALS]
    if taken:
        raise ConfigError(f"reward term `{taken[0]}` has the name of the total elsewhere; give it a name of its own")
    return reward


def copy_images(rows: Sequence[Row], run: Run, folder: Path) -> dict[Path, str]:
    """Copy every image once into `folder`/images; the paths relative to `folder`, by original."""
    names = {path: path.relative_to(run.views.resolve()) for row in rows for path in row.images}
    with disk_errors(folder):
        for path, name in sorted(names.items()):
            copy = folder / IMAGES / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copyfile(path, copy)
    return {path: (Path(IMAGES) / name).as_posix() for path, name in names.items()}


def identifier(domain: str) -> str:
    """The name of a domain as a part of a Python name."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in domain.lower())


def packages(run: Run) -> dict[str, str]:
    """What an exported reward needs installed, with versions: the core and the domain's pack."""
    pack = installed()[run.domain.name].dist
    found = {"indirect-rlvr": version("indirect-rlvr")}
    return found | ({pack.name: pack.version} if pack else {})


def counts_tokens(reward: Composite, task: ProxyTask, completion: Completion) -> list[str]:
    """The terms that do not apply to a text alone but would with its token ids."""
    with_ids = Completion(completion.text, (0,), completion.finished)
    bare, full = (reward.score(task, one).outcomes for one in (Completion(completion.text), with_ids))
    return [
        name
        for name, found in bare.items()
        if found.status == "not_applicable" and full[name].status != "not_applicable"
    ]


def _rows(run: Run, tasks: Sequence[ProxyTask]) -> list[Row]:
    from indirect_rlvr.training import dataset

    shown = dataset.rows(tasks, run.domain, run.views)
    return [
        Row(task, _text(task, row["prompt"][0]["content"]), tuple(map(Path, row.get("images", ()))))
        for task, row in zip(tasks, shown, strict=True)
    ]


def _text(task: ProxyTask, content: str | Sequence[Mapping[str, str]]) -> str:
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    for part in parts:
        found = [mark for mark in PLACEHOLDERS if mark in part.get("text", "")]
        if found:
            raise DataError(
                f"the prompt of task `{task.id}` holds the text `{found[0]}`, which other trainers replace by a view; "
                "clean the record's text"
            )
    return "".join(part["text"] if part["type"] == "text" else PLACEHOLDERS[0] for part in parts)


def _save_tokenizer(place: str, folder: Path) -> None:
    from transformers import AutoTokenizer

    try:
        AutoTokenizer.from_pretrained(place, trust_remote_code=False).save_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot load a tokenizer from `{place}`: {error}; give --tokenizer another") from error


def _about(
    run: Run, ecosystem: str, reward: Composite, counting: Sequence[str], tasks: Sequence[ProxyTask]
) -> dict[str, Any]:
    return {
        "ecosystem": ecosystem,
        "domain": run.domain.name,
        "tasks": {split: sum(task.split == split for task in tasks) for split in SPLITS},
        "reward_version": reward.version(),
        "reward": reward.describe(),
        "counts_tokens": list(counting),
        "max_completion_tokens": run.recipe.grpo.max_completion_tokens,
        "packages": packages(run),
    }
