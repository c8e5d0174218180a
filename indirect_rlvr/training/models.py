"""Load, save and identify policies; the one place of the project that turns a folder into a model.

Transformers only warns when a checkpoint lacks weights and starts them at random; here that stops the run.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from safetensors import SafetensorError
from torch import nn
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

from indirect_rlvr import processes
from indirect_rlvr.config import Model
from indirect_rlvr.errors import RunError
from indirect_rlvr.run import disk_errors
from indirect_rlvr.training import sharded, stated
from indirect_rlvr.training.tiny import load_processor

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "mixed": torch.float32}
"""Of weights, by the recipe's `model.dtype`."""
VIDEO_PROCESSOR_FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""Families whose stock processor needs torchvision, for videos alone."""
TORCH_WRITERS = ("PytorchStreamWriter", "inline_container")
"""Names of the parts of PyTorch that write files, which stand in what they say of a disk that fails."""
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
        if Path(place).is_dir():
            stated.require_held(Path(place))
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        is_vision = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        processor = _processor(str(processor_of or place), config.model_type, is_vision)
        auto = AutoModelForImageTextToText if is_vision else AutoModelForCausalLM
        loaded: Any = auto.from_pretrained(
            place, dtype=DTYPES[dtype], output_loading_info=True, trust_remote_code=False, use_safetensors=True
        )
    except RunError:
        raise
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
    processor = AutoProcessor.from_pretrained(place, trust_remote_code=False)
    if not isinstance(processor, ProcessorMixin):  # where its own is unknown or not there
        raise RunError(
            f"`{place}` holds a vision model and no processor for its images, only a {type(processor).__name__}; copy "
            "processor_config.json and preprocessor_config.json from where the model comes from"
        )
    return processor


def _require_every_weight(place: str, info: dict[str, object]) -> None:
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        found = sorted(map(str, info.get(what) or []))  # type: ignore[call-overload]
        if found:
            raise RunError(
                f"the weights in `{place}` do not fit its config: {len(found)} {what.replace('_', ' ')}, "
                f"first `{found[0]}`; the file is torn or of another model: make the folder again"
            )


def save(policy: Policy, folder: Path, dtype: str | None = None) -> None:
    """Write weights, config, generation config, tokenizer and processor into `folder`, for `load` to read.

    Of several processes the first writes, and every one must ask. A model that they hold in parts is written whole, its
    floating-point weights in `dtype`, by default as they are.
    """
    state = None
    if sharded.is_sharded(policy.model):
        state = sharded.state(policy.model, DTYPES[dtype] if dtype else policy.model.dtype)
    processes.by_first(partial(_write, policy, folder, state))


def _write(policy: Policy, folder: Path, state: dict[str, torch.Tensor] | None) -> None:
    with written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        policy.model.save_pretrained(folder, state_dict=state)
        if state:
            policy.model.config.dtype = next(value.dtype for value in state.values() if value.is_floating_point())
            policy.model.config.save_pretrained(folder)
        policy.processor.save_pretrained(folder)


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Turn a disk that fails under safetensors or PyTorch, which hide its error number in a text, into RunError."""
    with disk_errors(folder):
        try:
            yield
        except (SafetensorError, RuntimeError) as error:
            if not isinstance(error, SafetensorError) and not any(name in str(error) for name in TORCH_WRITERS):
                raise
            said = str(error).partition("\n")[0]
            raise RunError(
                f"cannot write the weights into `{folder}`: {said}; free space, then give the same command again"
            ) from error


def weights_digest(model: nn.Module, dtype: str | None = None) -> str:
    """SHA-256 over name, type, shape and bytes of every parameter in order of name, in hexadecimal; of a model with
    adapters, over theirs alone, which are what its checkpoints hold.

    Of a model that several processes hold in parts, of what `save` writes in `dtype`, in the first process, for all;
    every one must ask.
    """
    whole, in_parts = hashlib.sha256(), sharded.is_sharded(model)
    for name, parameter in sharded.whole(trained(model)):
        if in_parts and not processes.is_first():
            continue
        value = parameter.to(DTYPES[dtype]) if in_parts and dtype else parameter
        whole.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        whole.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return processes.agreed(whole.hexdigest()) if in_parts else whole.hexdigest()


def trained(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """The parameters a checkpoint of `model` holds, with their names: the adapters', or all of them."""
    adapted = is_peft_model(model)
    return ((name, value) for name, value in model.named_parameters() if not adapted or "lora_" in name)


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


def load_for_training(
    path: str | Path, settings: Model, processor_of: str | Path | None = None, dtype: str | None = None
) -> Policy:
    """As `load`, with the vision tower frozen where the recipe says so and there is one; in `dtype` where that is not
    the precision of `settings`."""
    policy = load(path, dtype or settings.dtype, processor_of)
    if settings.freeze_vision and policy.is_vision:
        freeze_vision(policy.model)
    return policy


def vision_tower(model: PreTrainedModel) -> nn.Module | None:
    """The part that sees images, its merger included; None in a text-only model."""
    tower: nn.Module = model.get_encoder(modality="image")
    return None if tower is model or tower is model.base_model else tower


def freeze_vision(model: PreTrainedModel) -> int:
    """Take the vision tower out of training; returns how many parameters were frozen.

    Raises RunError where the model has none.
    """
    tower = vision_tower(model)
    if tower is None:
        raise RunError(f"a {type(model).__name__} has no vision tower to freeze; set model.freeze_vision = false")
    tower.requires_grad_(False)
    return sum(value.numel() for value in tower.parameters())
