"""Preprocess each image once a run: a processor whose image part looks up what it has computed for the same content.

TRL preprocesses every image twice for each of G rollouts at every step. The key is the content of the image and every
setting that decides its patches, so a hit is the tensor that a fresh call would give.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import ProcessorMixin
from transformers.image_processing_utils import BaseImageProcessor, BatchFeature
from transformers.image_utils import make_flat_list_of_images, make_nested_list_of_images

from indirect_rlvr.errors import RunError
from indirect_rlvr.run import digest, disk_errors
from indirect_rlvr.training.images import KnownImage, content_digest

MEMORY_BYTES = 2 << 30
"""Patches held in memory: about 440 images of 448 × 448 pixels."""
DISK_BYTES = 32 << 30
"""Patches held on disk, those that left memory: about 7,000 more of them."""
CONCATENATED = ("Qwen2VLImageProcessor", "Qwen2VLImageProcessorPil")
"""Image processors that lay the patches of all images end to end."""
TILED = (
    "Idefics3ImageProcessor",
    "Idefics3ImageProcessorPil",
    "SmolVLMImageProcessor",
    "SmolVLMImageProcessorPil",
)
"""Image processors that cut images into tiles and pad the tiles of a row to the longest row."""

Patches = dict[str, torch.Tensor]


class PatchStore:
    """Patches by key: the latest in memory up to `memory` bytes, older ones in `folder` up to `disk` bytes.

    Without a folder, or beyond `disk`, the oldest are forgotten and computed again. `computed` and `found` count.
    """

    def __init__(self, folder: Path | None = None, memory: int = MEMORY_BYTES, disk: int = DISK_BYTES) -> None:
        self.computed = self.found = 0
        self._folder, self._memory, self._disk = folder, memory, disk
        self._held: OrderedDict[str, Patches] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Patches | None:
        """The patches of a key, or None. Raises RunError for a file that holds none."""
        if key in self._held:
            self._held.move_to_end(key)
            self.found += 1
            return self._held[key]
        if self._folder is None or not self._file(key).exists():
            return None
        try:
            patches: Patches = load_file(self._file(key))
        except (OSError, SafetensorError) as error:
            raise RunError(f"`{self._file(key)}` holds no patches: {error}; delete the folder it is in") from error
        self._hold(key, patches)
        self.found += 1
        return patches

    def put(self, key: str, patches: Patches) -> None:
        """Keep what was just computed. Raises RunError where the disk is full or read-only."""
        self.computed += 1
        self._hold(key, patches)

    def _hold(self, key: str, patches: Patches) -> None:
        self._held[key] = patches
        self._bytes += _size(patches)
        while self._bytes > self._memory and len(self._held) > 1:
            oldest, left = self._held.popitem(last=False)
            self._bytes -= _size(left)
            self._write(oldest, left)

    def _write(self, key: str, patches: Patches) -> None:
        """Atomic: a file is whole or not there."""
        if self._folder is None or self._file(key).exists() or self._disk < _size(patches):
            return
        beside = self._file(key).with_suffix(".part")
        with disk_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                save_file(patches, beside)
                beside.replace(self._file(key))
            except SafetensorError as error:  # it hides the disk's error number in its text
                raise RunError(f"cannot write `{beside}`: {error}; free space, then give the command again") from error
            finally:
                beside.unlink(missing_ok=True)
        self._disk -= _size(patches)

    def _file(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{key}.safetensors"


def _size(patches: Patches) -> int:
    return sum(value.nbytes for value in patches.values())


def refusal(processor: ProcessorMixin) -> str | None:
    """Why the images of a processor cannot be cached exactly; None where they can."""
    kind = type(processor.image_processor).__name__
    if kind not in CONCATENATED + TILED:
        return f"how `{kind}` lays out a batch was not tested; known: {', '.join(CONCATENATED + TILED)}"
    return None


def caching(processor: ProcessorMixin, store: PatchStore) -> ProcessorMixin:
    """A copy of `processor`, itself unchanged, whose every image is preprocessed once; it saves as the original does.

    Raises RunError for a processor that `refusal` refuses.
    """
    reason = refusal(processor)
    if reason is not None:
        raise RunError(f"images cannot be cached: {reason}")
    original = type(processor.image_processor)
    layout = _Concatenated if original.__name__ in CONCATENATED else _Tiled
    cached, images = copy.copy(processor), copy.copy(processor.image_processor)
    # of the same name, under which it is saved; the store is no setting, so it belongs to the class
    images.__class__ = type(original.__name__, (layout, original), {"store": store, "__module__": original.__module__})
    cached.image_processor = images
    return cached


class _Cached(BaseImageProcessor):
    """Looks images up one by one and lays them out as the class after it does."""

    store: PatchStore

    def preprocess(self, images: Any, *args: Any, **settings: Any) -> BatchFeature:
        wanted = settings.pop("return_tensors", None)
        about = digest([transformers.__version__, type(self).__name__, self.to_dict(), args, settings])
        data = self._laid_out(self.fetch_images(images), about, args, settings)
        tensors = {name: value for name, value in data.items() if isinstance(value, torch.Tensor)}
        batch = BatchFeature({name: value.numpy() for name, value in tensors.items()}, tensor_type=wanted)
        batch.update({name: value for name, value in data.items() if name not in tensors})
        return batch

    def _laid_out(self, images: Any, about: str, args: tuple[Any, ...], settings: Mapping[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def _patches(self, image: Any, about: str, args: tuple[Any, ...], settings: Mapping[str, Any]) -> Patches:
        if not isinstance(image, Image.Image):
            raise RunError(f"images to be cached must be PIL images, got {type(image).__name__}")
        key = digest([about, content_digest(image)])
        patches = self.store.get(key)
        if patches is None:
            found = super().preprocess([[image]] if isinstance(self, _Tiled) else [image], *args, **settings)
            patches = {name: torch.as_tensor(value) for name, value in found.items()}
            self.store.put(key, patches)
            if isinstance(image, KnownImage):
                image.release()
        return patches


class _Concatenated(_Cached):
    def _laid_out(self, images: Any, about: str, args: tuple[Any, ...], settings: Mapping[str, Any]) -> dict[str, Any]:
        flat: list[Any] = make_flat_list_of_images(images)  # type: ignore[assignment]
        parts = [self._patches(image, about, args, settings) for image in flat]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


class _Tiled(_Cached):
    return_row_col_info: bool

    def _laid_out(self, images: Any, about: str, args: tuple[Any, ...], settings: Mapping[str, Any]) -> dict[str, Any]:
        asked = {**settings, "return_row_col_info": True}
        rows: list[list[Any]] = make_nested_list_of_images(images)  # type: ignore[assignment]
        parts = [[self._patches(image, about, args, asked) for image in row] for row in rows]
        names = [name for name in parts[0][0] if name not in ("rows", "cols")]
        found: dict[str, Any] = {name: _padded([[part[name][0] for part in row] for row in parts]) for name in names}
        if settings.get("return_row_col_info", self.return_row_col_info):
            found |= {name: [[int(part[name]) for part in row] for row in parts] for name in ("rows", "cols")}
        return found


def _padded(rows: list[list[torch.Tensor]]) -> torch.Tensor:
    """Tiles (tiles, …, H, W) of a row's images end to end, zeros up to the most and the largest: (rows, …)."""
    tiles = [[tile for image in row for tile in image] for row in rows]
    every = [tile for row in tiles for tile in row]
    height, width = max(tile.shape[-2] for tile in every), max(tile.shape[-1] for tile in every)
    most = max(len(row) for row in tiles)
    whole: torch.Tensor = every[0].new_zeros((len(rows), most, *every[0].shape[:-2], height, width))
    for r, row in enumerate(tiles):
        for t, tile in enumerate(row):
            whole[r, t, ..., : tile.shape[-2], : tile.shape[-1]] = tile
    return whole
