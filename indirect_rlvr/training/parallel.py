"""How several processes share a training: `[parallel]` of the recipe as options of transformers' TrainingArguments.

Alone there is nothing to share, whatever the recipe says.
"""

import importlib.util
import logging
import os
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch.distributed.fsdp import FSDPModule
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from indirect_rlvr import processes
from indirect_rlvr.config import Model, Parallel
from indirect_rlvr.errors import ConfigError

ALONE = Parallel()
"""A whole copy of the model for each process."""


def arguments(settings: Parallel, model: Model) -> dict[str, Any]:
    """Options of TrainingArguments for this strategy. Raises ConfigError where DeepSpeed is wanted and not installed.

    Checkpoints hold whole weights, so that each is a model folder.
    """
    require_installed(settings)
    if processes.count() == 1:
        return {}
    if not torch.cuda.is_available():  # accelerate would number processors, for which torch cannot load a checkpoint
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    if settings.strategy == "ddp":
        return {}
    if settings.strategy == "zero3":
        # accelerate starts DeepSpeed nowhere but on what may be an accelerator
        return {"deepspeed": zero3(settings.offload, model.arithmetic == "bfloat16"), "use_cpu": False}
    sharding = {
        "version": 2,
        "auto_wrap_policy": "TRANSFORMER_BASED_WRAP",  # the layers that the model itself names in `_no_split_modules`
        "reshard_after_forward": True,
        "state_dict_type": "FULL_STATE_DICT",
        "cpu_offload": settings.offload,
    }
    logging.getLogger("transformers.training_args").addFilter(_is_no_advice)
    return {"fsdp": True, "fsdp_config": sharding}


def _is_no_advice(record: logging.LogRecord) -> bool:
    """Whether a line is not the advice to checkpoint through `fsdp_config`, which is ours and nobody else's to set."""
    return "prefer `activation_checkpointing` in `fsdp_config`" not in record.getMessage()


def require_installed(settings: Parallel) -> None:
    """Raise ConfigError where the strategy needs DeepSpeed and there is none."""
    if settings.strategy == "zero3" and importlib.util.find_spec("deepspeed") is None:
        raise ConfigError(
            '`parallel.strategy` is "zero3" and DeepSpeed is not installed; install `indirect-rlvr[deepspeed]`, or set '
            'it to "fsdp2", which PyTorch brings along'
        )


def require_here(settings: Parallel) -> None:
    """Raise ConfigError where this machine cannot share a training as asked: no DeepSpeed, or no GPU for it."""
    require_installed(settings)
    if processes.count() == 1 or settings.strategy == "ddp" or torch.cuda.is_available():
        return
    if settings.strategy == "zero3":
        raise ConfigError(
            '`parallel.strategy` is "zero3", which DeepSpeed trains on GPUs, and none is here; set it to "fsdp2", '
            "which shards on processors too"
        )
    if settings.offload:
        raise ConfigError(
            "`parallel.offload` takes from a GPU what it does not need at the moment, and none is here; leave it out"
        )


def zero3(offload: bool, in_bfloat16: bool) -> dict[str, Any]:
    """DeepSpeed's configuration of ZeRO stage 3; "auto" is filled in from the other options by transformers."""
    place = {"device": "cpu" if offload else "none"}
    return {
        "bf16": {"enabled": in_bfloat16},
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": True,
            "contiguous_gradients": True,
            "offload_optimizer": dict(place),
            "offload_param": dict(place),
            "reduce_bucket_size": "auto",
            "stage3_prefetch_bucket_size": "auto",
            "stage3_param_persistence_threshold": "auto",
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
    }


class HeadTogether(TrainerCallback):
    """Has FSDP2 put the language head together before each forward pass.

    TRL reads the head's weight and never calls the head, so that FSDP2 does not learn of it where accelerate has made
    the head a unit of its own, as it does for vision models: gradients of it would stay those of one process alone.
    """

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **kwargs: object,
    ) -> None:
        head = model.get_output_embeddings() if isinstance(model, FSDPModule) else None
        if model is not None and isinstance(head, FSDPModule):
            model.register_forward_pre_hook(lambda *_: head.unshard())


def weights_dtype(settings: Parallel, model: Model) -> str:
    """The precision in which weights are kept while they are trained: that of `model.dtype`, but float32 with FSDP2,
    whose arithmetic then has the precision of `model.dtype` (DeepSpeed keeps float32 weights in its optimizer)."""
    return "float32" if settings.strategy == "fsdp2" and processes.count() > 1 else model.dtype


def done() -> None:
    """Have transformers load the next model whole again: it would put every one into DeepSpeed's parts from now on."""
    unset_hf_deepspeed_config()


def shard_on_cpu(config: TrainingArguments) -> None:
    """Have accelerate shard on processors too, which it leaves out without a word: each process would train a whole
    copy. Nothing where a GPU is used or nothing is to be sharded; before the trainer is made."""
    if not config.use_cpu or config.fsdp_plugin_args is None:
        return
    plugin = FullyShardedDataParallelPlugin(**config.fsdp_plugin_args)
    if config.mixed_precision != "no":
        plugin.set_mixed_precision(config.mixed_precision)
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    Accelerator(cpu=True, mixed_precision=config.mixed_precision, fsdp_plugin=plugin).state.fsdp_plugin = plugin
