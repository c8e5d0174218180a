"""The numbers of a model's configuration that arithmetic and memory depend on; the families that are known."""

from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig

from indirect_rlvr.errors import ConfigError

DECODERS = ("qwen2", "qwen3", "llama", "mistral")
"""Text models with gated MLPs and grouped queries, all layers alike."""


@dataclass(frozen=True, slots=True)
class Text:
    """A decoder: widths of residual stream, MLP and one head; its layers and vocabulary; normalised queries or not."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    normed_queries: bool

    @property
    def queries(self) -> int:
        """Width of all queries of a token."""
        return self.heads * self.head

    @property
    def keys(self) -> int:
        """Width of all keys of a token, and of all values."""
        return self.kv_heads * self.head

    @property
    def weights(self) -> int:
        """Weights of the matrices every token goes through; embedding and head left out."""
        attention = 2 * self.hidden * (self.queries + self.keys)
        return self.layers * (attention + 3 * self.hidden * self.ffn)


@dataclass(frozen=True, slots=True)
class Vision:
    """A tower over patches of `patch` pixels: blocks of which `full` look at a whole image and the others at `window`
    patches; `matrices` of an MLP; `mergers` that make one token of `merge`² patches."""

    hidden: int
    ffn: int
    depth: int
    matrices: int
    full: int
    window: int
    patch: int
    merge: int
    temporal: int
    mergers: int
    out: int

    @property
    def token_px(self) -> int:
        """Side of the square of pixels that one token covers."""
        return self.patch * self.merge


@dataclass(frozen=True, slots=True)
class Shape:
    """A model; `vision` is None for text alone."""

    text: Text
    vision: Vision | None


def shape(config: PretrainedConfig) -> Shape:
    """The numbers of a configuration; raises ConfigError for a family whose layers are not known here."""
    family = config.model_type
    if family == "qwen2_5_vl":
        return Shape(_text(config.text_config, False), _windowed(config.vision_config))
    if family == "qwen3_vl":
        return Shape(_text(config.text_config, True), _deepstack(config.vision_config))
    if family in DECODERS:
        return Shape(_text(config, family == "qwen3"), None)
    known = ", ".join(("qwen2_5_vl", "qwen3_vl", *DECODERS))
    raise ConfigError(f"memory and hours of the family `{family}` are not known; known: {known}")


def _text(config: Any, normed_queries: bool) -> Text:
    heads = config.num_attention_heads
    head = config.to_dict().get("head_dim") or config.hidden_size // heads
    sizes = (config.hidden_size, config.intermediate_size, config.num_hidden_layers)
    return Text(*sizes, heads, config.num_key_value_heads, head, config.vocab_size, normed_queries)


def _windowed(config: Any) -> Vision:
    window = (config.window_size // config.patch_size) ** 2
    return _vision(config, matrices=3, full=len(config.fullatt_block_indexes), window=window, mergers=1)


def _deepstack(config: Any) -> Vision:
    return _vision(config, matrices=2, full=config.depth, window=0, mergers=1 + len(config.deepstack_visual_indexes))


def _vision(config: Any, *, matrices: int, full: int, window: int, mergers: int) -> Vision:
    return Vision(
        hidden=config.hidden_size,
        ffn=config.intermediate_size,
        depth=config.depth,
        matrices=matrices,
        full=full,
        window=window,
        patch=config.patch_size,
        merge=config.spatial_merge_size,
        temporal=config.temporal_patch_size,
        mergers=mergers,
        out=config.out_hidden_size,
    )
