"""Say which models and settings can share prompts exactly, and of the others why not."""

from collections.abc import Iterator, Mapping
from typing import Any

from accelerate.utils import is_peft_model
from torch import nn
from transformers import PretrainedConfig
from trl import GRPOTrainer

from indirect_rlvr.training.packed_attention import IMPLEMENTATION

MROPE = ("qwen2_5_vl", "qwen3_vl")
"""Families whose positions have three axes (time, row, column), read off the images."""
FAMILIES = (*MROPE, "idefics3", "smolvlm", "llama", "qwen2", "qwen3")
"""Families compared with TRL's own path, one by one, in the tests and in `benchmarks/grpo_step.py`."""
ROPE_BY_LENGTH = ("dynamic", "longrope")


def refusal(trainer: GRPOTrainer) -> str | None:
    """Why this trainer cannot share prompts exactly, None where it can."""
    held = [trainer.model, *([] if trainer.ref_model is None else [trainer.ref_model])]
    models = [trainer.accelerator.unwrap_model(model) for model in held]  # a reference may be DeepSpeed's engine
    if trainer.tools or trainer.environment_factories is not None:
        return "tools and environments may put images into completions"
    return next((reason for model in models for reason in _reasons(model)), None)


def _reasons(model: Any) -> Iterator[str]:
    if is_peft_model(model):
        if any(config.is_prompt_learning for config in model.peft_config.values()):
            yield "the adapter puts virtual tokens before the prompt"
        model = model.get_base_model()
    yield from _config_reasons(model.config)
    if any(isinstance(part, nn.Dropout) and part.p > 0 for part in model.modules()):
        yield "dropout draws another mask for each rollout; set grpo.trl.disable_dropout = true"


def _config_reasons(config: PretrainedConfig) -> Iterator[str]:
    if config.model_type not in FAMILIES:
        yield f"`{config.model_type}` is not among the families compared with TRL's own path ({', '.join(FAMILIES)})"
        return
    settings: Mapping[str, Any] = config.get_text_config().to_dict()
    others = sorted({*(settings.get("layer_types") or ()), "full_attention"} - {"full_attention"})
    if others or settings.get("use_sliding_window"):
        yield f"its layers use {', '.join(others) or 'sliding windows'}, not full attention alone"
    rope = (settings.get("rope_parameters") or {}).get("rope_type")
    if rope in ROPE_BY_LENGTH:
        yield f"its rotary positions ({rope}) depend on the length of the batch"
    if settings.get("attention_dropout"):
        yield f"attention dropout ({settings['attention_dropout']}) draws another mask for each rollout"
    implementation = config.get_text_config()._attn_implementation
    if implementation != IMPLEMENTATION:
        yield f"attention `{implementation}` does not know packed rows; load the model with `{IMPLEMENTATION}`"
