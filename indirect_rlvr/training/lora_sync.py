"""Send vLLM the weights with the adapters merged, without touching the frozen ones.

TRL 1.16 merges the adapters into the model, sends it and takes them out again, which in bfloat16 rounds twice: the
frozen weights, and with them the reference, move at every generation, and no checkpoint knows of it.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from accelerate.utils import is_peft_model
from torch import Tensor

BASE = ".base_layer.weight"


def guard(generation: Any) -> None:
    """Have a trainer's `vllm_generation` send merged copies, layer by layer; a model without adapters is left alone."""
    if is_peft_model(generation.model):
        generation._iter_named_params = partial(merged, generation)


def merged(generation: Any) -> Iterator[tuple[str, Tensor]]:
    """The parameters under the names vLLM knows, in TRL's order: W + alpha/rank · BA in float32, rounded once."""
    model = generation.model
    for name, value in model.named_parameters():
        if "lora_" in name:
            continue
        found = value.data
        if name.endswith(BASE):
            change = model.get_submodule(name.removesuffix(BASE)).get_delta_weight("default").detach()
            found = (found.float() + change.float()).to(found.dtype)
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        yield generation._fix_param_name_to_vllm(plain), found
