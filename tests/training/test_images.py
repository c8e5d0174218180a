"""Every image is decoded and preprocessed once, its tensors are those of the plain processor, and budgets hold."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ProcessorMixin
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from trl import GRPOConfig, GRPOTrainer

from indirect_rlvr.config import Tiny
from indirect_rlvr.data.records import open_image
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.training import dataset, generation, images, models, patches
from indirect_rlvr.training.tiny import build_tiny
from indirect_rlvr.types import ProxyTask

MakeTasks = Callable[..., list[ProxyTask]]
SIZES = [(56, 84), (100, 60), (56, 84), (28, 28)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Four different images of noise, two of them of one size."""
    folder, noise = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [str(folder / f"{index}.png") for index in range(len(SIZES))]
    for path, (width, height) in zip(paths, SIZES, strict=True):
        Image.fromarray(noise.integers(0, 255, (height, width, 3), dtype=np.uint8)).save(path)
    return paths


@pytest.fixture(scope="module")
def processor() -> ProcessorMixin:
    return build_tiny(Tiny(hidden=32, layers=1, heads=4, vision_hidden=24, vision_depth=1), ["which"], seed=0)[1]


def _tiles(processor: ProcessorMixin, **settings: Any) -> ProcessorMixin:
    held = copy.copy(processor)
    held.image_processor = Idefics3ImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, **settings
    )
    return held


def _equal(cached: Any, plain: Any) -> None:
    assert set(cached) == set(plain)
    for name, value in plain.items():
        assert type(cached[name]) is type(value), name
        if isinstance(value, torch.Tensor):
            assert cached[name].dtype == value.dtype
            assert torch.equal(cached[name], value), name
        elif isinstance(value, np.ndarray):
            assert cached[name].dtype == value.dtype
            assert np.array_equal(cached[name], value), name
        else:
            assert cached[name] == value, name


def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"image `.*gone.png` cannot be read: No such file or directory; mend the path"):
        images.KnownImage(str(tmp_path / "gone.png"))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(
        DataError, match=r"image `.*text.png` cannot be decoded: cannot identify image file.*; write it"
    ):
        images.KnownImage(str(tmp_path / "text.png")).load()


def test_an_image_that_grew_since_it_was_checked_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 50)
    Image.new("RGB", (10, 10)).save(tmp_path / "large.png")
    with pytest.raises(DataError, match=r"large.png` cannot be decoded: it has 10x10 pixels, more than 50"):
        images.KnownImage(str(tmp_path / "large.png")).load()


def test_a_torn_image_is_known_and_refused_only_when_its_pixels_are_asked_for(files: list[str]) -> None:
    raw = Path(files[0]).read_bytes()
    torn = images.KnownImage(raw[: len(raw) // 2])
    assert torn.mode == "RGB"
    assert torn != images.KnownImage(raw)
    with pytest.raises(DataError, match=r"image of \d+ bytes cannot be decoded: .*; write it again"):
        np.asarray(torn)
    with pytest.raises(DataError, match="cannot be decoded"):
        print(torn.size)


def test_pixels_come_upright_as_colours_and_again_after_they_were_let_go(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.effect_noise((40, 20), 90).save(tmp_path / "turned.png", exif=exif)
    known = images.KnownImage(str(tmp_path / "turned.png"))
    assert (known.mode, known.size) == ("RGB", (20, 40))
    expected = np.asarray(open_image(tmp_path, "turned.png"))
    assert np.array_equal(np.asarray(known), expected)
    known.release()
    assert np.array_equal(np.asarray(known), expected)
    assert np.array_equal(np.asarray(known.resize((10, 20))), np.asarray(Image.fromarray(expected).resize((10, 20))))


def test_images_are_equal_by_content_and_cost_nothing_to_copy_or_send(files: list[str]) -> None:
    known, other = images.KnownImage(files[0]), images.KnownImage(files[2])
    assert copy.deepcopy([known])[0] is known
    sent = pickle.dumps(known)
    assert len(sent) < 400
    assert pickle.loads(sent) == known != other
    assert known == images.KnownImage(Path(files[0]).read_bytes())


def test_plain_images_are_told_apart_by_pixels_size_and_mode(files: list[str]) -> None:
    first, third = Image.open(files[0]), Image.open(files[2])
    variants = [first, third, first.convert("L"), first.transpose(Image.Transpose.ROTATE_90), first.resize((84, 56))]
    assert len({images.content_digest(image) for image in variants}) == len(variants)
    assert images.content_digest(first.copy()) == images.content_digest(first)


def test_rows_share_one_image_a_file_and_keep_their_other_columns(
    domain: Domain, make_tasks: MakeTasks, records_folder: Path
) -> None:
    plain = dataset.grpo_dataset(make_tasks(5), domain, records_folder)
    rows = images.shared(plain)
    found = [image for row in rows["images"] for image in row]
    assert len({id(image) for image in found}) == len({image.digest for image in found}) == 4
    assert [row["task_id"] for row in rows] == plain["task_id"]
    assert rows[3]["prompt"] == plain[3]["prompt"]
    decoded = [np.asarray(image) for row in plain["images"] for image in row]
    assert all(np.array_equal(np.asarray(a), b) for a, b in zip(found, decoded, strict=True))


def test_a_processor_whose_layout_is_unknown_is_refused(processor: ProcessorMixin) -> None:
    other = copy.copy(processor)
    other.image_processor = SiglipImageProcessorPil()
    with pytest.raises(RunError, match="images cannot be cached: how `SiglipImageProcessorPil` lays out a batch"):
        patches.caching(other, patches.PatchStore())


def test_only_pil_images_are_cached(processor: ProcessorMixin) -> None:
    cached = patches.caching(processor, patches.PatchStore())
    with pytest.raises(RunError, match="images to be cached must be PIL images, got ndarray"):
        cached.image_processor([np.zeros((28, 28, 3), dtype=np.uint8)])


@pytest.mark.parametrize(
    "asked", [{}, {"return_tensors": "pt"}, {"return_tensors": "np", "max_pixels": 3136, "min_pixels": 784}]
)
@pytest.mark.parametrize("known", [True, False])
def test_patches_are_bit_for_bit_those_of_the_plain_processor(
    processor: ProcessorMixin, files: list[str], asked: dict[str, Any], known: bool
) -> None:
    opened = [images.KnownImage(file) if known else Image.open(file) for file in files]
    cached = patches.caching(processor, patches.PatchStore())
    for shown in ([opened[:2], opened[1:], opened[:2]], opened[::-1], opened[0]):
        plain = processor.image_processor(shown, **asked)
        for _ in range(2):
            _equal(cached.image_processor(shown, **asked), plain)
    assert cached.image_processor.store.computed == len(files)


def test_a_whole_prompt_comes_out_the_same(processor: ProcessorMixin, files: list[str]) -> None:
    turns = [
        [
            {
                "role": "user",
                "content": [
                    *({"type": "image", "image": Image.open(f)} for f in some),
                    {"type": "text", "text": "which"},
                ],
            }
        ]
        for some in (files[:2], files[1:])
    ]
    cached = patches.caching(processor, patches.PatchStore())
    for asked in ({}, {"padding": True, "return_tensors": "pt"}):
        both = [
            p.apply_chat_template(turns, return_dict=True, tokenize=True, processor_kwargs=asked)
            for p in (cached, processor)
        ]
        _equal(*both)


@pytest.mark.parametrize(
    "asked",
    [
        {"return_tensors": "pt"},
        {"return_row_col_info": True},
        {"return_tensors": "pt", "do_image_splitting": False, "return_row_col_info": True},
    ],
)
def test_tiles_are_padded_as_the_plain_processor_pads_them(
    processor: ProcessorMixin, files: list[str], asked: dict[str, Any]
) -> None:
    opened = [images.KnownImage(file) for file in files]
    plain, cached = _tiles(processor), patches.caching(_tiles(processor), patches.PatchStore())
    for shown in ([[opened[0]], opened[1:]], [[opened[3]]], [opened[2:], opened[:1], opened[:2]]):
        for _ in range(2):
            _equal(cached.image_processor(shown, **asked), plain.image_processor(shown, **asked))
    assert cached.image_processor.store.computed == len(files)


def test_other_settings_never_meet_each_others_patches(processor: ProcessorMixin, files: list[str]) -> None:
    store, shown = patches.PatchStore(), [images.KnownImage(files[1])]
    other = copy.copy(processor)
    other.image_processor = Qwen2VLImageProcessorPil(**processor.image_processor.to_dict() | {"image_mean": [0.1] * 3})
    for plain in (processor, other):
        _equal(patches.caching(plain, store).image_processor(shown), plain.image_processor(shown))
    assert store.computed == 2


def test_the_original_is_untouched_and_the_copy_is_saved_as_it(processor: ProcessorMixin, tmp_path: Path) -> None:
    kind = type(processor.image_processor)
    cached = patches.caching(processor, patches.PatchStore())
    assert type(processor.image_processor) is kind is not type(cached.image_processor)
    assert isinstance(cached.image_processor, kind)
    processor.save_pretrained(tmp_path / "plain")
    cached.save_pretrained(tmp_path / "cached")
    names = sorted(path.name for path in (tmp_path / "plain").iterdir())
    assert sorted(path.name for path in (tmp_path / "cached").iterdir()) == names
    assert all((tmp_path / "plain" / n).read_bytes() == (tmp_path / "cached" / n).read_bytes() for n in names)


def _patches(value: float) -> patches.Patches:
    return {"pixel_values": torch.full((10, 10), float(value))}  # 400 bytes


def test_beyond_the_budget_the_least_recently_used_patches_are_forgotten() -> None:
    store = patches.PatchStore(memory=1000)
    store.put("a", _patches(1.0))
    store.put("b", _patches(2.0))
    assert store.get("a") is not None
    store.put("c", _patches(3.0))
    assert store.get("b") is None
    assert [store.get(key)["pixel_values"][0, 0].item() for key in "ac"] == [1.0, 3.0]  # type: ignore[index]
    assert (store.computed, store.found) == (3, 3)


def test_with_a_folder_what_leaves_memory_is_found_on_disk_and_by_the_next_run(tmp_path: Path) -> None:
    store = patches.PatchStore(tmp_path / "patches", memory=500)
    for index, key in enumerate("abc"):
        store.put(key, _patches(index))
    assert sorted(path.name for path in (tmp_path / "patches").iterdir()) == ["a.safetensors", "b.safetensors"]
    for index, key in enumerate("abc"):
        assert torch.equal(store.get(key)["pixel_values"], _patches(index)["pixel_values"])  # type: ignore[index]
    assert patches.PatchStore(tmp_path / "patches").get("b") is not None


def test_beyond_the_budget_of_the_disk_nothing_is_written(tmp_path: Path) -> None:
    store = patches.PatchStore(tmp_path, memory=500, disk=900)
    for key in "abcd":
        store.put(key, _patches(0))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]
    assert store.get("c") is None


def test_a_torn_file_of_patches_stops_the_run_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match=r"`.*a.safetensors` holds no patches: .*; delete the folder it is in"):
        patches.PatchStore(tmp_path).get("a")


def test_a_folder_that_cannot_be_written_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    store = patches.PatchStore(tmp_path / "taken" / "patches", memory=500)
    store.put("a", _patches(0))
    with pytest.raises(RunError, match="cannot write `.*patches`"):
        store.put("b", _patches(0))


class Shared(generation.SharedPrefill, GRPOTrainer):
    """TRL's trainer with the prefill shared."""


def test_over_several_steps_each_image_is_patchified_once_and_training_is_the_same(
    domain: Domain,
    make_tasks: MakeTasks,
    records_folder: Path,
    vision_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    patchify = Qwen2VLImageProcessorPil.patchify

    def counted(self: Any, *args: Any, **settings: Any) -> Any:
        calls.append(1)
        return patchify(self, *args, **settings)

    monkeypatch.setattr(Qwen2VLImageProcessorPil, "patchify", counted)

    def trained(ours: bool) -> tuple[str, list[str], int]:
        calls.clear()
        policy, rows, texts = (
            models.load(vision_folder),
            dataset.grpo_dataset(make_tasks(4), domain, records_folder),
            [],
        )

        def reward(completions: list[Any], **columns: Any) -> list[float]:
            texts.extend(completion[0]["content"] for completion in completions)
            return [float(len(completion[0]["content"]) % 5) for completion in completions]

        config = GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=6,
            max_steps=4,
            learning_rate=1e-3,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            remove_unused_columns=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
        )
        store = patches.PatchStore(memory=10_000_000)
        shown = patches.caching(policy.processor, store) if ours else policy.processor
        kind = Shared if ours else GRPOTrainer
        kind(
            policy.model,
            reward,
            args=config,
            train_dataset=images.shared(rows) if ours else rows,
            processing_class=shown,
        ).train()
        return models.weights_digest(policy.model), texts, len(calls)

    ours, plain = trained(True), trained(False)
    assert ours[:2] == plain[:2]
    assert plain[2] == 4 * 4 * 4 * 2  # steps × rollouts × images of a prompt × passes
    assert ours[2] == 4  # the colours of the toy world
