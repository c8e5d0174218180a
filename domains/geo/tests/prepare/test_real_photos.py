"""Real street photos and aerial GeoTIFFs, from a table of pairs to prompts, and their image tokens counted everywhere.

The photos are from anywhere and the tiles from one place, so positions and pairing are made up here: only the files are
real. Three tiles are the published ones; the others are cut out of them, all four bands.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer, SFTConfig
from trl.data_utils import prepare_multimodal_messages
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.config import Tiny
from indirect_rlvr.data import proxy
from indirect_rlvr.data import records as store
from indirect_rlvr.domain import Domain, load_domain
from indirect_rlvr.evaluation.backends.pictures import fit, shown
from indirect_rlvr.training import generation, images, models, patches, rollouts
from indirect_rlvr.training.dataset import grpo_dataset, messages, sft_dataset
from indirect_rlvr.training.sft import ResumableTrainer
from indirect_rlvr.training.tiny import ImageOnlyProcessor, build_tiny
from indirect_rlvr.training.vllm_guards import collapsed
from indirect_rlvr.types import ProxyTask

DATA = Path(__file__).parents[5] / "shared" / "data"
PHOTOS, TILES = DATA / "global_streetscapes_sample" / "images", DATA / "naip_sample"
pytestmark = pytest.mark.skipif(not (PHOTOS.is_dir() and TILES.is_dir()), reason=f"no real images in `{DATA}`")
CAP = 128 * 28 * 28
"""Pixels of a prepared image at most: 128 visual tokens of Qwen2.5-VL."""
K = 3
TINY = Tiny(hidden=32, layers=1, heads=4, vision_hidden=24, vision_depth=1)


def said(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def cut(tile: Path, number: int, target: Path) -> None:
    """A window of 224 pixels, the infrared as its fourth band, as it is in the whole tile."""
    with Image.open(tile) as whole:
        left, top = (number % 4) * 224, (number // 4 % 3) * 224
        assert whole.mode == "RGBA"
        whole.crop((left, top, left + 224, top + 224)).save(target)


@dataclass(frozen=True)
class Prepared:
    """The published pairs, what was made of them, a run as far as its tasks, and these."""

    root: Path
    out: Path
    run: Path
    tasks: list[ProxyTask]
    domain: Domain

    @property
    def views(self) -> Path:
        return self.run / "records"


def make(folder: Path, pairs: int, cap: int) -> Prepared:
    """So many pairs, about 150 m apart, three fifths of them to train on; capped at so many pixels, or not at all."""
    root, photos, tiles = folder / "in", sorted(PHOTOS.iterdir())[:pairs], sorted(TILES.glob("*.tif"))
    train = 3 * pairs // 5
    (root / "overhead").mkdir(parents=True)
    (root / "ground").symlink_to(PHOTOS)
    with (root / "pairs.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["id", "ground", "overhead", "lat", "lon", "split", "city"])
        for number, photo in enumerate(photos):
            target = root / "overhead" / (tiles[number].name if number < 3 else f"cut-{number}.tif")
            target.write_bytes(tiles[number].read_bytes()) if number < 3 else cut(
                tiles[number % 3], number // 3, target
            )
            latitude = 47.1 + number // 5 * 0.0014 + (1.0 if number >= train else 0.0)
            side = ("train", "test")[number >= train]
            row = [photo.stem, f"ground/{photo.name}", f"overhead/{target.name}", latitude, -99 + number % 5 * 0.002]
            table.writerow([*row, side, side])
    out, run = folder / "out", folder / "run"
    prepare = ["data", "prepare", "geo", "--source", "table", "--root", root, "--out", out, "--set", "table=pairs.csv"]
    text = said(*prepare, "--set", f"max_pixels={cap}")
    held = pairs - train
    assert f"{pairs} records of {pairs} pairs: {train} to train on, {held} held out; dropped: none" in text
    own = [f"records.prepared={out}", f"tasks.k={K}", "tasks.queries_per_set=3", "tasks.train=12", "tasks.test=8"]
    said("run", "--domain", "geo", "--out", run, "--until", "tasks", *(w for each in own for w in ("--set", each)))
    return Prepared(root, out, run, proxy.read(run / "tasks.jsonl"), load_domain("geo", {"prepared": str(out)}))


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return make(tmp_path_factory.mktemp("capped"), 25, CAP)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return make(tmp_path_factory.mktemp("whole"), 7, 0)


@pytest.fixture(scope="module")
def unlabelled(capped: Prepared) -> Prepared:
    """The same pairs and tasks, all images of a prompt before its text."""
    return replace(
        capped, domain=load_domain("geo", {"prepared": str(capped.out), "photos": {"layout": "images-first"}})
    )


def qwen25(folder: Path) -> Path:
    model, processor = build_tiny(TINY, ["Which"], seed=0)
    return _saved(model, processor, folder, patch=14)


def qwen3(folder: Path) -> Path:
    """The same words and sizes in the other family: patches of 16 pixels."""
    other, processor = build_tiny(TINY, ["Which"], seed=0)
    text = other.config.get_text_config().to_dict() | {"model_type": "qwen3_vl_text", "head_dim": 8}
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 1e4}
    vision = {
        "depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    ids = {name: getattr(other.config, name) for name in models.PLACEHOLDERS}
    torch.manual_seed(0)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(text_config=text, vision_config=vision, **ids)).float()
    return _saved(model, processor, folder, patch=16)


def _saved(model: Any, processor: ImageOnlyProcessor, folder: Path, patch: int) -> Path:
    processor.image_processor = Qwen2VLImageProcessorPil(
        patch_size=patch, merge_size=2, min_pixels=(2 * patch) ** 2, max_pixels=1024 * 1024
    )
    models.save(models.Policy(model, processor, str(folder), True), folder)
    return folder


@pytest.fixture(scope="module", params=[(qwen25, 28), (qwen3, 32)], ids=["qwen2_5_vl", "qwen3_vl"])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[models.Policy, int]:
    """A tiny policy of a family, and the pixels to the side of its visual token."""
    build, side = request.param
    return models.load(build(tmp_path_factory.mktemp("model"))), side


def by_arithmetic(made: Prepared, tasks: list[ProxyTask], side: int) -> list[list[int]]:
    """Tokens of each image of each prompt by the published rule of sizes alone, without any processor."""
    found = []
    for task in tasks:
        sizes = [fit(*image.size, 1024 * 1024, side) for image in shown(made.domain.render(task), made.views, None)]
        found.append([width * height // side**2 for width, height in sizes])
    return found


def runs_of_images(ids: list[int], image: int) -> list[int]:
    """The lengths of the runs of image tokens of a prompt."""
    flags = [token == image for token in ids]
    lengths = generation.runs(flags)
    starts = np.cumsum([0, *lengths[:-1]])
    return [length for start, length in zip(starts, lengths, strict=True) if flags[start]]


def in_sft(policy: models.Policy, made: Prepared, tasks: list[ProxyTask], out: Path) -> dict[str, torch.Tensor]:
    """What the collator of the SFT trainer gives the model."""
    traces = [{"task_id": task.id, "completion": "<think>x</think><answer>A</answer>"} for task in tasks]
    rows = sft_dataset(traces, tasks, made.domain, made.views)
    args = SFTConfig(output_dir=str(out), max_length=None, completion_only_loss=True, use_cpu=True, report_to="none",
                     bf16=False)  # fmt: skip
    trainer = ResumableTrainer(policy.model, args=args, train_dataset=rows, processing_class=policy.processor)
    batch: dict[str, torch.Tensor] = trainer.data_collator([rows[n] for n in range(len(rows))])
    return batch


class Shared(generation.SharedPrefill, GRPOTrainer):
    """TRL's trainer with the prefill shared."""


def in_grpo(policy: models.Policy, made: Prepared, tasks: list[ProxyTask], out: Path) -> tuple[list[list[int]], Any]:
    """Token ids of prompts and the processor's other outputs, as GRPO samples from them with either engine."""
    rows = images.shared(grpo_dataset(tasks, made.domain, made.views))
    args = GRPOConfig(output_dir=str(out), use_cpu=True, report_to="none", bf16=False, num_generations=2)
    processor = patches.caching(policy.processor, patches.PatchStore())
    trainer = Shared(policy.model, lambda **_: [], args=args, train_dataset=rows, processing_class=processor)
    prompts = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in rows]
    ids, _, fields = trainer._tokenize_prompts([prompt for prompt in prompts for _ in range(2)])
    return ids[::2], fields


def test_a_cap_makes_copies_of_what_is_larger_and_links_the_rest(capped: Prepared, whole: Prepared) -> None:
    kinds = {}
    for made in (capped, whole):
        paths = sorted((made.views / "views").iterdir())
        kinds[made.out] = {path.suffix for path in paths}
        sizes = [store.open_image(path.parent, path.name).size for path in paths]
        assert (max(width * height for width, height in sizes) <= CAP) is (made is capped)
    assert kinds == {capped.out: {".jpg", ".png", ".tif"}, whole.out: {".jpeg", ".tif"}}


def test_infrared_is_left_out_and_the_colours_are_those_of_the_tile(whole: Prepared) -> None:
    tile = sorted(TILES.glob("*.tif"))[0]
    by_overhead = {str(r.facts["overhead"]): r for r in whole.domain.load_records(whole.run / "records", 0)}
    record = by_overhead[f"overhead/{tile.name}"]
    shown_as = images.KnownImage(str(whole.views / record.views["overhead"].content))
    with Image.open(tile) as raw:
        assert np.array_equal(np.asarray(shown_as), np.asarray(raw)[..., :3])


def test_every_task_renders_with_its_images(capped: Prepared) -> None:
    assert {task.split for task in capped.tasks} == {"train", "test"}
    assert len(capped.tasks) >= 12
    for task in capped.tasks:
        parts = shown(capped.domain.render(task), capped.views, None)
        assert [image.mode for image in parts] == ["RGB"] * (K + 1)
        assert parts[0].width > parts[0].height
    audit = json.loads((capped.run / "audit.json").read_text())
    assert audit["overridden"] == []


@pytest.mark.parametrize("which", ["capped", "unlabelled", "whole"])
def test_image_tokens_of_a_prompt_are_as_many_in_every_place(
    which: str, family: tuple[models.Policy, int], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made: Prepared = request.getfixturevalue(which)
    policy, side = family
    token = policy.model.config.image_token_id
    tasks = [task for task in made.tasks if task.split == "train"][: 2 if which == "whole" else 6]
    want = by_arithmetic(made, tasks, side)
    assert len({count for row in want for count in row}) > 1
    assert which == "whole" or max(count for row in want for count in row) <= CAP // side**2 + 4
    sft = in_sft(policy, made, tasks, tmp_path)
    assert [runs_of_images(ids, token) for ids in sft["input_ids"].tolist()] == want
    grpo_ids, fields = in_grpo(policy, made, tasks, tmp_path)
    assert [runs_of_images(ids, token) for ids in grpo_ids] == want
    for_vllm = [collapsed(ids, token, len(counts)) for ids, counts in zip(grpo_ids, want, strict=True)]
    assert [ids.count(token) for ids in for_vllm] == [K + 1] * len(tasks)
    assert [len(ids) - K - 1 + sum(counts) for ids, counts in zip(for_vllm, want, strict=True)] == list(
        map(len, grpo_ids)
    )
    flat = [count for row in want for count in row]
    for grids in (sft["image_grid_thw"], torch.as_tensor(fields["image_grid_thw"])):
        assert (grids.prod(dim=1) // 4).tolist() == flat
    assert torch.equal(sft["pixel_values"], torch.as_tensor(fields["pixel_values"]))
    assert list(rows_of_tower(policy, sft)) == flat
    assert in_evaluation(policy, made, tasks, side) == want


def rows_of_tower(policy: models.Policy, batch: dict[str, torch.Tensor]) -> Iterator[int]:
    """How many rows the vision tower puts in the place of each image's tokens."""
    model: Any = policy.model
    with torch.inference_mode():
        found = model.model.get_image_features(batch["pixel_values"], batch["image_grid_thw"])
    yield from (len(each) for each in found.pooler_output)


def in_evaluation(policy: models.Policy, made: Prepared, tasks: list[ProxyTask], side: int) -> list[list[int]]:
    """Tokens by the sizes at which `generate` says that it showed the images."""
    prompts = [made.domain.render(task) for task in tasks]
    turns = [(messages(prompt), shown(prompt, made.views, None)) for prompt in prompts]
    frames = {n: seen for n, _, seen in rollouts.stream(policy, turns, max_new_tokens=1, batch=2)}
    return [[width * height // side**2 for width, height in frames[n]] for n in range(len(tasks))]


def test_the_sampler_that_shares_prompts_takes_them_and_a_wrong_count_is_refused(
    family: tuple[models.Policy, int], capped: Prepared, tmp_path: Path
) -> None:
    policy, _ = family
    ids, fields = in_grpo(policy, capped, [t for t in capped.tasks if t.split == "train"][:2], tmp_path)
    inputs = generation.model_inputs(ids, fields, policy.tokenizer.pad_token_id)
    config = rollouts._generation_config(policy, 2, 0.0)
    assert generation.sample_groups(policy.model, inputs, [2, 2], config).shape == (4, max(map(len, ids)) + 2)
    token = policy.model.config.image_token_id
    short = [[t for n, t in enumerate(row) if t != token or row[n - 1] == token] for row in ids]
    with pytest.raises(ValueError, match="features and image tokens do not match"):
        policy.model(**generation.model_inputs(short, fields | {"mm_token_type_ids": [
            [int(t == token) for t in row] for row in short]}, policy.tokenizer.pad_token_id))  # fmt: skip


def test_the_two_families_are_what_they_are_called(family: tuple[models.Policy, int]) -> None:
    policy, side = family
    kind = {28: Qwen2_5_VLForConditionalGeneration, 32: Qwen3VLForConditionalGeneration}[side]
    assert type(policy.model) is kind
