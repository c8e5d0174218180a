"""Floating-point operations and memory traffic that a step cannot do without.

Arithmetic counts multiplications and additions of matrix products and attention, a backward pass as two forward passes.
"""

from dataclasses import dataclass

from indirect_rlvr.estimate.shape import Shape


@dataclass(frozen=True, slots=True)
class Load:
    """The tokens of a step: `prompts` prompts of P tokens, G completions of C tokens each, and the prompt's patches."""

    prompts: float
    prompt: float
    completion: float
    group: int
    patches: float
    """Of all images of a prompt."""
    images: int

    @property
    def tokens(self) -> float:
        """Prompt and completion tokens of every rollout."""
        return self.prompts * self.group * (self.prompt + self.completion)


def vision_flops(shape: Shape, patches: float, images: int) -> float:
    """One forward pass of the vision tower and its mergers over a prompt's patches."""
    vision = shape.vision
    if vision is None or not images:
        return 0.0
    d, merged = vision.hidden, vision.merge**2
    matrices = vision.depth * (4 * d * d + vision.matrices * d * vision.ffn) * patches
    embed = d * 3 * vision.temporal * vision.patch**2 * patches
    merger = vision.mergers * ((merged * d) ** 2 + merged * d * vision.out) * patches / merged
    pairs = vision.full * patches**2 / images + (vision.depth - vision.full) * patches * vision.window
    return float(2 * (matrices + embed + merger) + 4 * d * pairs)


def forward_flops(shape: Shape, load: Load, *, shared: bool) -> float:
    """One forward pass of the language model over a step; the head is asked for completion tokens alone."""
    text, copies = shape.text, 1 if shared else load.group
    p, c, g = load.prompt, load.completion, load.group
    pairs = copies * p * p / 2 + g * (c * p + c * c / 2)
    head = text.hidden * text.vocabulary * g * c
    matrices = 2 * (text.weights * (copies * p + g * c) + head)
    return float(load.prompts * (matrices + text.layers * 4 * text.queries * pairs))


def images_flops(shape: Shape, load: Load, *, shared: bool) -> float:
    """One forward pass of the vision tower over a step."""
    copies = 1 if shared else load.group
    return load.prompts * copies * vision_flops(shape, load.patches, load.images)


def update_flops(
    shape: Shape,
    load: Load,
    *,
    shared: bool,
    train_vision: bool = False,
    checkpointing: bool = False,
    reference: bool = False,
) -> float:
    """Forward and backward over a step; checkpointing repeats the forward pass, a reference model makes one more."""
    again = 1 if checkpointing else 0
    text, seen = forward_flops(shape, load, shared=shared), images_flops(shape, load, shared=shared)
    return (3 + again + reference) * text + ((3 + again if train_vision else 1) + reference) * seen


def generation_flops(shape: Shape, load: Load, *, shared: bool) -> float:
    """Prefill and sampling of a step."""
    return forward_flops(shape, load, shared=shared) + images_flops(shape, load, shared=shared)


def update_bytes(parameters: int, trained: int, micro_batches: int, width: int = 2) -> float:
    """Weights read forward and backward and gradients added up in each micro-batch; AdamW reads four and writes three
    values for each trained weight. Activations are left out."""
    return float(width * (micro_batches * (2 * parameters + 2 * trained) + 7 * trained))


def generation_bytes(shape: Shape, load: Load, *, shared: bool, width: int = 2) -> float:
    """For each of C tokens the text weights and head once, and the keys and values the newest tokens look at."""
    text = shape.text
    weights = text.weights + text.hidden * text.vocabulary
    copies = 1 if shared else load.group
    columns = load.prompts * (copies * load.prompt + load.group * load.completion / 2)
    return float(width * load.completion * (weights + 2 * text.layers * text.keys * columns))
