"""Look at a model that several processes hold in parts: the parameters whole, one at a time, or each one's own part.

PyTorch (FSDP2) keeps parts as DTensors, DeepSpeed (ZeRO-3) in an attribute of an empty parameter. To put parameters
together takes every process.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

from indirect_rlvr import processes


def is_sharded(model: nn.Module) -> bool:
    """Whether this process holds only parts of the parameters."""
    return is_deepspeed_zero3_enabled() or any(isinstance(value, DTensor) for value in model.parameters())


def own(parameter: Any) -> Tensor:
    """The part of a parameter that this process holds, for most models all of it."""
    if isinstance(parameter, DTensor):
        parameter = parameter.to_local()
    elif is_deepspeed_zero3_enabled():
        parameter = parameter.ds_tensor
    return torch.as_tensor(parameter)


def whole(named: Iterable[tuple[str, nn.Parameter]]) -> Iterator[tuple[str, Tensor]]:
    """Name and whole value of each parameter in order of name; of a sharded model every process must go through all."""
    for name, parameter in sorted(named):
        yield name, _whole(parameter)


def state(model: nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """What `save_pretrained` takes as `state_dict`, floating-point values in `dtype`: whole and in the host's memory in
    the first process, empty in the others. Every process must ask."""
    found = {}
    for name, value in [*whole(model.named_parameters()), *_kept_buffers(model)]:
        if processes.is_first():
            found[name] = value.to("cpu", dtype if value.is_floating_point() else None, copy=True)
    return found


def _whole(parameter: Any) -> Tensor:
    whole = parameter.detach()
    if isinstance(parameter, DTensor):
        whole = whole.full_tensor()
    elif is_deepspeed_zero3_enabled():
        import deepspeed

        with deepspeed.zero.GatheredParameters([parameter]):
            whole = parameter.detach().clone()
    return torch.as_tensor(whole)


def _kept_buffers(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Buffers that are saved; no process holds them in parts."""
    kept = model.state_dict().keys()
    return [(name, value) for name, value in model.named_buffers() if name in kept]
