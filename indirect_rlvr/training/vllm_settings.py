"""What a recipe asks of vLLM, refused where it cannot work, and what an engine is told that TRL does not tell it."""

import functools
import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import datasets
import torch
from trl import GRPOConfig
from trl.generation import vllm_generation

from indirect_rlvr.config import Grpo, Health
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.run import keyed_rng
from indirect_rlvr.training.models import Policy
from indirect_rlvr.training.prompt_lengths import longest

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
"""Models whose processor writes one run of one token for each image, so that it can be taken back."""
MODES = ("colocate", "server")
SERVER = ("vllm_server_base_url", "vllm_server_host", "vllm_server_port", "vllm_server_timeout", "vllm_group_port")
COLOCATE = (
    "vllm_gpu_memory_utilization",
    "vllm_max_model_length",
    "vllm_tensor_parallel_size",
    "vllm_enable_sleep_mode",
    "vllm_model_impl",
)
DECIDED = {
    "seed": "would give all rollouts of a group the same tokens; set `seed` of the recipe, from which each has its own",
    "n": "is TRL's to choose; set `grpo.group_size`",
    "logprobs": "is TRL's to choose: it compares the sampled token's with the trainer's",
}
"""Keys of `generation_kwargs` that must not be set, and why."""


def require_usable(grpo: Grpo, health: Health) -> None:
    """Look at what `[grpo.trl]` says of vLLM before any stage runs, on whatever machine.

    Raises ConfigError for a key that has no effect or cannot work.
    """
    table = grpo.trl
    given = [key for key in table if key.startswith("vllm_")]
    if not table.get("use_vllm"):
        if given and "use_vllm" not in table:  # false turns off what a recipe turns on, whose other keys stay
            raise ConfigError(f"`grpo.trl.{given[0]}` has no effect without `use_vllm = true`: set it, or leave it out")
        return
    mode = table.get("vllm_mode", "colocate")
    if mode not in MODES:
        raise ConfigError(f'`grpo.trl.vllm_mode` is {mode!r}; expected "colocate" or "server"')
    for key in SERVER if mode == "colocate" else COLOCATE:
        if key in table:
            raise ConfigError(f'`grpo.trl.{key}` has no effect with vllm_mode = "{mode}"; leave it out')
    for key, why in DECIDED.items():
        if key in (table.get("generation_kwargs") or {}):
            raise ConfigError(f"`grpo.trl.generation_kwargs.{key}` {why}")
    _require_room(table, grpo.max_completion_tokens)
    if "mismatch" in health.stop and not table.get("vllm_importance_sampling_correction", True):
        raise ConfigError(
            "without `grpo.trl.vllm_importance_sampling_correction` TRL does not measure how far sampler and trainer "
            "are apart, which `health.stop` names as `mismatch`; leave out the one or the other"
        )


def require_here(grpo: Grpo) -> None:
    """Raise ConfigError where this machine cannot sample as asked: no vLLM, or no GPU to send weights from."""
    if not grpo.trl.get("use_vllm"):
        return
    if grpo.trl.get("vllm_mode") == "server" and not torch.cuda.is_available():
        raise ConfigError(
            '`grpo.trl.vllm_mode` is "server": TRL sends it the weights by NCCL, from a GPU, and there is none here; '
            "leave out `use_vllm` to sample with transformers"
        )
    if importlib.util.find_spec("vllm") is None:
        raise ConfigError(
            "`grpo.trl.use_vllm` is set and vLLM is not installed; install `indirect-rlvr[vllm]` (it needs a GPU), or "
            "leave it out to sample with transformers"
        )


def _require_room(table: Mapping[str, Any], completion: int) -> None:
    share, length = table.get("vllm_gpu_memory_utilization", 0.3), table.get("vllm_max_model_length")
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise ConfigError(
            f"`grpo.trl.vllm_gpu_memory_utilization` is {share!r}; expected a share of the GPU between 0 and 1: "
            "training needs the rest (0.3 where it is not set)"
        )
    if length is not None and (not isinstance(length, int) or length <= completion):
        raise ConfigError(
            f"`grpo.trl.vllm_max_model_length` is {length!r} and `grpo.max_completion_tokens` {completion}: that "
            "leaves no token for a prompt; leave it out, and it follows from the data"
        )


def fit(config: GRPOConfig, rows: datasets.Dataset, policy: Policy) -> dict[str, Any]:
    """What a colocated engine must be told beside what TRL tells it: the recipe's precision, a seed that follows from
    the run's, the most images of a prompt.

    Where the recipe does not say how long its context is, it will hold the longest prompt and completion and no more.
    TRL gives no precision, and vLLM then turns float32 into 16 bits, on a GPU too; and it gives the number of the
    process as seed, with which vLLM seeds this whole process. Raises ConfigError where prompt and completion do not
    fit into the recipe's length or the model's, and for a model whose image tokens cannot be sent to vLLM once.
    """
    family = policy.model.config.model_type
    if policy.is_vision and family not in FAMILIES:
        raise ConfigError(
            f"image tokens of the family `{family}` cannot be sent to vLLM once (trl #6294); known: "
            f"{', '.join(FAMILIES)}; set grpo.trl.use_vllm = false"
        )
    found = longest(rows, policy)
    needed = found.tokens + int(config.max_completion_length or 0)
    most = policy.model.config.get_text_config().max_position_embeddings
    given = config.vllm_max_model_length if config.vllm_mode == "colocate" else None
    for name, limit in (("grpo.trl.vllm_max_model_length", given), ("max_position_embeddings", most)):
        if limit is not None and limit < needed:
            raise ConfigError(
                f"`{name}` is {limit} tokens; the longest prompt (task `{found.task_id}`) has {found.tokens} and a "
                f"completion up to {config.max_completion_length}: {needed} are needed. Show fewer or smaller images, "
                "or lower grpo.max_completion_tokens"
            )
    if config.vllm_mode == "server":
        return {}
    config.vllm_max_model_length = given or needed
    group = config.process_index // config.vllm_tensor_parallel_size
    told: dict[str, Any] = {"dtype": "bfloat16" if config.bf16 else "float32"}
    told["seed"] = keyed_rng(int(config.seed), "vllm", "engine", group).randrange(1 << 31)
    return told | ({"limit_mm_per_prompt": {"image": found.images, "video": 0}} if policy.is_vision else {})


@contextmanager
def told(arguments: Mapping[str, Any]) -> Iterator[None]:
    """Inside, an engine that TRL makes is also told `arguments`, for which TRL 1.16 has no setting."""
    if not arguments:
        yield
        return
    theirs = vllm_generation.LLM
    vllm_generation.LLM = functools.partial(theirs, **arguments)
    try:
        yield
    finally:
        vllm_generation.LLM = theirs
