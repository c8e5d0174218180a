"""Rows are grouped by what they hold, packed without loss, attended to as under a dense mask, and regrouped whole."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from indirect_rlvr.errors import DataError
from indirect_rlvr.training import packed_attention, regroup
from indirect_rlvr.training.packed_attention import Layout
from indirect_rlvr.training.packing import Packing, find_groups, pack

PROMPTS = torch.tensor([[0, 5, 6], [0, 5, 6], [7, 5, 6], [0, 5, 6]])
MASK = torch.tensor([[0, 1, 1], [0, 1, 1], [1, 1, 1], [0, 1, 1]])
COMPLETIONS = torch.tensor([[11, 12], [13, 0], [14, 15], [16, 17]])
COMPLETION_MASK = torch.tensor([[1, 1], [1, 0], [1, 1], [1, 1]])
IDS, WHOLE_MASK = torch.cat([PROMPTS, COMPLETIONS], 1), torch.cat([MASK, COMPLETION_MASK], 1)


def test_a_prompt_without_a_token_is_refused() -> None:
    with pytest.raises(DataError, match="the prompt of row 1 has no token"):
        pack(IDS, torch.cat([torch.tensor([[1], [0], [1], [1]]) * MASK, COMPLETION_MASK], 1), 2, [[0], [1], [2], [3]])


@pytest.mark.parametrize(
    ("images", "groups"),
    [
        ({}, [[0, 1, 3], [2]]),
        ({"pixel_values": torch.tensor([[1.0], [1.0], [1.0], [1.0]])}, [[0, 1, 3], [2]]),
        ({"pixel_values": torch.tensor([[1.0], [1.0 + 2**-23], [1.0], [1.0]])}, [[0, 3], [1], [2]]),
        (
            {"pixel_values": [torch.ones(2, 3), torch.ones(2, 3), torch.ones(1, 3), torch.ones(1, 3)]},
            [[0, 1], [2], [3]],
        ),
    ],
)
def test_only_rows_with_the_same_tokens_and_the_same_images_form_a_group(
    images: dict[str, Any], groups: list[list[int]]
) -> None:
    assert find_groups(PROMPTS, MASK, images) == groups


def test_the_same_tokens_after_another_padding_are_another_prompt() -> None:
    """Positions of some models count the padding in, so such rows differ by rounding."""
    assert find_groups(torch.tensor([[0, 5], [0, 5]]), torch.tensor([[0, 1], [1, 1]]), {}) == [[0], [1]]


def test_a_packed_row_holds_the_prompt_once_and_each_completion_in_order() -> None:
    packing = pack(IDS, WHOLE_MASK, 2, [[0, 1, 3], [2]])
    assert packing.input_ids.tolist() == [[5, 6, 11, 12, 13, 16, 17], [7, 5, 6, 14, 15, 0, 0]]
    assert packing.columns.tolist() == [[1, 2, 3, 4, 3, 3, 4], [0, 1, 2, 3, 4, 0, 0]]
    assert packing.layouts == [Layout(2, [2, 1, 2]), Layout(3, [2])]
    assert packing.firsts == [0, 2]
    assert packing.sources.tolist() == [1, 2, 1, 1, 5, 9, 10]
    assert packing.labels.tolist() == [11, 12, 13, 16, 17, 14, 15]


def test_unpacking_puts_every_value_back_where_its_token_was() -> None:
    packing = pack(IDS, WHOLE_MASK, 2, [[0, 1, 3], [2]])
    assert torch.equal(packing.unpack(packing.labels, 4, 2), COMPLETIONS)


def test_positions_restart_after_the_maximum_of_the_prompt_and_not_after_its_last_token() -> None:
    packing: Packing = pack(IDS, WHOLE_MASK, 2, [[0, 1, 3], [2]])
    origin = torch.tensor([[[0, 4, 2], [0, 1, 2]], [[0, 1, 2], [0, 7, 2]], [[0, 1, 2], [0, 1, 2]]])
    found = packing.positions(origin)
    assert found[0].tolist() == [[4, 2, 5, 6, 5, 5, 6], [0, 1, 2, 8, 9, 0, 0]]
    assert found[1].tolist() == [[1, 2, 5, 6, 5, 5, 6], [0, 7, 2, 8, 9, 0, 0]]


def test_packed_attention_is_dense_attention_under_the_mask_it_stands_for() -> None:
    layouts, length, heads = [Layout(3, [2, 1, 4]), Layout(5, []), Layout(1, [3])], 10, 4
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, count, length, 8, dtype=torch.float64) for count in (heads, 2, 2))
    mask = packed_attention.packed_mask(layouts, query.device)
    found, _ = packed_attention.attend(torch.nn.Module(), query, key, value, mask, scaling=0.3)
    for row, layout in enumerate(layouts):
        sizes = [layout.prompt, *layout.completions]
        part = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
        total = len(part)
        sees = ((part[None] == 0) | (part[None] == part[:, None])).tril()
        q, k, v = query[row, :, :total], *(each[row, :, :total].repeat_interleave(2, 0) for each in (key, value))
        dense = scaled_dot_product_attention(q, k, v, attn_mask=sees, scale=0.3).transpose(0, 1)
        assert torch.allclose(found[row, :total], dense, atol=1e-12)
        assert not found[row, total:].abs().sum()


def test_ordinary_attention_refuses_the_mask_of_packed_rows() -> None:
    """So a model that went around `attend` fails, instead of computing something else."""
    query = torch.randn(1, 1, 4, 8)
    with pytest.raises(RuntimeError, match="attn_mask"):
        mask = packed_attention.packed_mask([Layout(4, [])], query.device)
        scaled_dot_product_attention(query, query, query, attn_mask=mask)


SAME_TOKENS = [float(next(at for at in range(4) if torch.equal(PROMPTS[at], row))) for row in PROMPTS]
"""The number of each row's prompt."""


def _batches(image_counts: list[int], prompt_of_row: Sequence[float]) -> list[dict[str, Any]]:
    """Two micro-batches of two rows; the patches of a row hold the number of its prompt."""
    grid = torch.tensor([[1, 2, 2]]).repeat(sum(image_counts), 1)
    pixels = torch.tensor(prompt_of_row).repeat_interleave(4 * torch.tensor(image_counts))
    whole = {
        "prompt_ids": PROMPTS, "prompt_mask": MASK, "completion_ids": COMPLETIONS,
        "num_items_in_batch": torch.tensor(7),
        "pixel_values": pixels[:, None].float(), "image_grid_thw": grid, "num_images": image_counts,
    }  # fmt: skip
    cut = regroup.split_tensor_dict(regroup.by_row(whole), 2)
    return [regroup.unsplit_pixel_values_by_grid(batch) for batch in cut]


def test_regrouped_batches_hold_the_same_rows_with_those_of_a_prompt_side_by_side() -> None:
    first, second = regroup.by_prompt(_batches([2, 2, 1, 2], SAME_TOKENS))
    assert first["completion_ids"].tolist() == [[11, 12], [13, 0]]
    assert second["completion_ids"].tolist() == [[16, 17], [14, 15]]
    assert [first["num_images"], second["num_images"]] == [[2, 2], [2, 1]]
    assert second["pixel_values"].flatten().tolist() == [SAME_TOKENS[3]] * 8 + [SAME_TOKENS[2]] * 4
    assert second["num_items_in_batch"] == 7


def test_equal_tokens_with_other_images_are_another_prompt() -> None:
    whole = _batches([1, 1, 1, 1], [0, 1, 0, 1])
    for batch in whole:
        batch["prompt_ids"], batch["prompt_mask"] = PROMPTS[:1].repeat(2, 1), MASK[:1].repeat(2, 1)
    first, second = regroup.by_prompt(whole)
    assert first["pixel_values"].flatten().tolist() == [0.0] * 8
    assert second["pixel_values"].flatten().tolist() == [1.0] * 8


def test_pixels_that_stand_by_row_are_moved_with_their_rows() -> None:
    """TRL tells the kinds apart by size, which may be alike in one batch and not in the next."""
    batches = _batches([1, 1, 1, 1], SAME_TOKENS)
    for number, batch in enumerate(batches):
        del batch["image_grid_thw"]
        own = torch.tensor(SAME_TOKENS[2 * number : 2 * number + 2])
        batch |= {"pixel_values": torch.stack([own, own + 0.5], dim=1), "num_images": [1 + number, 1]}
    _, second = regroup.by_prompt(batches)
    assert second["pixel_values"][:, 0].tolist() == [SAME_TOKENS[3], SAME_TOKENS[2]]
