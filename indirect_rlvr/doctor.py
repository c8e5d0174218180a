"""Look at the installation: what would stop a run, what is worth knowing, and what to do about it. Changes nothing."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from shutil import disk_usage
from typing import Any, Literal

from packaging.requirements import Requirement

from indirect_rlvr.errors import RlvrError
from indirect_rlvr.progress import size

OURS = "indirect-rlvr"
EXTRAS = ("lora", "ray", "vllm", "deepspeed")
"""Extras of this distribution, and packages that others bring in, which a run can do without."""
LITTLE, TOO_LITTLE = 20e9, 1e9
"""Free bytes below which the disk is worth a word, and below which no run ends."""
MARKS = {"well": "✓", "note": "–", "stops": "✗"}
PROBE = "import torch, torchvision; torch.ops.torchvision.nms"
"""Fails where torchvision was built for another torch."""
SECONDS = 120
"""The probe may take so long."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is ("well", "note": worth knowing, "stops": would stop a run), what was found, and
    what to do; "" where there is nothing to do."""

    name: str
    state: Literal["well", "note", "stops"]
    detail: str
    remedy: str = ""


def examine(
    out: Path, domain: str | None = None, recipe: str = "default", overrides: Sequence[str] = ()
) -> list[Finding]:
    """All findings, for runs that go below `out`; with a domain also of what a run of the recipe needs."""
    found = [*packages(), *extras(), torch_build(), gpu(), torchvision(), vllm()]
    found += [disk(out), writable("runs folder", out), writable("model cache", hub_cache())]
    found += [threads(os.environ, os.cpu_count() or 1), offline(os.environ), *domains()]
    return found + (run(domain, recipe, out, os.environ, overrides) if domain else [])


def text(found: list[Finding]) -> str:
    """One line for each finding, and its remedy below."""
    lines = []
    for finding in found:
        lines.append(f"{MARKS[finding.state]} {finding.name}: {finding.detail}")
        lines += [f"    {finding.remedy}"] if finding.remedy else []
    return "\n".join(lines)


def as_json(found: list[Finding]) -> list[dict[str, Any]]:
    """The findings as plain JSON."""
    return [asdict(finding) for finding in found]


def packages() -> list[Finding]:
    """Each package that this version was tested with, against what is installed."""
    pins = [Requirement(line) for line in requires(OURS) or []]
    needed = [pin for pin in pins if pin.marker is None or pin.marker.evaluate({"extra": ""})]
    wrong = [found for pin in needed if (found := _compare(pin, "stops")) is not None]
    if wrong:
        return wrong
    return [
        Finding("packages", "well", f"the {len(needed)} of {OURS} {version(OURS)}, in the versions tested together")
    ]


def extras() -> list[Finding]:
    """Packages of extras: absent, or in the version tested."""
    found = []
    pins = [Requirement(line) for line in requires(OURS) or []]
    needed = {pin.name for pin in pins if not pin.marker}
    for extra in EXTRAS:
        own = [pin for pin in pins if pin.name not in needed and _is_of(pin, extra)] or [Requirement(extra)]
        present = [pin for pin in own if _version(pin.name)]
        if not present:
            how = f"pip install '{OURS}[{extra}]' for what needs it" if own[0].marker else ""
            found.append(Finding(extra, "note", "not installed, nothing here needs it unless the recipe does", how))
        for pin in present:
            well = Finding(extra, "well", f"{pin.name} {_version(pin.name)}")
            found.append(_compare(pin, "note") or well)
    return found


def torch_build() -> Finding:
    """Which torch this is, and whether it can use the graphics card that is there."""
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    detail = f"{torch.__version__}, built for {build}"
    if torch.version.cuda is None and Path("/dev/nvidiactl").exists():
        return Finding(
            "torch", "note", f"{detail}, beside a graphics card", "install the CUDA build of torch to use the card"
        )
    return Finding("torch", "well", detail)


def gpu() -> Finding:
    """The accelerators that torch sees."""
    import torch

    if not torch.cuda.is_available():
        if torch.version.cuda is not None:
            return Finding("gpu", "note", "none that torch can use", "look at nvidia-smi and CUDA_VISIBLE_DEVICES")
        return Finding("gpu", "note", "none; a run uses the processor")
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return Finding("gpu", "well", ", ".join(f"{card.name} with {size(card.total_memory)}" for card in cards))


def torchvision() -> Finding:
    """Whether torchvision, if it is there, was built for this torch: else transformers imports no vision model."""
    found = _version("torchvision")
    if not found:
        return Finding("torchvision", "well", "not installed, and nothing here needs it")
    try:
        done = subprocess.run(  # noqa: S603 (this interpreter, a constant)
            [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return Finding("torchvision", "note", f"{found}; its import did not end in {SECONDS} s", "try that by hand")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
        return Finding(
            "torchvision",
            "stops",
            f"{found} was not built for torch {_version('torch')}: {last}",
            "pip uninstall torchvision; without it transformers reads images with pillow",
        )
    return Finding("torchvision", "well", f"{found}, built for this torch")


def vllm() -> Finding:
    """Whether vLLM, if it is there, wants this torch."""
    found = _version("vllm")
    if not found:
        return Finding("vllm's torch", "well", "vllm is not installed; transformers samples")
    wants = [Requirement(line) for line in requires("vllm") or []]
    torch = next((pin for pin in wants if pin.name == "torch" and (not pin.marker or pin.marker.evaluate())), None)
    if torch is not None and not torch.specifier.contains(_version("torch").partition("+")[0], prereleases=True):
        detail = f"vllm {found} needs torch{torch.specifier}, and {_version('torch')} is installed"
        return Finding("vllm's torch", "stops", detail, f"pip install '{OURS}[vllm]' in a fresh environment")
    return Finding("vllm's torch", "well", f"vllm {found} needs torch{torch.specifier if torch else ''}")


def disk(out: Path) -> Finding:
    """Room for runs."""
    place = existing(out)
    free = disk_usage(place).free
    detail = f"{size(free)} free at `{place}`"
    if free < TOO_LITTLE:
        return Finding("disk", "stops", detail, "free space, or choose another folder with --out")
    if free < LITTLE:
        remedy = "enough for tiny models; a model of 7 B parameters needs about 90 GB for each checkpoint kept"
        return Finding("disk", "note", detail, remedy)
    return Finding("disk", "well", detail)


def writable(name: str, folder: Path) -> Finding:
    """Whether files can be made in a folder, or in the nearest one above it that is there."""
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        remedy = "choose another folder with --out" if name == "runs folder" else "set HF_HOME to a folder of your own"
        return Finding(name, "stops", f"cannot write in `{place}`: {error.strerror}", remedy)
    return Finding(name, "well", f"`{folder}` can be written")


def threads(environment: Mapping[str, str], processors: int) -> Finding:
    """Whether more threads are asked for than there are processors; they would wait for each other."""
    asked = environment.get("OMP_NUM_THREADS", "")
    processes = environment.get("LOCAL_WORLD_SIZE", "1")
    if not asked.isdecimal() or not processes.isdecimal():
        return Finding("threads", "well", f"{processors} processors; the recipe's `threads` decides")
    wanted = int(asked) * int(processes)
    if wanted > processors:
        detail = f"OMP_NUM_THREADS={asked} in {processes} processes is more than the {processors} processors"
        return Finding("threads", "note", detail, "unset OMP_NUM_THREADS; a run sets it from the recipe's `threads`")
    return Finding("threads", "well", f"OMP_NUM_THREADS={asked}, {processors} processors")


def offline(environment: Mapping[str, str]) -> Finding:
    """Whether models can be fetched."""
    if _is_offline(environment):
        remedy = "unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE to fetch models from the hub"
        return Finding("hub", "note", "offline: only models in the cache and in folders can be used", remedy)
    return Finding("hub", "well", "models may be fetched")


def domains() -> list[Finding]:
    """Each installed domain, loaded."""
    from indirect_rlvr import packs

    found = [
        Finding(f"domain {pack.name}", "stops", pack.error, f"pip install {pack.distribution} again, or uninstall it")
        if pack.error
        else Finding(f"domain {pack.name}", "well", f"{pack.distribution}; recipes: {', '.join(pack.recipes)}")
        for pack in packs.overview()
    ]
    return found or [Finding("domains", "stops", "none is installed", "pip install -e domains/geo")]


def run(
    domain: str, recipe: str, out: Path, environment: Mapping[str, str], overrides: Sequence[str] = ()
) -> list[Finding]:
    """What a run of this recipe needs: the recipe itself, its model where it says that it is, and what it will take of
    packages, GPUs, memory, data and disk. Of a recipe that is refused nothing is estimated, and of one that cannot be
    read nothing else is said."""
    from indirect_rlvr import engine
    from indirect_rlvr.estimate import needs

    name = f"recipe {recipe} of {domain}"
    try:
        prepared, _ = engine.prepare(domain, recipe, list(overrides), out / domain)
    except RlvrError as error:
        return [Finding(name, "stops", str(error), "mend the recipe")]
    wanted = prepared.recipe
    try:
        engine.require_possible(prepared)
    except RlvrError as error:
        refused = Finding(name, "stops", str(error), "mend the recipe")
        return [refused, *needs.packages(wanted), *needs.gpus(wanted), *needs.teacher(wanted)]
    well = Finding(name, "well", f"{wanted.grpo.steps} GRPO steps from `{wanted.model.path}`")
    return [well, *needs.needs(prepared), *base_model(wanted.model.path, environment)]


def base_model(model: str, environment: Mapping[str, str]) -> list[Finding]:
    """Whether a model of the hub is in the cache, or can be fetched; nothing for one that is a folder or made here."""
    if model == "primed" or Path(model).is_dir():
        return []
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(model, "config.json"), str):
        return [Finding("model", "well", f"`{model}` is in the cache")]
    state: Literal["note", "stops"] = "stops" if _is_offline(environment) else "note"
    return [Finding("model", state, f"`{model}` is not in the cache", f"hf download {model}")]


def hub_cache() -> Path:
    """Where models from the hub are kept."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _is_offline(environment: Mapping[str, str]) -> bool:
    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    return any(environment.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in names)


def _compare(pin: Requirement, state: Literal["note", "stops"]) -> Finding | None:
    """A finding where a package is missing or of another version; None where it fits."""
    found = _version(pin.name)
    if found and pin.specifier.contains(found.partition("+")[0], prereleases=True):
        return None
    detail = f"{found or 'not installed'}; tested with {pin.name}{pin.specifier}"
    return Finding(pin.name, state, detail, f"pip install '{pin.name}{pin.specifier}'")


def _is_of(pin: Requirement, extra: str) -> bool:
    return pin.marker is not None and pin.marker.evaluate({"extra": extra})


def _version(name: str) -> str:
    """The installed version, "" where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next((place for place in (folder, *folder.absolute().parents) if place.is_dir()), Path())
