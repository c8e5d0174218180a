"""Qwen2.5-VL's shapes, the arithmetic and the bytes that a GRPO step of them cannot do without, and throughput.

Floors are lower bounds for one H200: each operation at the card's peak, nothing else in the way. Arithmetic counts
multiplications and additions of matrix products and attention, a backward pass as two forward passes.
"""

from dataclasses import dataclass
from typing import Any

from transformers import Qwen2_5_VLConfig

PEAK_FLOPS = 989e12
"""bfloat16, dense, of one H200 (NVIDIA's data sheet)."""
PEAK_BYTES = 4.8e12
"""Memory traffic of one H200 a second (the same)."""
SIZES: dict[str, dict[str, Any]] = {
    "3b": {"hidden": 2048, "ffn": 11008, "layers": 36, "heads": 16, "kv_heads": 2, "vocabulary": 151936, "tied": True},
    "7b": {"hidden": 3584, "ffn": 18944, "layers": 28, "heads": 28, "kv_heads": 4, "vocabulary": 152064, "tied": False},
}
"""config.json of Qwen/Qwen2.5-VL-3B-Instruct and Qwen/Qwen2.5-VL-7B-Instruct."""
VISION = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "window_size": 112}


def config(size: str) -> Qwen2_5_VLConfig:
    """The configuration of a published size, `3b` or `7b`."""
    of = SIZES[size]
    return _config(of, VISION | {"fullatt_block_indexes": [7, 15, 23, 31]}, [16, 24, 24])


def rehearsal() -> Qwen2_5_VLConfig:
    """A tiny model of the same kind, for a processor."""
    of = {"hidden": 64, "ffn": 128, "layers": 2, "heads": 4, "kv_heads": 2, "vocabulary": 330, "tied": True}
    vision = {"depth": 2, "hidden_size": 48, "intermediate_size": 96, "num_heads": 2, "window_size": 56}
    return _config(of, vision | {"fullatt_block_indexes": [1]}, [2, 3, 3])


def _config(of: dict[str, Any], vision: dict[str, Any], sections: list[int]) -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": of["vocabulary"],
            "hidden_size": of["hidden"],
            "intermediate_size": of["ffn"],
            "num_hidden_layers": of["layers"],
            "num_attention_heads": of["heads"],
            "num_key_value_heads": of["kv_heads"],
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "mrope_section": sections, "rope_theta": 1e6},
            "tie_word_embeddings": of["tied"],
        },
        vision_config=vision
        | {"out_hidden_size": of["hidden"], "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2},
        tie_word_embeddings=of["tied"],
    )


@dataclass(frozen=True)
class Load:
    """The tokens of a step: `prompts` prompts of P tokens, G completions of C tokens each, and the prompt's patches."""

    prompts: int
    prompt: int
    completion: int
    group: int
    patches: int
    """Of all images of a prompt."""


def text_weights(model: Qwen2_5_VLConfig) -> int:
    """Weights of the matrices every text token goes through; embedding and head left out."""
    text = model.text_config
    key_values = 2 * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    attention = 2 * text.hidden_size**2 + text.hidden_size * key_values
    return int(text.num_hidden_layers * (attention + 3 * text.hidden_size * text.intermediate_size))


def vision_flops(model: Qwen2_5_VLConfig, patches: int, images: int) -> float:
    """One forward pass of the vision tower and its merger over a prompt's patches."""
    vision = model.vision_config
    d, merged = vision.hidden_size, vision.spatial_merge_size**2
    matrices = vision.depth * (4 * d * d + 3 * d * vision.intermediate_size) * patches
    embed = d * 3 * vision.temporal_patch_size * vision.patch_size**2 * patches
    merger = ((merged * d) ** 2 + merged * d * vision.out_hidden_size) * patches / merged
    window = (vision.window_size // vision.patch_size) ** 2
    full = len(vision.fullatt_block_indexes)
    pairs = full * patches**2 / images + (vision.depth - full) * patches * window
    return float(2 * (matrices + embed + merger) + 4 * d * pairs)


def update_flops(model: Qwen2_5_VLConfig, load: Load, images: int, *, shared: bool) -> float:
    """Forward and backward over a step with a frozen vision tower; the head is asked for completion tokens alone."""
    text, copies = model.text_config, 1 if shared else load.group
    p, c, g = load.prompt, load.completion, load.group
    tokens = copies * p + g * c
    pairs = copies * p * p / 2 + g * (c * p + c * c / 2)
    head = text.hidden_size * text.vocab_size * g * c
    layers = text.num_hidden_layers * 4 * text.hidden_size * pairs
    forward = 2 * (text_weights(model) * tokens + head) + layers
    return load.prompts * (3 * forward + copies * vision_flops(model, load.patches, images))


def generation_flops(model: Qwen2_5_VLConfig, load: Load, images: int, *, shared: bool) -> float:
    """Prefill and sampling of a step."""
    text, copies = model.text_config, 1 if shared else load.group
    p, c, g = load.prompt, load.completion, load.group
    pairs = copies * p * p / 2 + g * (c * p + c * c / 2)
    head = text.hidden_size * text.vocab_size * g * c
    forward = 2 * (text_weights(model) * (copies * p + g * c) + head)
    layers = text.num_hidden_layers * 4 * text.hidden_size * pairs
    return load.prompts * (forward + layers + copies * vision_flops(model, load.patches, images))


def update_bytes(parameters: int, trained: int, micro_batches: int, width: int = 2) -> float:
    """Weights read forward and backward and gradients added up in each micro-batch; AdamW reads four and writes three
    values for each trained weight. Activations are left out."""
    return float(width * (micro_batches * (2 * parameters + 2 * trained) + 7 * trained))


def generation_bytes(model: Qwen2_5_VLConfig, load: Load, *, shared: bool, width: int = 2) -> float:
    """For each of C tokens the text weights and head once, and the keys and values the newest tokens look at."""
    text = model.text_config
    weights = text_weights(model) + text.hidden_size * text.vocab_size
    value = 2 * text.num_hidden_layers * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    copies = 1 if shared else load.group
    columns = load.prompts * (copies * load.prompt + load.group * load.completion / 2)
    return float(width * load.completion * (weights + value * columns))


def tokens_per_second(load: Load, seconds: float, gpus: int = 1) -> float:
    """EasyR1's throughput: prompt and response tokens of every rollout, image tokens included, a second and GPU."""
    return load.prompts * load.group * (load.prompt + load.completion) / (seconds * gpus)


def floors(flops: float, moved: float) -> dict[str, float]:
    """Seconds that arithmetic and memory traffic each take at the least."""
    return {"arithmetic_s": flops / PEAK_FLOPS, "bytes_s": moved / PEAK_BYTES}
