"""A real Qwen2.5-VL with a tiny configuration, its own tokenizer and an image-only processor, all built in code.

It stands in for a pretrained model where there is no network and no GPU. Teaching it anything is left to `prime`.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.processing_utils import ProcessorMixin

from indirect_rlvr.config import Tiny

PATCH, MERGE = 14, 2  # pixels to a patch, patches to the side of an image token: 28 pixels, as in the large model
MAX_PIXELS = 512 * 512
END, PAD, IMAGE, VIDEO = "<|im_end|>", "<|endoftext|>", "<|image_pad|>", "<|video_pad|>"
VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
SHARED_WITH_VIDEO = ("image_mean", "image_std", "merge_size", "patch_size", "temporal_patch_size")
"""What a video's frames have in common with an image."""
SPECIAL = [PAD, "<|im_start|>", END, VISION_START, VISION_END, "<|vision_pad|>", IMAGE, VIDEO]

# A role header ends in its newline, so that prompt and completion split at the same place whether joined or not; a
# word takes one white-space character before it along; tags are words.
WORDS = r"(?:user|assistant|system)\n|\s?<[^<>\s]+>|\s?[^\s<>]+|\s+"

# Tests a part's type first: after Arrow unifies the parts of a message, text parts have an (empty) image key too.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}<|im_start|>{{ message.role + '\n' }}"
    "{%- if message.role == 'assistant' -%}{%- generation -%}"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for part in message.content -%}{{ part.text }}{%- endfor -%}{%- endif -%}"
    "<|im_end|>{%- endgeneration -%}{{ '\n' }}"
    "{%- else -%}"
    "{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for part in message.content -%}{%- if part.type == 'image' -%}"
    "<|vision_start|><|image_pad|><|vision_end|>{%- else -%}{{ part.text }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "<|im_end|>{{ '\n' }}"
    "{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}<|im_start|>{{ 'assistant\n' }}{%- endif -%}"
)


class ImageOnlyProcessor(Qwen2_5_VLProcessor):
    """The stock processor without videos, whose processor would need torchvision.

    transformers reads the parts of a processor off the signature of `__init__`, so leaving one out removes it.
    """

    def __init__(
        self, image_processor: object, tokenizer: PreTrainedTokenizerFast, chat_template: str | None = None
    ) -> None:
        self.image_token, self.video_token = IMAGE, VIDEO
        self.image_token_id = tokenizer.convert_tokens_to_ids(IMAGE)
        self.video_token_id = tokenizer.convert_tokens_to_ids(VIDEO)
        self.video_processor = None
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def to_dict(self) -> dict[str, Any]:
        """What is saved: the stock processor, videos included, for whoever has torchvision (vLLM always does)."""
        saved: dict[str, Any] = super().to_dict()
        shared = {name: saved["image_processor"][name] for name in SHARED_WITH_VIDEO}
        saved["video_processor"] = shared | {"video_processor_type": "Qwen2VLVideoProcessor"}
        return saved | {"processor_class": Qwen2_5_VLProcessor.__name__}


def load_processor(folder: str | Path) -> Qwen2_5_VLProcessor:
    """The processor of a model folder: the stock class where torchvision is installed, otherwise the image-only one."""
    stock = importlib.util.find_spec("torchvision") is not None
    return (Qwen2_5_VLProcessor if stock else ImageOnlyProcessor).from_pretrained(folder)


def build_tiny(
    settings: Tiny, lexicon: Sequence[str], *, seed: int
) -> tuple[Qwen2_5_VLForConditionalGeneration, ImageOnlyProcessor]:
    """An untrained model and its processor; the weights are a function of the seed.

    Each entry of the lexicon, with the white space it begins with, becomes one token; other text falls back to bytes.
    """
    tokenizer = build_tokenizer(lexicon)
    images = Qwen2VLImageProcessorPil(
        patch_size=PATCH, merge_size=MERGE, min_pixels=(PATCH * MERGE) ** 2, max_pixels=MAX_PIXELS
    )
    processor = ImageOnlyProcessor(images, tokenizer, chat_template=CHAT_TEMPLATE)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_model_config(settings, tokenizer)).float()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, processor


def save_tiny(model: Qwen2_5_VLForConditionalGeneration, processor: ImageOnlyProcessor, folder: str | Path) -> None:
    """Write a folder that `from_pretrained` and `load_processor` read."""
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def build_tokenizer(lexicon: Sequence[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which every word of the lexicon is one token; padded on the left."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,  # never reached: merging ends when each word is one token
        min_frequency=1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(sorted({*lexicon, "user\n", "assistant\n", "system\n"}), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=SPECIAL,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _model_config(settings: Tiny, tokenizer: PreTrainedTokenizerFast) -> Qwen2_5_VLConfig:
    ids = tokenizer.get_vocab()
    half_head = settings.hidden // settings.heads // 2
    plane = 3 * half_head // 8  # rotary frequencies for rows and as many for columns; the rest are for time
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": settings.hidden,
            "intermediate_size": 3 * settings.hidden,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": settings.heads // 2,
            "max_position_embeddings": 4096,
            "initializer_range": 0.05,
            "rope_parameters": {
                "rope_type": "default",
                "mrope_section": [half_head - 2 * plane, plane, plane],
                "rope_theta": 10_000.0,
            },
            "bos_token_id": None,
            "eos_token_id": ids[END],
            "pad_token_id": ids[PAD],
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": settings.vision_depth,
            "hidden_size": settings.vision_hidden,
            "intermediate_size": 2 * settings.vision_hidden,
            "num_heads": settings.vision_hidden // 24,
            "out_hidden_size": settings.hidden,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": 8 * PATCH,
            "fullatt_block_indexes": list(range(settings.vision_depth)),
            "initializer_range": 0.05,
        },
        image_token_id=ids[IMAGE],
        video_token_id=ids[VIDEO],
        vision_start_token_id=ids[VISION_START],
        vision_end_token_id=ids[VISION_END],
        tie_word_embeddings=True,
    )
