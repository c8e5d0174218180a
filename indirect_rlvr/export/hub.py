"""A folder for the Hugging Face Hub of one row of a run: weights, tokenizer, processor, model card, recipe, results.

Nothing is uploaded, and nothing of records, pictures or rollouts is copied. What the card says is left to `card`, the
code in it to `usage`.
"""

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from transformers.utils import logging

from indirect_rlvr import shapes
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.export import bundle, usage
from indirect_rlvr.export.card import Facts, card
from indirect_rlvr.pipeline import Run
from indirect_rlvr.progress import Progress
from indirect_rlvr.redaction import redacted, redacted_text
from indirect_rlvr.reporting.contents import require_evaluated
from indirect_rlvr.run import MANIFEST, disk_errors, read_json, write_json, write_text
from indirect_rlvr.training import models
from indirect_rlvr.training.base import REFERENCE
from indirect_rlvr.training.policies import answering
from indirect_rlvr.types import Counts

README, RESULTS, ADAPTER = "README.md", "results.json", "adapter"
ATTRIBUTES = "*.safetensors filter=lfs diff=lfs merge=lfs -text\ntokenizer.json filter=lfs diff=lfs merge=lfs -text\n"
CHUNK = 1 << 24
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[\w.-]{1,96}")
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")


def export(
    folder: Path, out: Path, row: str | None = None, licence: str | None = None, datasets: Sequence[str] = ()
) -> Counts:
    """Write `row` of the run in `folder`, the last one where it is None, into `out`, all or nothing.

    `licence` and `datasets` are identifiers of the Hub, which the run does not know. The model is loaded once, on the
    CPU, and its parameters are compared with the manifest before anything is copied. Raises ConfigError for a row or an
    identifier that cannot be, DataError for a run that is not evaluated, RunError where the weights or the results are
    not those of the row, and as `bundle.exported` does.
    """
    _check_ids(licence, datasets)
    require_evaluated(folder)
    with bundle.source(str(folder)) as run:
        name, place = _chosen(run, row)
        manifest = shapes.read(folder / MANIFEST, shapes.Manifest)
        _require_fresh(manifest, place)
        with bundle.exported(out) as fresh:
            policy = _verified(place, manifest)
            copied = _copy(place, fresh)
            _unbind(fresh / ADAPTER, _hub_id(run))
            _write(fresh, told(run, manifest, name, policy, licence, datasets), manifest)
    return Counts(copied, "files")


def local_paths(folder: Path) -> list[str]:
    """The keys of an exported recipe that name an absolute path, which an upload would publish."""
    return list(_absolute(tomllib.loads((folder / bundle.RECIPE).read_text(encoding="utf-8")), ""))


def _check_ids(licence: str | None, datasets: Sequence[str]) -> None:
    if licence is not None and not LICENCE.fullmatch(licence):
        raise ConfigError(f"--license `{licence:.80}` is no identifier of the Hub; for example apache-2.0, mit, other")
    for one in datasets:
        if not HUB_ID.fullmatch(one):
            raise ConfigError(f"--dataset `{one:.200}` is no data set of the Hub; expected OWNER/NAME")


def _chosen(run: Run, row: str | None) -> tuple[str, Path]:
    rows = run.models()
    name = row or list(rows)[-1]
    if name not in rows:
        raise ConfigError(f"the run has no row `{name:.80}`; its rows: {', '.join(rows)}")
    place = rows[name]
    if (place / REFERENCE).is_file():
        trained = [other for other, where in rows.items() if not (where / REFERENCE).is_file()]
        raise ConfigError(
            f"row `{name}` is `{read_json(place / REFERENCE)['path']}` itself, to which the run only refers, so there "
            f"is nothing of the run to export; the rows that it trained: {', '.join(trained) or 'none'}"
        )
    if not (place / "config.json").is_file():
        raise RunError(f"row `{name}` has no model in `{place}`; give the run's `rlvr run` command again")
    return name, place


def _require_fresh(manifest: dict[str, Any], place: Path) -> None:
    """Raise RunError where the results were measured before the model was made."""
    stages = manifest["stages"]
    trained, asked = stages.get(place.name, {}), stages.get("evaluate", {})
    if not trained or not asked or asked.get("finished", "") < trained.get("finished", ""):
        raise RunError(
            f"results.json is older than the model in `{place}`: stage `evaluate` was not run after "
            f"`{place.name}`; give the run's `rlvr run` command again, with --from evaluate"
        )


def _verified(place: Path, manifest: dict[str, Any]) -> models.Policy:
    """The model of the row in the precision that it was saved in, its parameters those that the manifest names."""
    logging.disable_progress_bar()
    expected = manifest["artefacts"].get(place.name, {}).get("weights_sha256")
    written = str(read_json(place / "config.json").get("dtype"))
    policy = models.load(place, written if written in models.DTYPES else "float32")
    found = models.weights_digest(policy.model)
    if found != expected:
        raise RunError(
            f"the parameters in `{place}` are not those that stage `{place.name}` made (sha256 {found[:12]}…, in the "
            f"manifest {str(expected)[:12]}…); put the folder back, or make it again with --from {place.name}"
        )
    return policy


def _copy(place: Path, fresh: Path) -> int:
    """Copy what decides the model's answers, and its adapters where it has some; returns the number of files.

    Copies, not links: the folder is for people to change before they upload it.
    """
    adapter = place / ADAPTER
    pairs = [(path, fresh / path.name) for path in answering(place)]
    pairs += [(path, fresh / ADAPTER / path.name) for path in (answering(adapter) if adapter.is_dir() else [])]
    with Progress("copy", "byte", sum(path.stat().st_size for path, _ in pairs)) as progress, disk_errors(fresh):
        for path, target in pairs:
            target.parent.mkdir(exist_ok=True)
            with path.open("rb") as source, target.open("wb") as sink:
                while chunk := source.read(CHUNK):
                    sink.write(chunk)
                    progress.advance(len(chunk))
    return len(pairs)


def told(
    run: Run,
    manifest: dict[str, Any],
    row: str,
    policy: models.Policy,
    licence: str | None,
    datasets: Sequence[str],
) -> Facts:
    """What the card of a row tells."""
    shown, limit = usage.example(run), run.recipe.grpo.max_completion_tokens
    stage = run.models()[row].name
    return Facts(
        row=row,
        stages=_lineage(manifest, stage),
        manifest=redacted(manifest),
        results=redacted(shapes.read(run.folder / RESULTS, shapes.Results)),
        audit=redacted(shapes.read(run.folder / "audit.json", shapes.Audit)),
        recipe=redacted(tomllib.loads((run.folder / bundle.RECIPE).read_text(encoding="utf-8"))),
        base=_hub_id(run),
        is_vision=policy.is_vision,
        licence=licence,
        datasets=datasets,
        adapter=(run.models()[row] / ADAPTER).is_dir(),
        transformers_code=usage.with_transformers(policy, shown, limit),
        vllm_code=usage.with_vllm(policy, shown, limit),
    )


def _hub_id(run: Run) -> str | None:
    """The base model's name on the Hub, where it has one."""
    path = run.recipe.model.path
    return path if HUB_ID.fullmatch(path) and not Path(path).is_dir() else None


def _unbind(adapter: Path, base: str | None) -> None:
    """Take the name of what adapters go on out of their configuration, where it is a place of the run."""
    path = adapter / "adapter_config.json"
    if path.is_file():
        written = read_json(path)
        named = written.get("base_model_name_or_path")
        write_json(path, written | {"base_model_name_or_path": base if named == base else None})


def _lineage(manifest: dict[str, Any], stage: str) -> list[str]:
    """The stages a model went through, oldest first."""
    found = [stage]
    while (parent := manifest["artefacts"].get(found[0], {}).get("parent")) and parent not in found:
        found.insert(0, parent)
    return found


def _write(fresh: Path, facts: Facts, manifest: dict[str, Any]) -> None:
    stage = facts.stages[-1]
    write_text(fresh / README, redacted_text(card(facts)))
    write_text(fresh / bundle.RECIPE, tomli_w.dumps(facts.recipe))
    write_json(fresh / RESULTS, facts.results)
    write_text(fresh / ".gitattributes", ATTRIBUTES)
    about = {
        "ecosystem": "hub",
        "domain": manifest["domain"],
        "row": facts.row,
        "stages": list(facts.stages),
        "weights_sha256": manifest["artefacts"][stage]["weights_sha256"],
        "packages": manifest["packages"],
    }
    write_json(fresh / bundle.ABOUT, redacted(about))


def _absolute(tree: dict[str, Any], prefix: str) -> Iterable[str]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _absolute(value, f"{prefix}{name}.")
        elif isinstance(value, str) and Path(value).is_absolute():
            yield prefix + name
