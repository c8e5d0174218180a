"""Bytes that a forward pass keeps for its backward pass, as transformers and the packed attention compute them.

Attention is fused, so that no probabilities of tokens by tokens are kept, only the mask that was given; keys and values
are repeated for all query heads. Norms compute in float32. `benchmarks/estimate.py` holds this against what autograd
saves on real models.
"""

from dataclasses import dataclass

from indirect_rlvr.estimate.shape import Shape, Text, Vision

NORM = 4
"""Bytes of a number inside a norm."""
TILE = (4096, 32_768)
"""Tokens and words of the vocabulary in a tile of logits (TRL 1.16)."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass: `rows` rollouts of `completion` tokens on `prompts` different prompts of `prompt` tokens and
    `patches` patches; `shared`: each prompt is computed once, else once for each of its rollouts."""

    prompts: int
    prompt: int
    rows: int
    completion: int
    patches: int
    shared: bool

    @property
    def copies(self) -> int:
        """How often a prompt is computed."""
        return self.prompts if self.shared else self.rows

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens that are computed."""
        return self.copies * self.prompt + self.rows * self.completion


def of_text(shape: Shape, one: Pass, width: int, *, checkpointing: bool, rank: int = 0) -> tuple[int, int]:
    """Of all layers, numbers of `width` bytes: what is kept for the backward pass, and what is computed again for one
    layer at a time; with checkpointing only the inputs of layers are kept, else nothing is computed again. With
    adapters of `rank` on every matrix the weights themselves are not trained."""
    text = shape.text
    full = one.tokens * _token(text, width, rank) + _attention(text, one, width)
    last = one.tokens * ((NORM + width) * text.hidden + 2 * width * text.head)
    if checkpointing:
        return text.layers * width * text.hidden * one.tokens + last, full
    return text.layers * full + last, 0


def of_vision(shape: Shape, patches: int, width: int, *, checkpointing: bool) -> tuple[int, int]:
    """The same of `patches` patches in a trained vision tower and its mergers."""
    vision = shape.vision
    if vision is None:
        return 0, 0
    full = patches * _block(vision, width)
    pixels = 3 * vision.temporal * vision.patch**2 * width
    ends = patches * (vision.mergers * (NORM + 4 * width) * vision.hidden + pixels)
    if checkpointing:
        return vision.depth * width * vision.hidden * patches + ends, full
    return vision.depth * full + ends, 0


def of_head(shape: Shape, tokens: int, width: int, *, trained: bool) -> int:
    """TRL's fused head over `tokens` tokens: their states, one tile of logits, and in float32 the gradients of states
    and head, which is cast once more. Where there is no Triton, as on a CPU, copies of the tile come on top."""
    text = shape.text
    tile = min(tokens, TILE[0]) * TILE[1] * width
    return tile + tokens * text.hidden * (width + 4) + (text.vocabulary * text.hidden * (4 + width) if trained else 0)


def of_pixels(shape: Shape, patches: int) -> int:
    """What the processor makes of images, in float32."""
    vision = shape.vision
    return 0 if vision is None else 4 * patches * 3 * vision.temporal * vision.patch**2


def of_cache(shape: Shape, tokens: int, width: int) -> int:
    """Keys and values of `tokens` tokens while completions are sampled."""
    return 2 * shape.text.layers * shape.text.keys * width * tokens


def _token(text: Text, width: int, rank: int) -> int:
    """Of one token in one layer, without attention itself."""
    trained = 0 if rank else width
    of_norms = 2 * (NORM + trained + width) * text.hidden
    if text.normed_queries:
        of_norms += (NORM + trained) * (text.queries + text.keys)
    mlp = 4 * width * text.ffn
    # an adapter keeps an input of its own and what its first matrix gives
    own = width * (5 * text.hidden + text.queries + text.ffn + 7 * rank) if rank else 0
    return of_norms + mlp + own


def _attention(text: Text, one: Pass, width: int) -> int:
    """Queries, keys, values and result of one layer; packed rows lay completions side by side behind their prompt."""
    p, c = one.prompt, one.completion
    if not one.shared:
        return width * (4 * text.queries * one.tokens + one.rows * (p + c) ** 2)
    beside = one.rows * (2 * c + 2 * (p + c))
    return width * (text.queries * (5 * one.tokens + one.prompts * p + beside) + one.prompts * c * (p + c))


def _block(vision: Vision, width: int) -> int:
    """Of one patch in one block of the vision tower."""
    gated = vision.matrices == 3
    of_norms = 2 * (NORM + (2 if gated else 1) * width) * vision.hidden
    return of_norms + 7 * width * vision.hidden + (4 if gated else 2) * width * vision.ffn
