"""The GPUs whose memory, arithmetic and memory traffic are known."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU: bytes of memory that a process can have, bfloat16 operations a second (dense) and bytes a second."""

    name: str
    memory: float
    flops: float
    traffic: float


GIB = 2**30
CARDS = {
    "a100": Card("A100 80 GB", 79 * GIB, 312e12, 2.0e12),
    "h100": Card("H100 80 GB", 79 * GIB, 989e12, 3.35e12),
    "h200": Card("H200 141 GB", 139 * GIB, 989e12, 4.8e12),
}
"""NVIDIA's data sheets (SXM); a little memory belongs to the driver."""


def known(name: str, memory: float) -> Card:
    """The card of this name as the driver calls it, with its own memory; an unknown one has an H100's speed."""
    found = next((card for key, card in CARDS.items() if key in name.lower()), CARDS["h100"])
    return Card(name, memory, found.flops, found.traffic)
