"""Load, save and identify policies; the one place of the project that turns a folder into a model.

Transformers only warns when a checkpoint lacks weights and starts them at random; here that stops the run.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.utils import is_torchvision_available

from indirect_rlvr.config import Model
from indirect_rlvr.errors import RunError
from indirect_rlvr.run import disk_errors
from indirect_rlvr.training.tiny import load_processor

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "mixed": torch.float32}
"""Of weights, by the recipe's `model.dtype`."""
VIDEO_PROCESSOR_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Families whose stock processor needs torchvision, for videos alone."""
PLACEHOLDERS = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")


@dataclass(frozen=True, slots=True)
class Policy:
    """A model with what turns text and images into its input: a processor for vision models, else a tokenizer."""

    model: PreTrainedModel
    processor: ProcessorMixin | PreTrainedTokenizerBase
    folder: str
    is_vision: bool

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, for vision models the one inside the processor."""
        if isinstance(self.processor, PreTrainedTokenizerBase):
            return self.processor
        tokenizer: PreTrainedTokenizerBase = self.processor.tokenizer
        return tokenizer


def load(path: str | Path, dtype: str = "float32", processor_of: str | Path | None = None) -> Policy:
    """The policy in a folder (or of a hub id), on the CPU, in evaluation mode, padding on the left.

    Its processor comes from `processor_of` where that is given. `dtype` is one of `DTYPES`. Raises RunError
    where the folder holds no model, or where weights are missing, left over or of another shape.
    """
    place = str(path)
    if isinstance(path, Path) and not (path / "config.json").is_file():
        raise RunError(
            f"`{place}` holds no model: there is no config.json; run the stage that makes it, or mend the path"
        )
    try:
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        is_vision = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        processor = _processor(str(processor_of or place), config.model_type, is_vision)
        auto = AutoModelForImageTextToText if is_vision else AutoModelForCausalLM
        loaded: Any = auto.from_pretrained(
            place, dtype=DTYPES[dtype], output_loading_info=True, trust_remote_code=False, use_safetensors=True
        )
    except Exception as error:  # their readers raise anything on files that are torn or made to look like others
        said = f"{type(error).__name__}: {error}".replace("\n", " ")
        raise RunError(
            f"cannot load a model from `{place}`: {said:.1000}; make the folder again, or mend it"
        ) from error
    model, info = loaded
    _require_every_weight(place, info)
    policy = Policy(model.eval(), processor, place, is_vision)
    policy.tokenizer.padding_side = "left"
    # what transformers' Trainer would do with a warning: a Qwen2.5-VL config keeps these ids in its text part alone
    model.config.eos_token_id, model.config.pad_token_id = policy.tokenizer.eos_token_id, policy.tokenizer.pad_token_id
    return policy


def _processor(place: str, family: str, is_vision: bool) -> ProcessorMixin | PreTrainedTokenizerBase:
    if not is_vision:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        return tokenizer
    if family in VIDEO_PROCESSOR_FAMILIES and not is_torchvision_available():
        return load_processor(Path(place))
    processor: ProcessorMixin = AutoProcessor.from_pretrained(place, trust_remote_code=False)
    return processor


def _require_every_weight(place: str, info: dict[str, object]) -> None:
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = sorted(map(str, info.get(what) or []))  # type: ignore[call-overload]
        if found:
            raise RunError(
                f"the weights in `{place}` do not fit its config: {len(found)} {what.replace('_', ' ')}, "
                f"first `{found[0]}`; the file is torn or of another model: make the folder again"
            )


def save(policy: Policy, folder: Path) -> None:
    """Write weights, config, generation config, tokenizer and processor into `folder`, for `load` to read."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            policy.model.save_pretrained(folder)
        except SafetensorError as error:  # it hides the disk's error number in its text
            raise RunError(
                f"cannot write the weights into `{folder}`: {error}; free space, then give the same command again"
            ) from error
        policy.processor.save_pretrained(folder)


def weights_digest(model: PreTrainedModel) -> str:
    """SHA-256 over name, type, shape and bytes of every parameter in order of name, in hexadecimal."""
    whole = hashlib.sha256()
    for name, value in sorted(model.named_parameters()):
        whole.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        whole.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return whole.hexdigest()


def suppressed_token_ids(policy: Policy) -> list[int]:
    """Tokens a policy must never sample, in order: vision placeholders, which without their image crash the next
    forward pass, and every other special token except the end tokens."""
    tokenizer = policy.tokenizer
    special = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    special |= set(tokenizer.all_special_ids)
    if policy.is_vision:
        config = policy.model.config.to_dict()
        special |= {config[name] for name in PLACEHOLDERS if config.get(name) is not None}
    return sorted(special - set(end_token_ids(policy)))


def end_token_ids(policy: Policy) -> list[int]:
    """The tokens that end a completion: the tokenizer's end token and those of the generation config, in order."""
    ids = policy.model.generation_config.eos_token_id if policy.model.generation_config else None
    declared = [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
    return sorted({policy.tokenizer.eos_token_id, *declared} - {None})


def load_for_training(path: str | Path, settings: Model, processor_of: str | Path | None = None) -> Policy:
    """As `load`, with the vision tower frozen where the recipe says so and there is one."""
    policy = load(path, settings.dtype, processor_of)
    if settings.freeze_vision and policy.is_vision:
        freeze_vision(policy.model)
    return policy


def freeze_vision(model: PreTrainedModel) -> int:
    """Take the vision tower, its merger included, out of training; returns how many parameters were frozen.

    Raises RunError where the model has none.
    """
    tower = model.get_encoder(modality="image")
    if tower is model or tower is model.base_model:
        raise RunError(f"a {type(model).__name__} has no vision tower to freeze; set model.freeze_vision = false")
    tower.requires_grad_(False)
    return sum(value.numel() for value in tower.parameters())
