"""What each stage depends on, what of that changed since it was made, and whether the run may go on all the same."""

from collections.abc import Collection
from typing import Any

from indirect_rlvr import manifest as manifests
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.pipeline import Run, Stage, stages
from indirect_rlvr.redaction import redacted
from indirect_rlvr.run import digest, file_digest

OUT_OF_DATE = "out of date"


def parts(run: Run, stage: Stage) -> dict[str, str]:
    """What the output of a stage depends on, each part as a digest: recipe keys, stages before it, this version."""
    tree = redacted(run.recipe.model_dump())
    wanted = {s.name: s for s in stages(run.recipe)}
    found = {name: digest(tree[name]) for name in stage.settings}
    found |= {f"stage {name}": key(run, wanted[name]) for name in stage.after if name in wanted}
    return found


def key(run: Run, stage: Stage) -> str:
    """The digest of all a stage's output depends on."""
    return digest({"stage": stage.name, **parts(run, stage)})


def reason(run: Run, manifest: dict[str, Any], stage: Stage) -> str | None:
    """Why a stage has to run: "not finished", "out of date: … changed"; None where its output stands."""
    done = manifest["stages"].get(stage.name)
    if done is None or not all((run.folder / name).exists() for name in stage.writes):
        return "not finished"
    if done.get("key") == key(run, stage):
        return None
    now = parts(run, stage)
    changed = [name for name in now if done.get("depends_on", {}).get(name) != now[name]]
    return f"{OUT_OF_DATE}: {', '.join(changed) or 'the list of stages'} changed"


def require_accepted(
    run: Run, manifest: dict[str, Any], before: dict[str, str], plan: tuple[Stage, ...], anew: Collection[str]
) -> None:
    """Raise ConfigError where finished stages would be made anew, or unfinished ones be made with other packages,
    another number of processes or other files than those before them wrote, unless that is accepted.

    The stages named in `anew` are made again whatever their state. The number counts once a stage that is done
    together is finished; a training that was broken off looks for itself.
    """
    whys = {stage.name: why for stage in plan if (why := reason(run, manifest, stage))}
    old = {name: why for name, why in whys.items() if why.startswith(OUT_OF_DATE)}
    todo = {*whys, *anew}
    now = manifests.surroundings(manifest)
    kept = set(manifest["stages"]) - set(anew)
    matters = {"packages": bool(kept), "processes": any(each.together and each.name in kept for each in plan)}
    changed = [name for name in now if matters[name] and todo and before.get(name) != now[name]]
    changed += _take_edited(run, manifest, todo) if todo else []
    if run.accept_changes or not (old or changed):
        return
    follows = [f"made anew: {name} ({why})" for name, why in old.items()]
    follows += [f"the {' and the '.join(changed)} changed, so what is still to do may differ"] if changed else []
    raise ConfigError(
        "\n".join(
            [
                f"`{run.folder}` was made under other conditions:",
                *(f"  {each}" for each in follows),
                "Give --accept-changes for that, undo the change, or choose another folder with --out",
            ]
        )
    )


def _take_edited(run: Run, manifest: dict[str, Any], todo: Collection[str]) -> list[str]:
    """The files of finished stages that are not what these wrote, in words; the manifest has their digests from here
    on."""
    written = {"records": run.views / "records.jsonl", "tasks": run.folder / "tasks.jsonl"}
    written["scaffold"] = run.folder / "sft.jsonl"
    edited = []
    for stage, path in written.items():
        if stage not in manifest["stages"] or stage in todo or not path.is_file():
            continue
        artefact, now = manifest["artefacts"].setdefault(stage, {}), file_digest(path)
        if artefact.get("sha256") != now:
            artefact["sha256"] = now
            edited.append(f"file {path.name}")
    return edited
