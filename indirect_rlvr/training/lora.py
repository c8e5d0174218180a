"""Low-rank adapters in the place of full-parameter training: put on, taken up from a checkpoint, merged at the end.

A finished stage is a whole model, so that nothing after it has to know of adapters; they lie beside it in `adapter/`.
Method: Hu et al. 2021 (arXiv 2106.09685); the layers are those of `peft`, which is the extra `lora`.
"""

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate.utils import is_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from indirect_rlvr import processes
from indirect_rlvr.config import Model, Recipe
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.run import disk_errors
from indirect_rlvr.training import models

if TYPE_CHECKING:
    from peft import LoraConfig

FOLDER = "adapter"
"""Where a finished stage keeps its adapter, in peft's own format."""
WEIGHTS = "adapter_model.safetensors"
CARD = "README.md"
"""What peft writes beside an adapter: a form nobody filled in."""


def require_installed(settings: Model) -> None:
    """Raise ConfigError where there are to be adapters and peft is not installed."""
    if settings.lora.rank and importlib.util.find_spec("peft") is None:
        raise ConfigError(
            f"`model.lora.rank` is {settings.lora.rank} and peft is not installed; install `indirect-rlvr[lora]`, or "
            "set the rank to 0 to train the weights themselves"
        )


def require_usable(recipe: Recipe) -> None:
    """Raise ConfigError, before any stage runs, for adapters that could not be trained as the recipe asks."""
    lora, grpo = recipe.model.lora, recipe.grpo
    if not lora.rank:
        return
    if grpo.trl.get("sync_ref_model"):
        raise ConfigError(
            "`grpo.trl.sync_ref_model` needs a reference model of its own; with `model.lora.rank` above 0 the "
            "reference is the policy without its adapters: leave the key out"
        )
    if recipe.parallel.strategy != "ddp":
        raise ConfigError(
            f"`parallel.strategy` is {recipe.parallel.strategy}, and adapters are neither merged nor resumed on "
            'sharded weights; set parallel.strategy = "ddp", which is the same for one process, or model.lora.rank = 0'
        )
    if lora.dropout and not grpo.trl.get("disable_dropout") and grpo.shared_prefix and not grpo.shared_prefix_fallback:
        raise ConfigError(
            f"`model.lora.dropout` is {lora.dropout:g}, which draws another mask for each rollout of a group, so that "
            "GRPO cannot share prompts; set grpo.trl.disable_dropout = true (SFT keeps its dropout), or "
            "grpo.shared_prefix = false"
        )


def config(model: PreTrainedModel, settings: Model) -> "LoraConfig | None":
    """What TRL is told to put on `model`: adapters on every linear layer but the head, the vision tower's left out
    where it is frozen; None for rank 0.

    TRL itself puts them on, after seeding, so that the reference of a KL penalty is the model without them.
    """
    if not settings.lora.rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.lora.rank,
        lora_alpha=settings.lora.alpha,
        lora_dropout=settings.lora.dropout,
        target_modules=_pattern(model, settings.freeze_vision),
    )


def _pattern(model: PreTrainedModel, freeze_vision: bool) -> str:
    """The layers as one regular expression over their names, any number in the place of a layer's: a set of names
    would be written in any order."""
    tower = models.vision_tower(model) if freeze_vision else None
    frozen = set() if tower is None else {id(module) for module in tower.modules()}
    head = model.get_output_embeddings()
    wanted = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head and id(module) not in frozen
    }
    pattern = "|".join(sorted({re.sub(r"(?<=\\.)[0-9]+(?=\\.)", "[0-9]+", re.escape(name)) for name in wanted}))
    found = {name for name, _ in model.named_modules() if re.fullmatch(pattern, name)}
    if found != wanted or not wanted:
        odd = sorted(found ^ wanted) or ["none"]
        raise RunError(
            f"the linear layers of a {type(model).__name__} cannot be told from others by their names, first "
            f"`{odd[0]}`; set model.lora.rank = 0"
        )
    return pattern


def forget_base(model: Any) -> None:
    """Leave the base without a name until `merge`: peft would ask the hub for its config at every checkpoint."""
    model.peft_config["default"].base_model_name_or_path = None


def take_up(model: nn.Module, folder: Path) -> None:
    """Give a model's adapters the weights of the checkpoint in `folder`; raises RunError where they do not fit."""
    from peft import PeftModel, set_peft_model_state_dict

    assert isinstance(model, PeftModel)
    try:
        weights = load_file(folder / WEIGHTS)
        loaded: Any = set_peft_model_state_dict(model, weights)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise RunError(f"cannot load the adapter in `{folder}`: {error}; delete that folder") from error
    missing = [name for name in loaded.missing_keys if "lora_" in name]
    if missing or loaded.unexpected_keys:
        raise RunError(
            f"the adapter in `{folder}` does not fit the model: {len(missing)} weights missing and "
            f"{len(loaded.unexpected_keys)} left over, first `{[*missing, *loaded.unexpected_keys][0]}`; delete that "
            "folder"
        )


def merge(model: nn.Module, folder: Path, base: str | Path) -> None:
    """Write the adapter of `model`, if it has one, into `folder`/adapter with `base` named, then merge it.

    Of several processes the first writes and all merge. The model below is whole and plain afterwards. Each merged
    weight is W + alpha/rank · BA in float32, rounded once to the model's own type. In bfloat16 that puts it off by up
    to 2⁻⁹ (0.2 %) of its own size, and a change smaller than that of its weight is lost: what is evaluated is the
    rounded model, not the one the last step saw. In float32 the two differ by rounding alone.
    """
    if not is_peft_model(model):
        return
    peft: Any = model
    place = folder / FOLDER
    peft.peft_config["default"].base_model_name_or_path = _named(base, folder)
    if processes.is_first():
        with disk_errors(place):
            peft.save_pretrained(place, save_embedding_layers=False)
            (place / CARD).unlink(missing_ok=True)
    for _, value in models.trained(peft):
        value.data = value.data.float()  # peft then adds in float32, whatever the type of the weights
    peft.merge_and_unload()


def _named(base: str | Path, folder: Path) -> str:
    """How the adapter names its base: as the recipe does, or, for a stage of the same run, from where it lies."""
    beside = isinstance(base, Path) and base.parent.resolve() == folder.parent.resolve()
    return f"../../{Path(base).name}" if beside else str(base)
