"""Compare what a config would have built with what the files of weights hold, before memory is taken for any of it.

A config from anywhere may say a billion layers, or a width of a billion: transformers would build them, and the machine
would end the process.
"""

import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from indirect_rlvr.errors import RunError
from indirect_rlvr.estimate.parameters import on_meta
from indirect_rlvr.run import read_json

COUNTED = ("layer", "depth", "expert", "label", "block", "head")
"""Parts of the names of numbers for each of which transformers makes a list entry or a module."""
AT_MOST = 10_000
"""Of such things; the largest published models have some hundreds."""
TIMES = 4
"""Up to so many times what the files hold, transformers itself may load and say which weights are missing."""
HEADER = 100 * 2**20
"""Bytes of a safetensors header at most, as that library has it."""


def require_held(folder: Path) -> None:
    """Raise RunError where the config of a model folder describes far more parameters than its files hold (`TIMES`).

    A file that is no safetensors counts as holding none.
    """
    config = read_json(folder / "config.json")
    for name, value in _numbers(config):
        if any(part in name for part in COUNTED) and value > AT_MOST:
            raise RunError(
                f"`{folder / 'config.json'}` says `{name:.60}` is {value:.3g}; at most {AT_MOST:,} can be: make the "
                "folder again, or mend it"
            )
    held = sum(_elements(path) for path in folder.glob("*.safetensors"))
    built = on_meta(AutoConfig.from_pretrained(str(folder), trust_remote_code=False))
    described = sum(value.numel() for value in built.parameters())
    if described > TIMES * held:
        raise RunError(
            f"the weights in `{folder}` do not fit its config: it describes {described:.4g} parameters, and the files "
            f"hold {held:.4g}; they are torn or of another model: make the folder again"
        )


def _numbers(tree: object, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a JSON value with the name it stands under."""
    left: list[tuple[str, object]] = [(name, tree)]
    while left:
        name, value = left.pop()
        if isinstance(value, Mapping):
            left += [(str(key), item) for key, item in value.items()]
        elif isinstance(value, list):
            left += [(name, item) for item in value]
        elif isinstance(value, int | float) and math.isfinite(value):
            yield name, float(min(value, 10**300))


def _elements(path: Path) -> int:
    """Elements of all tensors that the header of a safetensors file lists."""
    with path.open("rb") as stream:
        start = stream.read(8)
        if len(start) < 8:
            return 0
        (length,) = struct.unpack("<Q", start)
        text = stream.read(length) if length <= HEADER else b""
    try:
        header: dict[str, Any] = json.loads(text)
        return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return 0
