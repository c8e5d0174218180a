"""What makes a training ill: one rule for each fault of `[health]`, read off the metrics of a step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from indirect_rlvr.config import Fault, Health

VITAL = ("loss", "grad_norm", "reward")
"""Metrics that must be finite at every step that has them."""
RATE = "lower the learning rate or raise the batch"

Line = Mapping[str, Any]
"""The metrics of one step by name; what is not finite is None."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault: its name in `[health]`, whether the metrics of a step show it (None: they do not tell), what that is
    in words, what to do about it, and whether one step is enough."""

    name: Fault
    shown: Callable[[Line, Health], bool | None]
    words: Callable[[Line, Health], str]
    remedy: str
    at_once: bool = False


def broken(line: Line) -> list[str]:
    """The vital metrics that are not finite."""
    return [key for key in VITAL if key in line and line[key] is None]


def _above(key: str, line: Line, limit: float) -> bool | None:
    """Whether a metric is over the limit; one that is not finite is over any."""
    return (line[key] is None or line[key] > limit) if key in line else None


def _no_contrast(line: Line, health: Health) -> bool | None:
    share, gradient = line.get("frac_reward_zero_std"), line.get("grad_norm")
    if gradient == 0.0 or (share is not None and share >= health.equal_rewards):
        return True
    return None if share is None and (gradient is None or CLIP in line) else False


def _certain(line: Line, health: Health) -> bool | None:
    told = "entropy" in line and "completions/mean_length" in line
    return (line["entropy"] is None or line["entropy"] <= health.entropy) if told else None


def _cut_off(line: Line, health: Health) -> bool | None:
    return (line[CLIPPED] is None or line[CLIPPED] >= health.clipped) if CLIPPED in line else None


KL, CLIPPED = "kl", "completions/clipped_ratio"
CLIP = "clip_ratio/region_mean"
"""What GRPO logs at each step, and SFT never."""
MISMATCH = "sampling/sampling_logp_difference/mean"
"""TRL's name for the difference of a sampled token's log-probability between sampler and trainer."""

RULES = (
    Rule(
        "not_finite",
        lambda line, health: bool(broken(line)),
        lambda line, health: f"`{broken(line)[0]}` is not finite",
        RATE,
        at_once=True,
    ),
    Rule(
        "equal_rewards",
        _no_contrast,
        lambda line, health: "no gradient: every group's rewards were equal, or every weight is frozen",
        "choose tasks or a reward on which the rollouts of a group differ (`grpo.curriculum`, docs/curriculum.md)",
    ),
    Rule(
        "entropy",
        _certain,
        lambda line, health: (
            f"entropy {line['entropy']} nats a token, at or below {health.entropy}: every rollout of a task is the same"
        ),
        f"{RATE}, or hold the policy with `grpo.trl.beta`",
    ),
    Rule(
        "clipped",
        _cut_off,
        lambda line, health: f"{line[CLIPPED] or 0:.0%} of the completions were cut off, {health.clipped:.0%} or more",
        "raise `grpo.max_completion_tokens`, or the weight of the `length` term",
    ),
    Rule(
        "kl",
        lambda line, health: _above(KL, line, health.kl),
        lambda line, health: f"KL {line[KL]} nats a token from the reference model, above {health.kl}",
        f"{RATE}, or raise `grpo.trl.beta`",
    ),
    Rule(
        "mismatch",
        lambda line, health: _above(MISMATCH, line, health.mismatch),
        lambda line, health: (
            f"sampler and trainer differ by {line[MISMATCH]} nats a token, above {health.mismatch}: "
            "the sampler has other weights, prompts or images"
        ),
        "set `grpo.trl.use_vllm` = false",
        at_once=True,
    ),
)


class Streaks:
    """Since when, and in how many steps that tell, each fault has been shown without a break.

    Of the steps over one generation (`grpo.trl.num_iterations`) only one tells of rewards and completions.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._lengths: dict[Fault, int] = {}
        self._began: dict[Fault, int] = {}
        self._last = 0

    def count(self, line: Line) -> list[Rule]:
        """Take in the metrics of the next step; returns the rules whose fault counts from this step on."""
        self._last = int(line["step"])
        counts = []
        for rule in RULES:
            shown = rule.shown(line, self._health)
            if shown:
                self._began.setdefault(rule.name, self._last)
                self._lengths[rule.name] = self._lengths.get(rule.name, 0) + 1
                if self._lengths[rule.name] == (1 if rule.at_once else self._health.steps):
                    counts.append(rule)
            elif shown is False:
                self._began.pop(rule.name, None)
                self._lengths.pop(rule.name, None)
        return counts

    def began(self, name: Fault) -> int:
        """The step at which a fault that is shown now began to show."""
        return self._began[name]

    def sound(self) -> int:
        """The last step before any fault that stops a training began to show; the last of all where none shows."""
        return min((self._began[name] - 1 for name in self._health.stop if name in self._began), default=self._last)
