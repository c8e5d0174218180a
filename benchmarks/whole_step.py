"""Time whole GRPO steps by phase, on TRL's path or ours: preprocess, generate, score, update, optimizer; and SFT steps.

Real image files, a real processor and the real trainers, random weights, no download. Every prompt and image is new, so
that no cache is warm, and every completion has the full length. Used by `grpo_step.py` on a CPU and `gpu.py` on a GPU.
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, Features, List, Value
from datasets import Image as ImageColumn
from PIL import Image
from transformers import (
    PrinterCallback,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from indirect_rlvr.training import images, models, patches
from indirect_rlvr.training.generation import SharedPrefill
from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer
from indirect_rlvr.training.tiny import (
    CHAT_TEMPLATE,
    END,
    IMAGE,
    MERGE,
    PAD,
    PATCH,
    VIDEO,
    VISION_END,
    VISION_START,
    ImageOnlyProcessor,
    build_tokenizer,
)  # fmt: skip

ROLES = 9
"""Tokens of a prompt beside its images and words: the marks of its turn and of the next."""
QUIET = 0.25
"""Weight of the last norm. With random weights the rounding of log-probabilities in bfloat16 grows with the width: at 1
it would be about what `canary` allows (0.02) for 7 billion parameters."""
PHASES = ("preprocess", "generate", "score", "update", "optimizer")


@dataclass(frozen=True)
class Work:
    """One step: `prompts` prompts of `images` square images (`patches` patches to a side) and `words` words, `group`
    rollouts each of `completion` tokens; `micro_batch` rollouts a forward pass; the vision tower frozen or trained."""

    prompts: int
    images: int
    patches: int
    words: int
    completion: int
    group: int
    micro_batch: int
    train_vision: bool = False


class Clock:
    """Seconds by phase of each step: wall time on a GPU, which is waited for, processor time on a CPU."""

    def __init__(self, on_gpu: bool) -> None:
        self.on_gpu = on_gpu
        self.steps: list[dict[str, float]] = []
        self._phases: dict[str, float] = {}
        self._began = self.now()

    def now(self) -> float:
        """Seconds since some moment."""
        if not self.on_gpu:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Add what happens inside to a phase."""
        began = self.now()
        yield
        self._phases[phase] = self._phases.get(phase, 0.0) + self.now() - began

    def start(self) -> None:
        """Begin the first step."""
        self._began = self.now()

    def mark(self) -> None:
        """The optimizer begins."""
        self._marked = self.now()

    def optimized(self) -> None:
        """The optimizer ended."""
        self._phases["optimizer"] = self.now() - self._marked

    def end_step(self) -> None:
        """Close a step and begin the next; what no phase claims is preprocessing, loading included."""
        ended, held = self.now(), self._phases
        step = {"whole": ended - self._began, "generate": held["generate"], "score": held["score"]}
        step["update"] = held["train"] - held["rollout"]
        step["optimizer"] = held["optimizer"]
        step["preprocess"] = step["whole"] - sum(step[phase] for phase in PHASES[1:])
        self.steps.append(step)
        self._began, self._phases = ended, {}


class Timed:
    """For a subclass of GRPOTrainer, before it: its phases go to `clock`."""

    clock: Clock
    prompt_tokens = 0

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        with self.clock.during("rollout"):
            return super()._generate_and_score_completions(inputs)  # type: ignore[misc]

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any) -> Any:
        self.prompt_tokens = len(prompt_ids[0])
        with self.clock.during("generate"):
            return super()._generate_single_turn(prompt_ids, *args)  # type: ignore[misc]

    def _calculate_rewards(self, *args: Any) -> Any:
        with self.clock.during("score"):
            return super()._calculate_rewards(*args)  # type: ignore[misc]

    def training_step(self, *args: Any, **named: Any) -> Any:
        with self.clock.during("train"):
            return super().training_step(*args, **named)  # type: ignore[misc]


class TrlPath(Timed, GRPOTrainer):
    """TRL as it is."""


class SharedPath(Timed, SharedPrefill, SharedPrefixTrainer):
    """Prompts and images once a group: packed log-probabilities, one prefill, cached patches."""


class _Steps(TrainerCallback):
    """Ends the steps of a clock, and the training when `until` (seconds of `time.monotonic`) is past."""

    def __init__(self, clock: Clock, until: float) -> None:
        self.clock, self.until = clock, until

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.clock.start()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.clock.mark()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.clock.optimized()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.clock.end_step()
        control.should_training_stop |= time.monotonic() > self.until and state.global_step > 1


def measure(
    config: Qwen2_5_VLConfig, work: Work, *, shared: bool, steps: int, dtype: torch.dtype, device: str, until: float
) -> dict[str, Any]:
    """Median seconds of each phase over `steps` steps after one that warms up, and what a step consists of.

    On a GPU also the peak of its memory, in bytes. Fewer steps where `until` (`time.monotonic`) passes, one at least.
    """
    policy = build_policy(config, dtype, device)
    if not work.train_vision:
        models.freeze_vision(policy.model)
    clock = Clock(device == "cuda")
    if clock.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(policy, work, shared, steps + 1, Path(folder), clock, until)
        trainer.train()
    counted = clock.steps[1:]
    found = {phase: statistics.median(step[phase] for step in counted) for phase in ("whole", *PHASES)}
    about = {"steps": len(counted), "prompt_tokens": trainer.prompt_tokens, "completion_tokens": work.completion}
    if clock.on_gpu:
        about["peak_bytes"] = torch.cuda.max_memory_allocated()
    return {"path": "shared" if shared else "trl", "seconds": {k: round(v, 4) for k, v in found.items()}, **about}


def measure_sft(config: Qwen2_5_VLConfig, work: Work, *, steps: int, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """Median seconds of a step of SFT on twice `micro_batch` prompts with `completion` tokens each, after a first one.

    On a GPU also the peak of its memory, in bytes.
    """
    policy = build_policy(config, dtype, device)
    if not work.train_vision:
        models.freeze_vision(policy.model)
    timed = _Seconds(device == "cuda")
    if timed.clock.on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        trainer = sft_trainer(policy, work, Path(folder), False, steps + 1)
        trainer.add_callback(timed)
        trainer.train()
    found = {"seconds": round(statistics.median(timed.seconds[1:]), 4), "completion_tokens": work.completion}
    return found | ({"peak_bytes": torch.cuda.max_memory_allocated()} if timed.clock.on_gpu else {})


def sft_trainer(policy: models.Policy, work: Work, folder: Path, checkpointing: bool, steps: int = 2) -> SFTTrainer:
    """SFT on twice `micro_batch` prompts a step, `completion` tokens each, so that gradients add up."""
    on_gpu = policy.model.device.type == "cuda"
    rows = build_rows(work, -(-2 * work.micro_batch * steps // work.prompts), folder)
    said = [{"role": "assistant", "content": [{"type": "text", "text": "word" * work.completion}]}]
    rows = rows.add_column("completion", [said] * len(rows), feature=rows.features["prompt"])
    args = SFTConfig(
        output_dir=str(folder), max_steps=steps, per_device_train_batch_size=work.micro_batch,
        gradient_accumulation_steps=2, max_length=None, completion_only_loss=True, use_cpu=not on_gpu,
        bf16=policy.model.dtype == torch.bfloat16, gradient_checkpointing=checkpointing, report_to="none",
        save_strategy="no", remove_unused_columns=False, disable_tqdm=True, learning_rate=1e-6, logging_steps=steps,
        optim="adamw_torch_fused" if on_gpu else "adamw_torch",
    )  # fmt: skip
    trainer = SFTTrainer(model=policy.model, args=args, train_dataset=rows, processing_class=policy.processor)
    trainer.remove_callback(PrinterCallback)
    return trainer


def grpo_trainer(policy: models.Policy, work: Work, folder: Path, checkpointing: bool, steps: int = 2) -> SharedPath:
    """GRPO on shared prompts, timed by a clock that nobody reads."""
    clock = Clock(policy.model.device.type == "cuda")
    trainer: SharedPath = _trainer(policy, work, True, steps, folder, clock, time.monotonic() + 3600, checkpointing)
    return trainer


class _Seconds(TrainerCallback):
    """Seconds of whole steps."""

    def __init__(self, on_gpu: bool) -> None:
        self.clock, self.seconds = Clock(on_gpu), list[float]()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._began = self.clock.now()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds.append(self.clock.now() - self._began)


def _trainer(
    policy: models.Policy,
    work: Work,
    shared: bool,
    steps: int,
    folder: Path,
    clock: Clock,
    until: float,
    checkpointing: bool = False,
) -> Any:
    processor: Any = policy.processor
    rows = build_rows(work, steps, folder)
    if shared:
        rows, processor = images.shared(rows), patches.caching(processor, patches.PatchStore())
    batch = work.prompts * work.group
    args = GRPOConfig(
        output_dir=str(folder), max_steps=steps, num_generations=work.group, max_completion_length=work.completion,
        per_device_train_batch_size=work.micro_batch, gradient_accumulation_steps=batch // work.micro_batch,
        use_cpu=not clock.on_gpu, bf16=policy.model.dtype == torch.bfloat16, gradient_checkpointing=checkpointing,
        report_to="none", save_strategy="no", remove_unused_columns=False, disable_tqdm=True, learning_rate=1e-6,
        shuffle_dataset=False, optim="adamw_torch_fused" if clock.on_gpu else "adamw_torch", logging_steps=steps + 1,
        generation_kwargs={"suppress_tokens": [*models.suppressed_token_ids(policy), *models.end_token_ids(policy)]},
    )  # fmt: skip
    kind = SharedPath if shared else TrlPath
    trainer = kind(
        model=policy.model, reward_funcs=[even], args=args, train_dataset=rows, processing_class=processor,
        callbacks=[_Steps(clock, until)],
    )  # fmt: skip
    trainer.clock = clock
    trainer.remove_callback(PrinterCallback)
    return trainer


def even(completion_ids: list[list[int]], **columns: Any) -> list[float | None]:
    """The share of even tokens."""
    return [sum(token % 2 == 0 for token in ids) / len(ids) for ids in completion_ids]


def build_policy(config: Qwen2_5_VLConfig, dtype: torch.dtype, device: str) -> models.Policy:
    """A random model of this configuration, with a byte-level tokenizer of a few words.

    The vocabulary stays that of the configuration; tokens the tokenizer does not have decode to nothing.
    """
    tokenizer = build_tokenizer(["word"])
    ids = tokenizer.get_vocab()
    config.image_token_id, config.video_token_id = ids[IMAGE], ids[VIDEO]
    config.vision_start_token_id, config.vision_end_token_id = ids[VISION_START], ids[VISION_END]
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=dtype)
    model.model.language_model.norm.weight.data.fill_(QUIET)
    for held in (model.config, model.config.text_config, model.generation_config):
        held.eos_token_id, held.pad_token_id, held.bos_token_id = ids[END], ids[PAD], None
    most = 4096 * (PATCH * MERGE) ** 2
    shown = Qwen2VLImageProcessorPil(patch_size=PATCH, merge_size=MERGE, min_pixels=PATCH**2, max_pixels=most)
    processor = ImageOnlyProcessor(shown, tokenizer, chat_template=CHAT_TEMPLATE)
    return models.Policy(model, processor, "", True)


def build_rows(work: Work, steps: int, folder: Path) -> Dataset:
    """A prompt of its own for each place in each step, with images of noise in files."""
    noise, side = np.random.default_rng(0), work.patches * PATCH
    content = [{"type": "image", "text": None}] * work.images + [{"type": "text", "text": "word" * work.words}]
    rows = []
    for prompt in range(work.prompts * steps):
        paths = [folder / f"{prompt}-{image}.png" for image in range(work.images)]
        for path in paths:
            Image.fromarray(noise.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(path, compress_level=1)
        rows.append({"prompt": [{"role": "user", "content": content}], "images": [str(path) for path in paths]})
    text = Value("string")
    features = Features(
        {"prompt": List({"role": text, "content": List({"type": text, "text": text})}), "images": List(ImageColumn())}
    )
    return Dataset.from_list(rows, features=features)
