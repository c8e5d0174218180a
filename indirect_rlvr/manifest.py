"""The manifest of a run: what it is made of, written first, brought up to date after each stage, completed last."""

import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from indirect_rlvr import processes, shapes
from indirect_rlvr.config import Recipe
from indirect_rlvr.errors import RunError
from indirect_rlvr.redaction import redacted
from indirect_rlvr.run import MANIFEST, digest, disk_errors, make_folder, plain, write_json
from indirect_rlvr.types import Counts

PACKAGES = (
    "indirect-rlvr", "torch", "transformers", "trl", "accelerate", "datasets", "tokenizers", "numpy", "scipy", "pillow",
    "pydantic", "pluggy", "vllm", "peft",
)  # fmt: skip


def open_manifest(folder: Path, recipe: Recipe, recipe_name: str) -> dict[str, Any]:
    """The manifest of `folder`, new where the folder is new or empty.

    Raises RunError where the folder holds something else, or a run of another domain or recipe.
    """
    path = folder / MANIFEST
    if not path.exists():
        make_folder(folder)
        with disk_errors(folder):
            if any(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
                raise RunError(f"`{folder}` is not empty and holds no run; choose another folder with --out")
        return {"stages": {}, "notes": {}, "artefacts": {}}
    manifest = shapes.read(path, shapes.Manifest)
    owner = (manifest["domain"], manifest["recipe_name"])
    if owner != (recipe.domain, recipe_name):
        raise RunError(
            f"`{folder}` belongs to domain `{owner[0]}`, recipe `{owner[1]}`, not to domain `{recipe.domain}`, recipe "
            f"`{recipe_name}`; choose another folder with --out"
        )
    return manifest


def describe(manifest: dict[str, Any], recipe: Recipe, recipe_name: str, pack: str) -> None:
    """Enter everything known before the first stage: recipe, seed, package versions, hardware, state "running"."""
    manifest.pop("stopped", None)
    manifest.update(
        domain=recipe.domain,
        recipe_name=recipe_name,
        recipe=recipe.model_dump(),
        seed=recipe.seed,
        packages=versions(pack),
        hardware={
            "machine": platform.machine(), "system": platform.system(), "python": platform.python_version(),
            "processors": os.cpu_count(), "processes": processes.count(),
            "threads": recipe.threads, "processor": processor(),
        },
        state="running",
        started=manifest.get("started", _now()),
    )  # fmt: skip


def surroundings(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Beside its recipe, what the bytes of a training depend on: digests of package versions and of the number of
    processes that this manifest was described with; nothing of one that was not."""
    if "packages" not in manifest:
        return {}
    return {"packages": digest(manifest["packages"]), "processes": digest(manifest["hardware"]["processes"])}


def complete_stage(
    manifest: dict[str, Any], name: str, key: str, depends_on: Mapping[str, str], seconds: float, counts: Counts
) -> None:
    """Mark a stage as finished."""
    manifest["stages"][name] = {
        "key": key, "seconds": round(seconds, 1), "finished": _now(), **plain(counts), "depends_on": dict(depends_on)
    }  # fmt: skip


def close(manifest: dict[str, Any], stages: tuple[str, ...]) -> None:
    """The last entry: "complete" where every stage has run, else "partial"."""
    manifest["state"] = "complete" if set(stages) <= set(manifest["stages"]) else "partial"
    manifest["updated"] = _now()


def save(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Replace the manifest atomically, without secrets."""
    write_json(folder / MANIFEST, redacted(manifest))


def pack_distribution(module: str) -> str:
    """The distribution that holds an import package, for example "indirect-rlvr-geo"; the module's name if unknown."""
    top = module.partition(".")[0]
    for distribution in distributions():
        for point in distribution.entry_points:
            if point.module.partition(".")[0] == top:
                return str(distribution.name)
    return top


def versions(pack: str) -> dict[str, str]:
    """The version of each package that is installed, of those that matter and the distribution `pack` of a domain."""
    found = {}
    for name in (*PACKAGES, pack):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The model name of this machine's processor, "" where it cannot be told."""
    if sys.platform != "linux":
        return platform.processor()
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
