"""Say of a checkpoint whether it can be trained here, from the names of its files and its config alone.

Read before any stage runs: a wrong folder would otherwise be found by the first training, hours later.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.run import read_json

CONFIG, ADAPTER = "config.json", "adapter_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")
PROCESSORS = ("processor_config.json", "preprocessor_config.json")


def require_folder(folder: Path) -> None:
    """Raise ConfigError unless `folder` holds a whole model that writes text, in safetensors."""
    names = sorted(path.name for path in folder.iterdir())
    if ADAPTER in names:
        raise ConfigError(_adapter(folder, (folder.parent / CONFIG).is_file()))
    if CONFIG not in names:
        others = [name for name in names if name.endswith(".gguf")]
        what = f"weights for llama.cpp (`{others[0]}`) and " if others else ""
        raise ConfigError(
            f"`model.path` is `{folder}`, which holds {what}no config.json; give the folder of a whole model as "
            "transformers saves it (config.json, *.safetensors, a tokenizer)"
        )
    config = _object(folder / CONFIG)
    require_family(str(folder), config)
    _require_weights(folder, names)
    wanted = {"a tokenizer": TOKENIZERS} | ({"an image processor": PROCESSORS} if is_vision(config) else {})
    for what, known in wanted.items():
        if not set(known) & set(names):
            raise ConfigError(
                f"`model.path` is `{folder}`, which has no file of {what} ({', '.join(known)}); put that of the model "
                "it was made from beside the weights"
            )


def is_vision(config: dict[str, Any]) -> bool:
    """Whether a model of this config sees images."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as VISION

    return str(config.get("model_type")) in VISION


def require_family(place: str, config: dict[str, Any]) -> None:
    """Raise ConfigError unless a model of this config is one that transformers knows and that writes text."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as TEXT
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as VISION

    family = str(config.get("model_type"))
    known: str | None = (VISION if family in VISION else TEXT).get(family)
    wanted = "give a model that writes text, such as Qwen/Qwen2.5-VL-7B-Instruct"
    if known is None:
        own = "; code that comes with a checkpoint is never run" if "auto_map" in config else ""
        raise ConfigError(
            f"`model.path` is `{place}`, a model of the family `{family:.80}`, which is none that the installed "
            f"transformers can have write text{own}; {wanted}"
        )
    found = _names(config.get("architectures"))
    if found and known not in found:
        raise ConfigError(
            f"`model.path` is `{place}`, whose weights are of a {found[0]:.80}, not of a {known}: an encoder, a "
            f"reward model or a part cannot be trained here; {wanted}"
        )
    if config.get("quantization_config"):
        raise ConfigError(
            f"`model.path` is `{place}`, whose weights are quantised and cannot be trained; give the model they were "
            "made from"
        )


def config_of(place: str) -> dict[str, Any]:
    """The config of a model folder, or of a hub id, fetched or cached.

    Raises ConfigError where it cannot be had, and for an adapter in the place of a model.
    """
    if Path(place).is_dir():
        return _object(Path(place) / CONFIG)
    from transformers.utils.hub import cached_file

    try:
        if cached_file(place, ADAPTER, _raise_exceptions_for_missing_entries=False):
            raise ConfigError(_adapter(place, False))
        found = cached_file(place, CONFIG)
    except (OSError, ValueError) as error:
        said = str(error).replace("\n", " ")
        raise ConfigError(
            f"`model.path` is `{place}`, which cannot be had: {said:.500}; mend the id, fetch the model first, or give "
            "its folder"
        ) from error
    return _object(Path(str(found)))


def _adapter(place: str | Path, has_whole: bool) -> str:
    instead = (
        f"`{Path(place).parent}` holds the merged model: give that"
        if has_whole
        else "merge it first, peft.PeftModel.from_pretrained(BASE, FOLDER).merge_and_unload().save_pretrained(NEW), "
        "put tokenizer and processor beside it, and give the new folder"
    )
    return f"`model.path` is `{place}`, which holds an adapter, not a model; {instead}"


def _require_weights(folder: Path, names: list[str]) -> None:
    if WEIGHTS in names:
        return
    if INDEX in names:
        parts = sorted(set(_names(list(_object(folder / INDEX).get("weight_map", {}).values()))))
        gone = [part for part in parts if part not in names]
        if parts and not gone:
            return
        raise ConfigError(
            f"`model.path` is `{folder}`, where {len(gone)} of {len(parts)} files of weights are missing, first "
            f"`{gone[0] if gone else WEIGHTS:.80}`; fetch the model again"
        )
    pickled = [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]
    if pickled:
        raise ConfigError(
            f"`model.path` is `{folder}`, whose weights are pickled (`{pickled[0]}`), which may run anything when they "
            "are read; save the model again from where you trust it (save_pretrained writes safetensors)"
        )
    raise ConfigError(f"`model.path` is `{folder}`, which has no {WEIGHTS}; fetch the model again")


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, Iterable) else []


def _object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ConfigError where it holds none, DataError where it cannot be read."""
    found = read_json(path)
    if not isinstance(found, dict):
        raise ConfigError(f"`{path}` holds no JSON object; fetch the model again")
    return found
