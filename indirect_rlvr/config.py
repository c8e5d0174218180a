"""One TOML run file, the recipe, into one frozen tree; unknown keys and wrong types are errors that list the known.

Sections stand in pipeline order. Options of TRL pass through untouched in `[sft.trl]` and `[grpo.trl]`.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from indirect_rlvr.errors import ConfigError
from indirect_rlvr.reporting.markup import visible
from indirect_rlvr.validation import require_plain, validate


class Section(BaseModel):
    """A table of the recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Tasks(Section):
    """Candidate sets and proxy tasks."""

    k: int = Field(5, ge=2, le=26)
    """Candidates per task; chance is 1/k."""
    train: int = Field(2000, ge=1)
    """Training tasks at most."""
    test: int = Field(600, ge=1)
    """Held-out tasks at most."""
    queries_per_set: int = Field(2, ge=1)
    """How many members of one candidate set serve as its query, each in a task of its own."""
    sampler: Literal["symmetric", "blocks", "ring"] = "symmetric"
    """How sets are formed: without an anchor; the same in blocks of like nuisance; or around an anchor, which leaks."""
    short: Literal["widen", "drop"] = "widen"
    """A record without k − 1 neighbours in the smallest cell tries the next larger ones, or is dropped and counted."""
    mined: str = ""
    """A folder that `rlvr data mine` has filled: its sets are asked, and none are formed. Mined with the run's K,
    sampler, cells and r_min; each is looked at again."""
    audit_alpha: float = Field(0.001, gt=0, lt=1)
    """A probe that beats 1/k at this significance refuses the data set."""
    accepted_probes: tuple[str, ...] = ()
    """Probes whose win is reported and does not refuse the data set, by their names in audit.json."""


class Teacher(Section):
    """A model that writes traces; only read where `scaffold.writer` names who runs it."""

    model: str = ""
    """A folder, a hub id, or the name that the server of `url` knows."""
    url: str = "http://localhost:8000/v1"
    """The server of "openai-url", up to /v1."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key; its value is never written anywhere."""
    concurrency: int = Field(8, ge=1, le=1024)
    """Requests at a time, or prompts of a batch."""
    max_tokens: int = Field(1024, ge=1)
    """Tokens of a trace at most."""
    temperature: float = Field(0.7, ge=0)
    """0 is greedy."""
    attempts: int = Field(2, ge=1)
    """How often a task is asked whose trace was dropped, each time with another seed; once where the temperature is
    0."""
    max_pixels: int = Field(0, ge=0)
    """A larger image is made smaller before the teacher sees it; 0 shows each as it is."""
    timeout_s: float = Field(300.0, gt=0)
    """Seconds for one whole answer of a server."""
    retries: int = Field(5, ge=0)
    """How often a server is asked again that failed in a way that may pass; then the run stops, to be gone on with."""
    request: dict[str, Any] = {}
    """Merged into the body of each request to a server; an empty text takes a key out, as `{ seed = "" }`."""
    shows_answer: bool = False
    """Tell the teacher the right answer; then SFT sees it too, and it is no longer an indirect reward alone."""
    price_in: float = Field(0.0, ge=0)
    """Price of a million prompt tokens, in any currency."""
    price_out: float = Field(0.0, ge=0)
    """Price of a million completion tokens, in the same currency."""
    budget: float = Field(0.0, ge=0)
    """At most so much is spent, in the same currency; 0 is no limit."""


class Scaffold(Section):
    """The SFT set."""

    count: int = Field(1000, ge=0)
    """Training tasks that get a trace; 0 leaves SFT out."""
    writer: Literal["rules", "transformers", "vllm", "openai-url"] = "rules"
    """Who writes: the domain's own rules, or a teacher, and who runs it."""
    similarity: float = Field(1.0, gt=0, le=1)
    """A trace whose words overlap with an earlier one's by this share or more is dropped; 1 keeps all."""
    teacher: Teacher = Teacher()


class Tiny(Section):
    """The architecture of the tiny model that `rlvr prime` makes; only read where `model.path` is "primed"."""

    hidden: int = Field(128, ge=16)
    """Width of the language model."""
    layers: int = Field(4, ge=1)
    """Layers of the language model."""
    heads: int = Field(4, ge=1)
    """Attention heads; there are half as many key-value heads."""
    vision_hidden: int = Field(96, ge=24)
    """Width of the vision tower, 24 to a head; it stays unused in a domain of text alone."""
    vision_depth: int = Field(3, ge=1)
    """Layers of the vision tower."""


class Prime(Section):
    """Priming of the tiny model on the domain's generic skills."""

    seed: int = Field(0, ge=0)
    """Everything random in priming; apart from the run's seed, as a pretrained checkpoint is."""
    steps: int = Field(1900, ge=1)
    """Optimizer steps."""
    batch: int = Field(32, ge=1)
    """Examples per step."""
    learning_rate: float = Field(3e-3, gt=0)
    """Peak rate, after a linear warm-up and before a linear decay."""


class Lora(Section):
    """Low-rank adapters in the place of full-parameter training (Hu et al. 2021); needs the extra `lora`."""

    rank: int = Field(0, ge=0)
    """Rank of the adapters; 0 trains the weights themselves."""
    alpha: int = Field(32, ge=1)
    """The adapters' output is scaled by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the adapters' inputs left out at random."""


class Model(Section):
    """The policy before any training."""

    path: str = "primed"
    """A folder, a hub id, or "primed": the tiny model that stands in for a pretrained one."""
    dtype: Literal["float32", "bfloat16", "mixed"] = "float32"
    """Precision of weights and arithmetic; "mixed" keeps weights in float32 and computes in bfloat16. A whole model
    trained in bfloat16 by "ddp" stands still at small rates: its steps are rounded away."""
    freeze_vision: bool = True
    """Keep the vision tower as it is in SFT and GRPO."""
    lora: Lora = Lora()
    tiny: Tiny = Tiny()
    prime: Prime = Prime()

    @property
    def arithmetic(self) -> Literal["float32", "bfloat16"]:
        """The precision that answers are computed in."""
        return "float32" if self.dtype == "float32" else "bfloat16"


class Sft(Section):
    """Supervised fine-tuning on scaffolds."""

    steps: int = Field(100, ge=1)
    """Optimizer steps."""
    batch: int = Field(16, ge=1)
    """Traces per optimizer step, over all processes."""
    save_steps: int = Field(10, ge=1)
    """A checkpoint after so many steps, from which an interrupted training goes on."""
    keep_checkpoints: int = Field(2, ge=1)
    """How many of the last checkpoints stay until the training ends."""
    trl: dict[str, Any] = {}
    """Any option of trl.SFTConfig, passed through."""


class Reward(Section):
    """The composite r = Σ λ·r over named terms."""

    accuracy: Literal["zero-one", "plus-minus", "plus-0.8"] = "zero-one"
    """Values of right and wrong: {0, 1} (released code), {-1, +1} (ICML text), {-0.8, +1} (ICLR text)."""
    weights: dict[str, float] = {"accuracy": 1.0, "format": 0.5, "length": 0.1, "repetition": 0.1}
    """λ of each term that counts; the published values are not known, these are ours."""
    gates: dict[str, str] = {}
    """A term, and the term that must reach its high first: { accuracy = "format" } pays no answer out of format."""
    length_limit: int = Field(1024, ge=1)
    """Tokens at which the length term reaches its lower end and stays there."""
    overlong_limit: int = Field(1024, ge=1)
    """Tokens at which the overlong term reaches -1; best `grpo.max_completion_tokens`."""
    overlong_buffer: int = Field(256, ge=1)
    """Tokens before that limit over which the overlong term falls from 0; at most the limit."""
    repetition_ngram: int = Field(6, ge=1)
    """Size of the n-grams, in tokens, whose repetition is punished."""


class Curriculum(Section):
    """Which training tasks GRPO sees, in which order, and what takes the place of those that teach nothing."""

    measure: Literal["cell", "spread", "similarity", "pass_rate"] = "cell"
    """The measure of difficulty that `order` and `band` go by; `docs/curriculum.md` says what each one means."""
    order: Literal["none", "easy-first", "hard-first"] = "none"
    """How a pass over the tasks is ordered; "none" shuffles it."""
    band: tuple[float, float] | None = None
    """[low, high]: only tasks whose measure lies there, ends included, are trained on."""
    answers: str = ""
    """A file of rollouts or predictions on the training tasks, from which `pass_rate` is measured."""
    refill: int = Field(0, ge=0)
    """At most so many groups of a step are thrown away because their rewards are equal, and another task sampled in
    the place of each; 0 leaves it off."""
    tolerance: float = Field(0.0, ge=0, allow_inf_nan=False)
    """Rewards of a group that differ by no more than this count as equal."""

    @field_validator("band")
    @classmethod
    def _ascending(cls, band: tuple[float, float] | None) -> tuple[float, float] | None:
        if band is not None and not band[0] <= band[1]:
            raise ValueError(f"expected low <= high, got {band[0]:g} and {band[1]:g}")
        return band


class Grpo(Section):
    """Group relative policy optimisation on the proxy task."""

    steps: int = Field(60, ge=0)
    """Optimizer steps; 0 leaves GRPO out, and the run ends with the model of SFT."""
    prompts_per_step: int = Field(16, ge=1)
    """Tasks per optimizer step, over all processes."""
    group_size: int = Field(8, ge=2)
    """G: rollouts per task."""
    max_completion_tokens: int = Field(256, ge=8)
    """A rollout is cut here."""
    reward_errors_allowed: int = Field(0, ge=0)
    """Broken outcomes of reward terms, each counted and logged at the term's lowest value, before the run stops."""
    save_steps: int = Field(10, ge=1)
    """A checkpoint after so many steps, a multiple of `grpo.trl.num_iterations`: within the iterations over one
    generation a training cannot be resumed exactly, because TRL keeps no rollouts in a checkpoint."""
    keep_checkpoints: int = Field(2, ge=1)
    """How many of the last checkpoints stay until the training ends."""
    shared_prefix: bool = True
    """Compute each prompt and its images once per group; the same numbers up to rounding. false: TRL as it is."""
    shared_prefix_fallback: bool = False
    """Where a model cannot share prompts exactly, take TRL's path, said in log and manifest, and do not refuse it."""
    rollouts_every: int = Field(1, ge=1)
    """The rollouts of every so many generations go on record, the first ones among them; 1 keeps all."""
    from_base: bool = True
    """Also train the Zero row: GRPO from the base model without SFT."""
    curriculum: Curriculum = Curriculum()
    trl: dict[str, Any] = {}
    """Any option of trl.GRPOConfig, passed through."""

    @property
    def cycle(self) -> int:
        """Optimizer steps that one generation serves."""
        return int(self.trl.get("num_iterations", 1))

    @model_validator(mode="after")
    def _whole_cycles(self) -> "Grpo":
        iterations = self.trl.get("num_iterations", 1)
        if not isinstance(iterations, int) or iterations < 1:
            raise ValueError(f"trl.num_iterations is {iterations!r}; expected a whole number from 1 on")
        if self.save_steps % iterations:
            near = max(1, round(self.save_steps / iterations)) * iterations
            raise ValueError(
                f"save_steps is {self.save_steps}; expected a multiple of trl.num_iterations ({iterations}), for "
                f"example {near}, because a training can be resumed exactly only between generations"
            )
        return self


Fault = Literal["not_finite", "equal_rewards", "entropy", "clipped", "kl", "mismatch"]


class Health(Section):
    """When a training is ill, and what follows. A change here leaves finished stages and checkpoints as they are."""

    stop: tuple[Fault, ...] = ("not_finite", "kl", "mismatch")
    """The faults that end a training; the others are warned of, each time they begin."""
    steps: int = Field(10, ge=1)
    """A fault counts after so many steps in a row; `not_finite` and `mismatch` count at once."""
    equal_rewards: float = Field(1.0, gt=0, le=1)
    """`equal_rewards`: at least this share of a step's groups have equal rewards, or there is no gradient at all."""
    entropy: float = Field(0.001, ge=0)
    """`entropy`: the policy's mean entropy is at or below this, in nats a token."""
    clipped: float = Field(0.5, gt=0, le=1)
    """`clipped`: at least this share of the completions is cut off at `grpo.max_completion_tokens`."""
    kl: float = Field(2.0, gt=0)
    """`kl`: the mean divergence from the reference model is above this, in nats a token; needs `grpo.trl.beta`."""
    mismatch: float = Field(0.02, gt=0)
    """`mismatch`: the mean difference of a sampled token's log-probability between sampler and trainer is above this,
    in nats, where two engines compute it. Between vLLM and transformers in bfloat16 0.002 to 0.006 was measured; with
    image tokens expanded twice 0.11 to 0.16, with image embeddings of the weights before 0.09 to 0.10."""


class Evaluation(Section):
    """The rows, their controls and the target tasks."""

    tasks: int = Field(600, ge=1)
    """Held-out proxy tasks asked of each row."""
    control_tasks: int = Field(600, ge=1)
    """Held-out proxy tasks asked of each row in each control."""
    targets: int = Field(300, ge=0)
    """Examples of each target task."""
    batch: int = Field(100, ge=1)
    """Prompts generated together."""


class Parallel(Section):
    """How several processes share a training; one process alone needs none of it."""

    strategy: Literal["ddp", "fsdp2", "zero3"] = "ddp"
    """A whole copy for each process; everything sharded by PyTorch; or by DeepSpeed (the extra `deepspeed`)."""
    offload: bool = False
    """Keep what is sharded in the memory of the host while it is not needed."""
    processes: int = Field(0, ge=0)
    """Processes, one to a GPU, that batches and memory were chosen for: another number is refused; 0 takes any."""
    gpu: Literal["any", "a100", "h100", "h200"] = "any"
    """The GPU that memory was chosen for; where none is here, estimates are made for it."""


class Recipe(Section):
    """A whole run."""

    domain: str
    """Name of the domain pack."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Everything random in a run follows from this and the recipe."""
    threads: int = Field(1, ge=1, le=1024)
    """Processor threads; results are the same bytes only for the same number."""
    records: dict[str, Any] = {}
    """The domain's own settings."""
    tasks: Tasks = Tasks()
    scaffold: Scaffold = Scaffold()
    model: Model = Model()
    parallel: Parallel = Parallel()
    sft: Sft = Sft()
    reward: Reward = Reward()
    grpo: Grpo = Grpo()
    health: Health = Health()
    evaluation: Evaluation = Evaluation()


def load_recipe(path: Path, overrides: list[str]) -> Recipe:
    """Read a recipe and apply dotted overrides such as `grpo.steps=50`, whose values are TOML (a bare word is text).

    Raises ConfigError that names the place and lists the known keys.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read recipe `{path}`: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, too many digits, too deep
        raise ConfigError(f"recipe `{path}` is not TOML: {error}") from error
    for override in overrides:
        _override(tree, override)
    require_plain(tree, f"recipe `{path}`")
    return validate(Recipe, tree, f"recipe `{path}`", overrides)


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(
            f"override `{visible(override, 200)}` is not of the form section.key=value, for example grpo.steps=50"
        )
    *sections, last = key.strip().split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"override `{visible(override, 200)}`: `{section}` is a value, not a section")
    try:
        read = tomllib.loads(f"value = {value}")
        tree[last] = read["value"] if len(read) == 1 else value
    except (ValueError, RecursionError):
        tree[last] = value
