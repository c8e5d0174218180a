"""The configuration of a model without its weights: a published one's, a folder's, the cache's. Asks no network."""

import json
from pathlib import Path
from typing import Any

from transformers import AutoConfig, PretrainedConfig, Qwen2_5_VLConfig, Qwen3VLConfig

from indirect_rlvr.errors import ConfigError


def _qwen2_5_vl(hidden: int, ffn: int, layers: int, heads: int, kv_heads: int, vocabulary: int, tied: bool) -> Any:
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "mrope_section": [16, 24, 24], "rope_theta": 1e6},
            "tie_word_embeddings": tied,
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "out_hidden_size": hidden,
        },
        tie_word_embeddings=tied,
    )


def _qwen3_vl(hidden: int, ffn: int, tied: bool, vision: dict[str, Any]) -> Any:
    return Qwen3VLConfig(
        text_config={
            "vocab_size": 151_936,
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "num_hidden_layers": 36,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 262_144,
            "rope_parameters": {"rope_type": "default", "mrope_section": [24, 20, 20], "rope_theta": 5e6},
            "tie_word_embeddings": tied,
        },
        vision_config=vision | {"num_heads": 16, "out_hidden_size": hidden},
        tie_word_embeddings=tied,
    )


_LARGE = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]}
_SMALL = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]}
PUBLISHED = {
    "Qwen/Qwen2.5-VL-3B-Instruct": lambda: _qwen2_5_vl(2048, 11008, 36, 16, 2, 151_936, True),
    "Qwen/Qwen2.5-VL-7B-Instruct": lambda: _qwen2_5_vl(3584, 18944, 28, 28, 4, 152_064, False),
    "Qwen/Qwen3-VL-4B-Instruct": lambda: _qwen3_vl(2560, 9728, True, _SMALL),
    "Qwen/Qwen3-VL-8B-Instruct": lambda: _qwen3_vl(4096, 12288, False, _LARGE),
}
"""As their config.json has them, sizes only; the tests hold their parameters against the published numbers."""


def configuration(path: str) -> PretrainedConfig:
    """The configuration of a folder, of a published model, or of a hub id in the cache.

    Raises ConfigError where none of them has it.
    """
    if (Path(path) / "config.json").is_file():
        return _read(path)
    if path in PUBLISHED:
        known: PretrainedConfig = PUBLISHED[path]()
        return known
    try:
        return _read(path)
    except ConfigError as error:
        raise ConfigError(
            f"the sizes of `{path}` are not known: it is no folder with a config.json and not in the cache; fetch it "
            f"(hf download {path} config.json); known without: {', '.join(PUBLISHED)}"
        ) from error


def _read(path: str) -> PretrainedConfig:
    try:
        found: PretrainedConfig = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ConfigError(f"`{path}` has no configuration that transformers reads: {error!s:.300}") from error
    return found
