"""Audits what a run made, or a file of tasks made elsewhere: finds records, domain and saved answers beside them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indirect_rlvr import shapes
from indirect_rlvr.data import audit, proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.domain import Domain, load_domain
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.evaluation import controls
from indirect_rlvr.evaluation.score import read_predictions
from indirect_rlvr.run import MANIFEST, write_json
from indirect_rlvr.types import Neighbourhood, ProxyTask, Record

ALPHA = 0.001
"""Significance where no recipe says one."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is audited: the file of tasks, the folder of images and records, the manifest if it is a run."""

    tasks: Path
    views: Path
    manifest: dict[str, Any] | None

    @property
    def folder(self) -> Path:
        """Where the audit is written."""
        return self.tasks.parent


def audit_path(
    path: Path, views: Path | None, domain: str | None, allow_leaks: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Audit a run folder or a .jsonl file of tasks, write `audit.json` beside the tasks, and refuse tasks that leak.

    Records come from `records.jsonl` in `views` (by default the folder `records` beside the tasks); without that file
    nothing is known but the tasks. The neighbourhood and the domain's own probes come from the run's domain, or from
    the installed `domain`. Answers saved in `evaluation/` give the modality controls. With `allow_leaks` the findings
    are reported and recorded in `audit.json` as overridden.
    Raises ConfigError where there is nothing to audit, DataError where it is broken or refused.
    """
    subject = _subject(path, views)
    recipe = (subject.manifest or {}).get("recipe", {})
    pack = _domain(recipe, domain)
    tasks = proxy.read(subject.tasks)
    records = _records(subject)
    looks = Looks(subject.views)
    report = audit.audit(
        tasks,
        records,
        pack.neighbourhood() if pack else Neighbourhood(),
        looks,
        recipe.get("tasks", {}).get("audit_alpha", ALPHA),
        own_probes=pack.probes() if pack else [],
        accepted=recipe.get("tasks", {}).get("accepted_probes", []),
    )
    report["controls"] = _controls(subject, tasks, recipe.get("seed", 0), report["alpha"])
    report["overridden"] = audit.findings(report) if allow_leaks else []
    write_json(subject.folder / "audit.json", report)
    for line in report["overridden"]:
        say(f"allowed: {line}")
    if not allow_leaks:
        audit.gate(report)
    return report


def summary(report: dict[str, Any]) -> str:
    """The audit as a few lines of text: each probe against chance, the entropy left, the controls, the verdict."""
    if not report["probes"]:
        return f"no probe was run\n{audit.verdict(report)}"
    lines = [
        f"{probe['name']:24} {probe['accuracy']:6.1%}  {probe['low']:.1%} to {probe['high']:.1%}  chance "
        f"{probe['chance']:.1%}  p {probe['p']:.2g}  sees {probe['sees']}"
        for probe in [*report["probes"], *report["oracle"]]
    ]
    lines += [
        f"entropy left to `{name}`: {left['nats']:.4f} nats ({left['low']:.4f} to {left['high']:.4f}) of log K = "
        f"{report['entropy']['log_k']:.4f}"
        for name, left in report["entropy"]["left"].items()
    ]
    for model, own in report["controls"].items():
        lines += [f"{model}, {name}: {found['accuracy']:.1%} of {found['n']}" for name, found in own.items()]
    return "\n".join([*lines, audit.verdict(report)])


def _subject(path: Path, views: Path | None) -> Subject:
    if path.suffix == ".jsonl" and path.is_file():
        return Subject(path, views or path.parent / "records", None)
    if not (path / "tasks.jsonl").is_file():
        raise ConfigError(
            f"`{path}` is neither a run folder with a `tasks.jsonl` nor a .jsonl file of tasks; give one of the two"
        )
    manifest = shapes.read(path / MANIFEST, shapes.Manifest) if (path / MANIFEST).is_file() else None
    return Subject(path / "tasks.jsonl", views or path / "records", manifest)


def _domain(recipe: dict[str, Any], name: str | None) -> Domain | None:
    if name is not None and recipe.get("domain", name) != name:
        raise ConfigError(f"the run is of domain `{recipe['domain']}`, not `{name}`; leave --domain out")
    wanted = name or recipe.get("domain")
    return load_domain(wanted, recipe.get("records", {})) if wanted else None


def _records(subject: Subject) -> list[Record]:
    path = subject.views / "records.jsonl"
    return store.read(path) if path.is_file() else []


def _controls(subject: Subject, tasks: list[ProxyTask], seed: int, alpha: float) -> dict[str, Any]:
    """The controls of each model whose answers are saved."""
    found = {}
    for folder in sorted(path.parent for path in (subject.folder / "evaluation").glob("*/proxy.jsonl")):
        answers = {path.stem: read_predictions(path) for path in folder.glob("*.jsonl")}
        known = {prediction.id for prediction in answers["proxy"]}
        asked = [task for task in tasks if task.id in known]
        wanted = {name: answers[name] for name in controls.CONTROLS if name in answers}
        found[folder.name] = controls.score(asked, answers["proxy"], wanted, seed, alpha)
    return found
