"""Pack the rows of one prompt into one row, [prompt | completion 1 | … | completion G], and unpack what comes of it.

Pure tensor work: which rows share a prompt is compared here, never assumed. What a model does with a packed row is left
to `shared_prefix`. Axes: B ordinary rows of P prompt and C completion columns, R packed rows of L, N completion tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from indirect_rlvr.errors import DataError
from indirect_rlvr.training.packed_attention import Layout

RowWise = Mapping[str, Sequence[Tensor] | Tensor]
"""Tensors of a batch by name, each indexed by ordinary row."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Packing:
    """A batch of packed rows, (R, L), and where the N completion tokens among them come from and go to."""

    input_ids: Tensor
    layouts: list[Layout]
    columns: Tensor
    """The column a token has in its ordinary row: completions all begin at P."""
    firsts: list[int]
    """The ordinary row whose prompt and images stand for the packed row."""
    sources: Tensor
    """Where among the R·L the hidden state lies that predicts each completion token; the prompt's last predicts G."""
    labels: Tensor
    """The completion tokens themselves."""
    places: Tensor
    """Where they lie among the B·C of the ordinary batch."""

    def to(self, device: torch.device) -> "Packing":
        """The same on `device`."""
        tokens = (each.to(device) for each in (self.sources, self.labels, self.places))
        return Packing(self.input_ids.to(device), self.layouts, self.columns.to(device), self.firsts, *tokens)

    def positions(self, origin_3RP: Tensor) -> Tensor:
        """(3, R, L) from the positions of the prompts, zero where masked: completions restart after their maximum."""
        width = origin_3RP.size(2)
        column = self.columns.expand(3, -1, -1)
        after = origin_3RP.amax(dim=(0, 2))[:, None] + 1 + column - width
        return torch.where(column < width, origin_3RP.gather(2, column.clamp(max=width - 1)), after)

    def unpack(self, values_N: Tensor, rows: int, columns: int) -> Tensor:
        """Values of completion tokens as the (B, C) of the ordinary batch, zero where there is no token."""
        return values_N.new_zeros(rows * columns).index_copy(0, self.places, values_N.flatten()).view(rows, columns)


def find_groups(prompt_ids_BP: Tensor, prompt_mask_BP: Tensor, images: RowWise) -> list[list[int]]:
    """Rows by prompt, in order of first appearance: same tokens, same padding, same images to the last bit."""
    ids, mask = prompt_ids_BP.cpu().numpy(), prompt_mask_BP.cpu().numpy()
    by_prompt: dict[tuple[bytes, bytes], list[list[int]]] = {}
    groups: list[list[int]] = []
    for row in range(len(ids)):
        alike = by_prompt.setdefault((ids[row].tobytes(), mask[row].tobytes()), [])
        group = next((g for g in alike if all(torch.equal(v[g[0]], v[row]) for v in images.values())), None)
        if group is None:
            alike.append(group := [])
            groups.append(group)
        group.append(row)
    return groups


def pack(input_ids: Tensor, attention_mask: Tensor, columns: int, groups: Sequence[Sequence[int]]) -> Packing:
    """The rows of each group as one packed row; `input_ids` and `attention_mask` are (B, P+C), C is `columns`.

    Tokens that the mask leaves out are left out. Raises DataError for a prompt without a token, from which nothing can
    be predicted.
    """
    ids, mask = input_ids.cpu(), attention_mask.cpu().bool()
    width = ids.size(1) - columns
    packed = [_pack_group(ids, mask, width, group) for group in groups]
    length = max(len(row[0]) for row in packed)
    ids_R, layouts_R, columns_R, sources_R, labels_R, places_R = zip(*packed, strict=True)
    source_N = torch.cat([source + row * length for row, source in enumerate(sources_R)])
    label_N, place_N = torch.cat(labels_R), torch.cat(places_R)
    if not len(label_N):  # every completion is masked: one position that earns nothing keeps the graph whole
        source_N, label_N, place_N = torch.tensor([0]), torch.tensor([IGNORED]), torch.tensor([0])
    return Packing(
        pad_sequence(list(ids_R), batch_first=True),
        list(layouts_R),
        pad_sequence(list(columns_R), batch_first=True),
        [group[0] for group in groups],
        source_N,
        label_N,
        place_N,
    ).to(input_ids.device)


def _pack_group(
    ids: Tensor, mask: Tensor, width: int, rows: Sequence[int]
) -> tuple[Tensor, Layout, Tensor, Tensor, Tensor, Tensor]:
    """Tokens, layout and columns of one packed row; sources, labels and places of its completion tokens."""
    prompt = mask[rows[0], :width].nonzero().flatten()
    if not len(prompt):
        raise DataError(f"the prompt of row {rows[0]} has no token; every task needs some text or an image")
    pieces, where, begin = [ids[rows[0], prompt]], [prompt], len(prompt)
    sizes: list[int] = []
    sources, labels, places = [], [], []
    for row in rows:
        columns = mask[row, width:].nonzero().flatten()
        tokens = ids[row, width + columns]
        pieces.append(tokens)
        where.append(width + columns)
        before = torch.arange(begin - 1, begin - 1 + len(columns))
        before[:1] = len(prompt) - 1
        sources.append(before)
        labels.append(tokens)
        places.append(row * (ids.size(1) - width) + columns)
        sizes.append(len(columns))
        begin += len(columns)
    layout = Layout(len(prompt), [size for size in sizes if size])
    return torch.cat(pieces), layout, torch.cat(where), torch.cat(sources), torch.cat(labels), torch.cat(places)
