"""Hours of a training, as a band: the least that arithmetic and memory traffic take, over the share of a GPU's peak
that such work reaches. Nothing else is counted: no preprocessing, no saving, no start of an engine."""

from dataclasses import dataclass

from indirect_rlvr.config import Recipe
from indirect_rlvr.estimate import work
from indirect_rlvr.estimate.cards import Card
from indirect_rlvr.estimate.prompts import Prompts
from indirect_rlvr.estimate.shape import Shape
from indirect_rlvr.estimate.work import Load

UPDATE = (0.08, 0.35)
"""Share of peak arithmetic in an update: EasyR1 publishes 8 to 26 % for Qwen2.5-VL on H100s, prime-rl 14 to 37 % for
text."""
VLLM, TRANSFORMERS = (0.15, 0.7), (0.02, 0.25)
"""Share of the larger floor in sampling; ours, to be replaced by the first measured run."""
LENGTH = (0.2, 1.0)
"""Length of completions over their limit: Geo-R1's fell from 0.55 to 0.18 of it in training, and an untrained model may
fill it."""
RULES, SHARE = 256, 0.55
"""Tokens of a trace by rules; and, of one by a teacher, the share of the teacher's limit."""
Band = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a band of hours belongs to."""

    recipe: Recipe
    shape: Shape
    prompts: Prompts
    processes: int
    card: Card

    def load(self, prompts: float, group: int, completion: float) -> Load:
        """The tokens of a step of so many prompts."""
        of = self.prompts
        return Load(prompts, of.tokens, completion, group, of.patches, of.images)

    def hours(self, flops: float) -> float:
        """Hours of so many operations on all GPUs at their peak."""
        return flops / self.card.flops / self.processes / 3600


def trace_tokens(recipe: Recipe) -> int:
    """Tokens of a trace at most, as far as the recipe says."""
    return RULES if recipe.scaffold.writer == "rules" else recipe.scaffold.teacher.max_tokens


def sft(of: Setting) -> Band:
    """All steps of supervised fine-tuning."""
    recipe, options = of.recipe, of.recipe.sft.trl
    flops = [
        work.update_flops(
            of.shape,
            of.load(recipe.sft.batch * recipe.sft.steps, 1, share * trace_tokens(recipe)),
            shared=False,
            train_vision=not recipe.model.freeze_vision,
            checkpointing=bool(options.get("gradient_checkpointing")),
        )
        for share in (SHARE, 1.0)
    ]
    return of.hours(flops[0]) / UPDATE[1], of.hours(flops[1]) / UPDATE[0]


def grpo(of: Setting) -> Band:
    """All steps of one training by reinforcement, its sampling included."""
    use = VLLM if of.recipe.grpo.trl.get("use_vllm") else TRANSFORMERS
    bands = []
    for share, updating, sampling in ((LENGTH[0], UPDATE[1], use[1]), (LENGTH[1], UPDATE[0], use[0])):
        grpo = of.recipe.grpo
        load = of.load(grpo.prompts_per_step, grpo.group_size, share * grpo.max_completion_tokens)
        step = of.hours(_update(of, load)) / updating + _sampled(of, load) / sampling
        bands.append(step * grpo.steps)
    return bands[0], bands[1]


def evaluation(of: Setting, completions: int, batch: int) -> Band:
    """So many completions of proxy tasks with transformers, `batch` prompts at a time on each process."""
    bands = []
    for share, sampling in ((LENGTH[0], TRANSFORMERS[1]), (LENGTH[1], TRANSFORMERS[0])):
        load = of.load(batch * of.processes, 1, share * of.recipe.grpo.max_completion_tokens)
        bands.append(_sampled(of, load) / sampling * completions / (batch * of.processes))
    return bands[0], bands[1]


def _update(of: Setting, load: Load) -> float:
    recipe, options = of.recipe, of.recipe.grpo.trl
    return work.update_flops(
        of.shape,
        load,
        shared=recipe.grpo.shared_prefix,
        train_vision=not recipe.model.freeze_vision,
        checkpointing=bool(options.get("gradient_checkpointing")),
        reference=bool(options.get("beta", 0.0)),
    )


def _sampled(of: Setting, load: Load) -> float:
    """Hours of sampling at the larger floor; every process samples its own share of the prompts."""
    flops = work.generation_flops(of.shape, load, shared=True)
    width = 2 if of.recipe.model.dtype == "bfloat16" else 4
    own = of.load(load.prompts / of.processes, load.group, load.completion)
    moved = work.generation_bytes(of.shape, own, shared=True, width=width)
    return max(of.hours(flops), moved / of.card.traffic / 3600)
