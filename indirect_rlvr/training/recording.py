"""TRL's GRPO trainer with two additions: every rollout goes on record, and groups that teach nothing are sampled anew.

Which groups those are and which tasks take their place is decided in `curriculum.py`; the loss is TRL's.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import torch
from datasets import Dataset
from trl.data_utils import prepare_multimodal_messages
from trl.trainer.utils import RepeatSampler

from indirect_rlvr import processes
from indirect_rlvr.config import Grpo
from indirect_rlvr.training.checkpoints import FromCheckpoint
from indirect_rlvr.training.curriculum import Refill
from indirect_rlvr.training.generation import SharedPrefill
from indirect_rlvr.training.shared_prefix import SharedPrefixTrainer


@dataclass(frozen=True, slots=True)
class Sampled:
    """One rollout before its advantage is known: TRL's completion, its token ids and their log-probabilities where the
    sampler gives them, and the value of each reward term, NaN where it does not apply."""

    completion: list[dict[str, str]]
    ids: list[int]
    logprobs: list[float] | None
    terms: list[float]


class PassSampler(RepeatSampler):
    """TRL's order of the tasks, which is also right for a training that goes on in a later pass over them.

    TRL's own generator would begin there with the order of the first pass. Trainer and accelerate call `set_epoch`
    before each pass.
    """

    def set_epoch(self, number: int) -> None:
        """Be where a training is that has made `number` passes."""
        if self.shuffle and self.seed is not None:
            self.generator.manual_seed(self.seed)
            for _ in range(number):
                torch.randperm(self.num_samples, generator=self.generator)


class RecordingTrainer(FromCheckpoint, SharedPrefill, SharedPrefixTrainer):
    """TRL's trainer, which writes every rollout down with what it earned and, if told so, samples other tasks in the
    place of those whose rewards are equal. Of several processes the first writes those of all, in order of rank, which
    is the order of the tasks.

    A step is sampled and scored here first; TRL then gets the groups that stay, and their completions when it asks for
    samples. So losses, advantages and metrics are TRL's own, of the groups that stay; nothing else differs.
    """

    recorded = 0
    refilled = 0
    _refill: Refill | None = None
    _kept: list[Sampled] | None = None

    def record_to(self, stream: TextIO | None, every: int, cycle: int) -> None:
        """Where rollouts go, one JSON object a line, those of every `every`-th generation, a generation serving `cycle`
        steps; `advantage` is null for one that was thrown away. None for a process that does not write."""
        self._rollout_stream, self._every, self._cycle = stream, every, cycle
        self._lines: list[str] = []

    def refill_from(self, tasks: Dataset, walked: Dataset, settings: Grpo) -> None:
        """Take replacements from `tasks`, at most `settings.curriculum.refill` of them a generation; 0 leaves it be.

        `walked` are the tasks a pass goes through anyway, which are the last to be taken.
        """
        limit, tolerance = settings.curriculum.refill, settings.curriculum.tolerance
        if limit:
            self._group_size = settings.group_size
            self._spare_tasks = tasks
            self._spare_place = {name: place for place, name in enumerate(tasks["task_id"])}
            self._refill = Refill(list(self._spare_place), walked["task_id"], limit, tolerance)

    def progress(self) -> dict[str, Any]:
        """What a checkpoint must remember beside Trainer's own state, for `go_on_from`."""
        had = self._refill.had() if self._refill else []
        return {"recorded": self.recorded, "refilled": self.refilled, "had": had}

    def go_on_from(self, progress: Mapping[str, Any]) -> None:
        """Take up what `progress` gave; nothing at the beginning of a training."""
        self.recorded, self.refilled = progress.get("recorded", 0), progress.get("refilled", 0)
        if self._refill and "had" in progress:
            self._refill.go_on_from(progress["had"])

    def _get_train_sampler(self, dataset: Dataset | None = None) -> PassSampler:
        theirs: Any = super()._get_train_sampler(dataset)
        names = ("data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed")
        return PassSampler(**{name: getattr(theirs, name) for name in names})

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        """The rewards, (rollouts, terms); kept beside ids and texts until the advantages are known."""
        rewards: torch.Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        first = processes.rank() * len(inputs)  # those of all processes, in order of rank
        self._scored = (completions, completion_ids_list, rewards[first : first + len(inputs)])
        return rewards

    def _generate_single_turn(self, *arguments: Any, **named: Any) -> tuple[list[list[int]], list[list[float]] | None]:
        if self._kept is None:
            return super()._generate_single_turn(*arguments, **named)
        kept, self._kept = self._kept, None
        logprobs = [sample.logprobs for sample in kept if sample.logprobs is not None]
        return [sample.ids for sample in kept], logprobs or None

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self._refill is not None:
            inputs = self._refilled(inputs, self._refill)
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        completions, ids, rewards = self._scored
        for i, row in enumerate(inputs):
            sample = Sampled(completions[i], ids[i], None, rewards[i].tolist())
            self._record(row, sample, _number(output["advantages"][i].item()))
        self._write_down()
        return output

    def _write_down(self) -> None:
        """Put this generation's rollouts of all processes on record."""
        lines, self._lines = self._lines, []
        if self.state.global_step // self._cycle % self._every == 0:
            for line in (line for own in processes.gathered(lines) for line in own):
                if self._rollout_stream is not None:
                    self._rollout_stream.write(line)
        if self._rollout_stream is not None:
            self._rollout_stream.flush()

    def _refilled(self, inputs: list[dict[str, Any]], refill: Refill) -> list[dict[str, Any]]:
        """The rows of a step, those of equal groups replaced as far as the limit goes; what was sampled for them is
        kept for when TRL asks."""
        size, rows = self._group_size, list(inputs)
        samples = self._sample(rows)
        first = equal = self._equal(samples, refill)
        left = refill.limit
        while equal and (chosen := refill.replacements([row["task_id"] for row in rows[::size]], equal, left)):
            places = [place for group in chosen for place in range(group * size, (group + 1) * size)]
            for place in places:
                self._record(rows[place], samples[place], None)
            for group, name in chosen.items():
                rows[group * size : (group + 1) * size] = [self._spare_tasks[self._spare_place[name]]] * size
            for place, sample in zip(places, self._sample([rows[place] for place in places]), strict=True):
                samples[place] = sample
            left -= len(chosen)
            equal = self._equal(samples, refill)
        replaced = refill.limit - left
        self.refilled += replaced
        counts = {"equal_first": len(first), "refilled": replaced, "equal_left": len(equal)}
        for name, count in counts.items():
            self._metrics["train"][f"curriculum/{name}"].append(float(count))
        self._kept = samples
        return rows

    def _sample(self, rows: list[dict[str, Any]]) -> list[Sampled]:
        """One completion for each row, scored, by TRL's own steps; its metrics of them are left to the final call."""
        prompts = [
            prepare_multimodal_messages(row["prompt"], images=row["images"]) if "images" in row else row["prompt"]
            for row in rows
        ]
        prompt_ids, images, fields = self._tokenize_prompts(prompts)
        ids, logprobs = self._generate_single_turn(prompt_ids, images, fields, self._group_size)
        processor: Any = self.processing_class
        texts = processor.batch_decode(ids, skip_special_tokens=True)
        completions = [[{"role": "assistant", "content": text}] for text in texts]
        terms = self._calculate_rewards(rows, prompts, completions, ids).tolist()
        self._pending_metrics.clear()
        self._pending_extra_logs.clear()
        return [
            Sampled(completion, ids[at], logprobs[at] if logprobs else None, terms[at])
            for at, completion in enumerate(completions)
        ]

    def _equal(self, samples: list[Sampled], refill: Refill) -> list[int]:
        """The groups whose rewards are equal."""
        totals = [self._total(sample.terms) for sample in samples]
        size = self._group_size
        return [at for at in range(len(totals) // size) if refill.equal(totals[at * size : (at + 1) * size])]

    def _total(self, terms: list[float]) -> float:
        """Σ weight·value over the terms that apply, NaN where none does."""
        pairs = zip(self.reward_weights.tolist(), terms, strict=True)
        applicable = [weight * value for weight, value in pairs if not math.isnan(value)]
        return math.fsum(applicable) if applicable else math.nan

    def _record(self, row: dict[str, Any], sample: Sampled, advantage: float | None) -> None:
        self.recorded += processes.count()  # each process has as many
        if self.state.global_step // self._cycle % self._every:
            return
        line = {
            "step": self.state.global_step + 1,
            "task_id": row["task_id"],
            "text": sample.completion[0]["content"],
            "token_ids": sample.ids,
            "tokens": len(sample.ids),
            "finished": sample.ids[-1] in self.eos_token_ids,
            "terms": dict(zip(self.reward_func_names, map(_number, sample.terms), strict=True)),
            "reward": _number(self._total(sample.terms)),
            "advantage": advantage,
        }
        self._lines.append(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def _number(value: float) -> float | None:
    """float32 for JSON; None where a term did not apply."""
    return round(value, 7) if math.isfinite(value) else None
