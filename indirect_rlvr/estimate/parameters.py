"""Parameters of a model by part, counted on the meta device: the real classes, no memory."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, PretrainedConfig, PreTrainedModel
from transformers.modeling_utils import set_zero3_state
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from indirect_rlvr.config import Model


@dataclass(frozen=True, slots=True)
class Parameters:
    """Numbers of parameters: the vision tower with its mergers, the layers of the language model, token embeddings, and
    the head, 0 where it is the embeddings; `adapters` come on top; `trained` is what an optimizer updates."""

    vision: int
    language: int
    embeddings: int
    head: int
    adapters: int
    trained: int

    @property
    def total(self) -> int:
        """All of them, without adapters."""
        return self.vision + self.language + self.embeddings + self.head


def count(config: PretrainedConfig, settings: Model) -> Parameters:
    """The parameters of a model that is trained as `settings` say: wholly, without its vision tower, or by adapters."""
    model = on_meta(config)
    whole = sum(value.numel() for value in model.parameters())
    is_vision = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    inside: Any = model
    tower: nn.Module | None = inside.get_encoder(modality="image") if is_vision else None
    vision = sum(value.numel() for value in tower.parameters()) if tower is not None else 0
    words, head = inside.get_input_embeddings().weight, inside.get_output_embeddings().weight
    embeddings, own_head = words.numel(), 0 if head is words else head.numel()
    language = whole - vision - embeddings - own_head
    adapters = adapted(model, settings.lora.rank, None if not settings.freeze_vision else tower)
    trained = adapters or whole - (vision if settings.freeze_vision else 0)
    return Parameters(vision, language, embeddings, own_head, adapters, trained)


def on_meta(config: PretrainedConfig) -> PreTrainedModel:
    """The model of a configuration, without memory for its weights; whole where DeepSpeed would cut it up."""
    is_vision = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    auto: Any = AutoModelForImageTextToText if is_vision else AutoModelForCausalLM
    with set_zero3_state(), torch.device("meta"):
        model: PreTrainedModel = auto.from_config(config)
    return model


def adapted(model: PreTrainedModel, rank: int, left_out: nn.Module | None) -> int:
    """Parameters of adapters of this rank on every linear layer but the head and those inside `left_out`."""
    without = set() if left_out is None else set(left_out.modules())
    without.add(model.get_output_embeddings())
    layers = [module for module in model.modules() if isinstance(module, nn.Linear) and module not in without]
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)
