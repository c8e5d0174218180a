"""The shapes that `gpu.py` times, the floors of a step on one H200, and throughput.

Floors are lower bounds: each operation at the card's peak, nothing else in the way.
"""

from transformers import Qwen2_5_VLConfig

from indirect_rlvr.estimate.cards import CARDS
from indirect_rlvr.estimate.published import configuration
from indirect_rlvr.estimate.work import Load

PEAK_FLOPS, PEAK_BYTES = CARDS["h200"].flops, CARDS["h200"].traffic
SIZES = {"3b": "Qwen/Qwen2.5-VL-3B-Instruct", "7b": "Qwen/Qwen2.5-VL-7B-Instruct"}


def config(size: str) -> Qwen2_5_VLConfig:
    """The configuration of a published size, `3b` or `7b`."""
    found = configuration(SIZES[size])
    assert isinstance(found, Qwen2_5_VLConfig)
    return found


def rehearsal() -> Qwen2_5_VLConfig:
    """A tiny model of the same kind, for a processor."""
    return tiny(hidden=64, ffn=128, layers=2, heads=4, depth=2, vision_hidden=48, vocabulary=330)


def tiny(
    *, hidden: int, ffn: int, layers: int, heads: int, depth: int, vision_hidden: int, vocabulary: int
) -> Qwen2_5_VLConfig:
    """A model of the kind with half as many key-value heads, and a tower of two heads with one full block."""
    half = hidden // heads // 2
    plane = 3 * half // 8
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": ffn,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": heads // 2,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "bos_token_id": None,
            "eos_token_id": None,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [half - 2 * plane, plane, plane],
                "rope_theta": 1e6,
            },
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": depth,
            "hidden_size": vision_hidden,
            "intermediate_size": 2 * vision_hidden,
            "num_heads": 2,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "out_hidden_size": hidden,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        tie_word_embeddings=True,
    )


def tokens_per_second(load: Load, seconds: float, gpus: int = 1) -> float:
    """EasyR1's throughput: prompt and response tokens of every rollout, image tokens included, a second and GPU."""
    return load.tokens / (seconds * gpus)


def floors(flops: float, moved: float) -> dict[str, float]:
    """Seconds that arithmetic and memory traffic each take at the least."""
    return {"arithmetic_s": flops / PEAK_FLOPS, "bytes_s": moved / PEAK_BYTES}
