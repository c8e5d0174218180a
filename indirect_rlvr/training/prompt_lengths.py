"""How many tokens the prompts of a data set are, each image counted from the size in its header, none decoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import datasets
from PIL import Image

from indirect_rlvr.data.records import FORMATS
from indirect_rlvr.training.models import Policy

BATCH = 256
"""Prompts tokenized together."""


@dataclass(frozen=True, slots=True)
class Longest:
    """The longest prompt of a data set, in tokens, and its task; the most images of one prompt, of any task."""

    tokens: int
    task_id: str
    images: int


def longest(rows: datasets.Dataset, policy: Policy) -> Longest:
    """Over the rows of `grpo_dataset`: as long as the model will see them. Images of Qwen's vision families only.

    A header that cannot be read raises what Pillow raises: `grpo_dataset` has looked at all of them.
    """
    sizes = _Sizes(policy)
    found = Longest(0, "", 0)
    for batch in rows.with_format(None).iter(batch_size=BATCH):  # images as they are stored, not decoded
        shown = batch.get("images") or [[] for _ in batch["task_id"]]
        for task, text, images in zip(batch["task_id"], _text_tokens(batch["prompt"], policy), shown, strict=True):
            tokens = text - len(images) + sum(sizes.tokens(image) for image in images)
            most = max(found.images, len(images))
            found = Longest(tokens, task, most) if tokens > found.tokens else Longest(found.tokens, found.task_id, most)
    return found


def _text_tokens(prompts: Sequence[Any], policy: Policy) -> Iterator[int]:
    """The length of each prompt with one token for each image."""
    processor = policy.processor
    texts = [processor.apply_chat_template(p, tokenize=False, add_generation_prompt=True) for p in prompts]
    return map(len, policy.tokenizer(texts, add_special_tokens=False)["input_ids"])


class _Sizes:
    """Tokens of an image by its size, read once for each file."""

    def __init__(self, policy: Policy) -> None:
        self._processor: Any = policy.processor
        self._known: dict[str, int] = {}

    def tokens(self, stored: dict[str, Any]) -> int:
        path = stored["path"]
        if path is None:
            return self._of(BytesIO(stored["bytes"]))
        if path not in self._known:
            self._known[path] = self._of(BytesIO(stored["bytes"]) if stored["bytes"] else path)
        return self._known[path]

    def _of(self, source: str | BytesIO) -> int:
        with Image.open(source, formats=FORMATS) as image:
            width, height = image.size  # upright or not, it is the same number of tokens
        part = self._processor.image_processor
        return int(part.get_number_of_image_patches(height, width) // part.merge_size**2)
