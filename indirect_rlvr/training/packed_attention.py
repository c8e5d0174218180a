"""Attention over packed rows: the prompt sees itself, each completion the prompt and itself; no more is computed.

A dense mask would cost (P + G·C)² a row, which soon eats what sharing the prompt saves; this costs P²/2 + G·C·(P + C).
The layout of the rows travels as a `PackedMask` in the place of the attention mask, which models hand on as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.rnn import pad_sequence
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.modeling_utils import AttentionInterface

IMPLEMENTATION = "sdpa"
"""The attention of transformers that is taught packed rows."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How many tokens of a packed row are the prompt, and how many each of its completions, none of them empty."""

    prompt: int
    completions: list[int]


class PackedMask(Tensor):
    """Stands for the mask of packed rows; (R, 1, 1, 1) of integers, which ordinary attention refuses."""

    layouts: list[Layout]


def packed_mask(layouts: list[Layout], device: torch.device) -> PackedMask:
    """The mask of rows with these layouts."""
    mask = torch.zeros((len(layouts), 1, 1, 1), dtype=torch.long, device=device).as_subclass(PackedMask)
    mask.layouts = layouts
    return mask


def install() -> None:
    """Teach `sdpa` of transformers packed rows; whatever comes with another mask is computed as before."""
    AttentionInterface.register(IMPLEMENTATION, attend)


def attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """As `sdpa_attention_forward`: (R, H, L, D) each, with fewer heads in keys and values, to (R, L, H, D)."""
    if not isinstance(attention_mask, PackedMask):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    length, scale = query.size(2), options.get("scaling")
    key, value = (repeat_kv(each, query.size(1) // each.size(1)) for each in (key, value))
    rows = zip(*(each.transpose(1, 2) for each in (query, key, value)), attention_mask.layouts, strict=True)
    attended = [_attend_row(q, k, v, layout, scale) for q, k, v, layout in rows]
    return torch.stack([nn.functional.pad(row, (0, 0, 0, 0, 0, length - len(row))) for row in attended]), None


def _attend_row(q: Tensor, k: Tensor, v: Tensor, layout: Layout, scale: float | None) -> Tensor:
    """One row, (L, H, D) each, to (tokens, H, D)."""
    prompt, sizes = layout.prompt, layout.completions
    q_prompt, k_prompt, v_prompt = (each[:prompt].transpose(0, 1)[None] for each in (q, k, v))
    seen = scaled_dot_product_attention(q_prompt, k_prompt, v_prompt, is_causal=True, scale=scale)[0].transpose(0, 1)
    if not sizes:
        return seen
    q_own, k_own, v_own = (_side_by_side(each[prompt:], sizes) for each in (q, k, v))
    keys, values = (
        torch.cat([shared.expand(len(sizes), -1, -1, -1), own], dim=2)
        for shared, own in ((k_prompt, k_own), (v_prompt, v_own))
    )
    before = torch.ones((q_own.size(2), keys.size(2)), dtype=torch.bool, device=q.device).tril(prompt)
    found = scaled_dot_product_attention(q_own, keys, values, attn_mask=before, scale=scale).transpose(1, 2)
    return torch.cat([seen, *(one[:size] for one, size in zip(found, sizes, strict=True))])


def _side_by_side(tokens: Tensor, sizes: Sequence[int]) -> Tensor:
    """Completions one after the other, (tokens, H, D), as a batch of their own, (G, H, C, D); those shorter than the
    longest end in zeros, which stand after all that their tokens see."""
    parts = tokens[: sum(sizes)].split(list(sizes))
    return pad_sequence(list(parts), batch_first=True).transpose(1, 2)
