"""Memory of one GPU by part, in the phases of a training: what is kept all the time, an update, a generation.

What a part consists of is said in `docs/estimates.md`; nothing here looks at a GPU.
"""

from dataclasses import dataclass, field

from indirect_rlvr.config import Recipe
from indirect_rlvr.estimate import activations
from indirect_rlvr.estimate.activations import Pass
from indirect_rlvr.estimate.cards import Card
from indirect_rlvr.estimate.parameters import Parameters
from indirect_rlvr.estimate.shape import Shape

OVERHEAD = 1.5e9
"""CUDA's context, communication buffers and the workspace of the matrix library, in bytes; ours, not measured yet."""
LIVE = 1_000_000_000
"""Parameters that DeepSpeed ZeRO-3 gathers at a time at most (its `stage3_max_live_parameters`)."""
BAND = (0.9, 1.3)
"""The true peak over the estimate: counted tensors are a lower bound but for the mask of the longest row, and the
allocator keeps freed blocks in pieces. On tiny models on a CPU `benchmarks/estimate.py` finds the peak inside."""


VLLM = "vLLM's share"
"""The part that is taken at the start, whatever is needed, so that no band belongs to it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one GPU by part, of what is kept throughout, while updating and while sampling (empty: no sampling)."""

    kept: dict[str, float]
    update: dict[str, float]
    sample: dict[str, float] = field(default_factory=dict)

    @property
    def peak(self) -> float:
        """The larger phase, with what is kept."""
        return self._peak(1.0)

    @property
    def band(self) -> tuple[float, float]:
        """Where the true peak should lie."""
        return self._peak(BAND[0]), self._peak(BAND[1])

    @property
    def tensors(self) -> float:
        """The peak without what lies outside PyTorch's allocator."""
        return self.peak - self.kept["overhead"]

    def _peak(self, factor: float) -> float:
        kept, update, sample = (
            sum(value * (1.0 if name == VLLM else factor) for name, value in parts.items())
            for parts in (self.kept, self.update, self.sample)
        )
        return kept + max(update, sample)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a model is kept: bytes of a number in arithmetic, in weights as they are loaded, and in weights that are
    trained; processes, strategy."""

    width: int
    stored: int
    trained: int
    processes: int
    strategy: str
    offload: bool

    @property
    def shards(self) -> int:
        """Among how many processes trained state is divided."""
        return 1 if self.strategy == "ddp" else self.processes


def spread(recipe: Recipe, processes: int) -> Spread:
    """How a recipe keeps its model on so many processes: alone there is nothing to shard, FSDP2 keeps weights in
    float32, and adapters are in float32 as PEFT makes them."""
    dtype, parallel = recipe.model.dtype, recipe.parallel
    strategy = parallel.strategy if processes > 1 else "ddp"
    stored = 2 if dtype == "bfloat16" and strategy != "fsdp2" else 4
    trained = 4 if recipe.model.lora.rank else stored
    return Spread(4 if dtype == "float32" else 2, stored, trained, processes, strategy, parallel.offload)


def kept(held: Parameters, how: Spread) -> dict[str, float]:
    """Weights, gradients and AdamW's two moments of one GPU, as each strategy keeps them.

    ddp: all in the precision of the weights, gradients twice where there are several processes (buckets). fsdp2:
    shards, all in float32. zero3: shards in bfloat16, with a float32 copy beside the moments.
    """
    frozen, trained, n = held.total + held.adapters - held.trained, held.trained, how.shards
    if how.offload and how.strategy != "ddp":
        return {"weights": 0.0, "gradients": 0.0, "optimizer": 0.0}
    own = {"ddp": how.trained, "fsdp2": 4, "zero3": how.width}[how.strategy]
    moments = {"ddp": 2 * how.trained, "fsdp2": 8, "zero3": 8 if how.width == 4 else 12}[how.strategy]
    buckets = 2 if how.strategy == "ddp" and how.processes > 1 else 1
    return {
        "weights": (how.stored * frozen + own * trained) / n,
        "gradients": buckets * own * trained / n,
        "optimizer": moments * trained / n,
    }


def gathered(shape: Shape, held: Parameters, how: Spread, *, reference: bool) -> float:
    """Weights that are whole, or cast, on a GPU for a moment: two layers and the embeddings of fsdp2, or, larger, its
    reference model, which TRL shards as one unit; what ZeRO-3 allows."""
    if how.strategy == "ddp":  # autocast keeps the weights that it has cast until the pass ends
        return 0.0 if how.stored == how.width else float(how.width * held.total)
    if how.strategy == "zero3":
        return float(how.width * min(LIVE, held.total))
    units = held.embeddings + held.head + 2 * held.language / shape.text.layers
    return float(how.width * (held.total if reference else units))


def sft(recipe: Recipe, shape: Shape, held: Parameters, one: Pass, processes: int) -> Memory:
    """Memory of supervised fine-tuning, whose largest micro-batch is `one`."""
    how = spread(recipe, processes)
    update = _update(recipe, recipe.sft.trl, shape, held, one, how)
    update["images"] = float(activations.of_pixels(shape, one.rows * one.patches))
    update["gathered weights"] = gathered(shape, held, how, reference=False)
    return Memory(kept(held, how) | {"overhead": OVERHEAD}, update)


def grpo(recipe: Recipe, shape: Shape, held: Parameters, one: Pass, processes: int, card: Card) -> Memory:
    """Memory of reinforcement, whose largest micro-batch is `one`."""
    how, options = spread(recipe, processes), recipe.grpo.trl
    reference = bool(options.get("beta", 0.0)) and not held.adapters
    always = kept(held, how) | {"overhead": OVERHEAD}
    if reference:
        always["reference model"] = how.stored * held.total / how.shards
    always["images"] = float(activations.of_pixels(shape, rollouts(recipe, processes) * one.patches))
    update = _update(recipe, options, shape, held, one, how)
    update["gathered weights"] = gathered(shape, held, how, reference=reference)
    name = VLLM if options.get("use_vllm") else "sampling"
    sample = {name: sampler(recipe, shape, held, one, processes, card)}
    if options.get("use_vllm") and not options.get("vllm_enable_sleep_mode"):
        always |= sample
        return Memory(always, update)
    return Memory(always, update, sample)


def sampler(recipe: Recipe, shape: Shape, held: Parameters, one: Pass, processes: int, card: Card) -> float:
    """vLLM's share of the card; or, with transformers, the whole weights where they are sharded and the cache of all
    rollouts of a process."""
    options, how = recipe.grpo.trl, spread(recipe, processes)
    if options.get("use_vllm"):
        return float(options.get("vllm_gpu_memory_utilization", 0.3)) * card.memory
    rows = rollouts(recipe, processes)
    cache = activations.of_cache(shape, rows * (one.prompt + one.completion), how.width)
    whole = how.width * held.total if how.strategy != "ddp" else 0
    return float(cache + whole + rows * shape.text.vocabulary * (4 + how.width))


def rollouts(recipe: Recipe, processes: int) -> int:
    """Of one process in a step; their images lie on the GPU together, once for each rollout."""
    return -(-recipe.grpo.prompts_per_step * recipe.grpo.group_size // processes)


def vllm_room(recipe: Recipe, shape: Shape, held: Parameters, card: Card) -> float:
    """Tokens whose keys and values fit into vLLM's share beside its weights; below 0 not even those fit."""
    options = recipe.grpo.trl
    parts = int(options.get("vllm_tensor_parallel_size", 1))
    share = parts * float(options.get("vllm_gpu_memory_utilization", 0.3)) * card.memory
    return (share - 2 * held.total) / activations.of_cache(shape, 1, 2)


def host(recipe: Recipe, held: Parameters, processes: int) -> float:
    """Bytes of the host's memory while every process of one machine holds the model that it loads, and with a reference
    model a second one."""
    how = spread(recipe, processes)
    state = 16 * held.trained if how.offload else 0
    return float(how.stored * held.total * processes * (2 if _reference(recipe) else 1) + state)


def saved(recipe: Recipe, held: Parameters, processes: int) -> float:
    """Bytes of a finished model on disk: the whole one, or its adapters."""
    how = spread(recipe, processes)
    return float(4 * held.adapters or how.stored * held.total)


def checkpoint(recipe: Recipe, held: Parameters, processes: int) -> float:
    """Bytes of one checkpoint on disk: weights, and AdamW's moments in the precision they are kept in."""
    how = spread(recipe, processes)
    moments = {"ddp": 2 * how.trained, "fsdp2": 8, "zero3": 12}[how.strategy]
    return saved(recipe, held, processes) + moments * held.trained


def _reference(recipe: Recipe) -> bool:
    return bool(recipe.grpo.trl.get("beta", 0.0)) and not recipe.model.lora.rank and recipe.grpo.steps > 0


def _update(
    recipe: Recipe, options: dict[str, object], shape: Shape, held: Parameters, one: Pass, how: Spread
) -> dict[str, float]:
    """What a micro-batch keeps; and the larger of what comes one after the other: the head, each layer again."""
    checkpointing = bool(options.get("gradient_checkpointing"))
    rank, width = recipe.model.lora.rank, how.width
    found, again = activations.of_text(shape, one, width, checkpointing=checkpointing, rank=rank)
    if not recipe.model.freeze_vision:
        seen = activations.of_vision(shape, one.copies * one.patches, width, checkpointing=checkpointing)
        found, again = found + seen[0], max(again, seen[1])
    head = activations.of_head(shape, one.rows * one.completion, width, trained=not rank)
    return {"activations": float(found), "head or one layer again": float(max(head, again))}
