"""Sharing prompts is refused where it is not exact, watched by a canary, and otherwise changes nothing but the cost."""

import inspect
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from prefix_cases import CONFIGS, LOSSES, TEXT, Shape, build_model, build_trainer, random_batch, step, use
from transformers import AutoConfig
from trl import GRPOTrainer

from indirect_rlvr.config import Grpo, Model
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import ConfigError, RunError
from indirect_rlvr.rewards import composite
from indirect_rlvr.training import canary, grpo, models, packable
from indirect_rlvr.types import Completion, Outcome, ProxyTask, Term

MakeTasks = Callable[..., list[ProxyTask]]


def test_what_is_overridden_still_has_the_signature_it_was_written_for() -> None:
    """A new TRL must be read before it is trusted: change this list only together with `shared_prefix`."""
    signature = inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies)
    assert list(signature.parameters) == [
        "self", "model", "input_ids", "attention_mask", "logits_to_keep", "batch_size", "compute_entropy",
        "compute_aux_loss", "pixel_values", "image_grid_thw", "num_images", "pixel_attention_mask", "spatial_shapes",
        "num_tiles", "image_sizes", "token_type_ids", "mm_token_type_ids", "image_position_ids",
    ]  # fmt: skip
    assert list(inspect.signature(GRPOTrainer._prepare_inputs).parameters) == ["self", "generation_batch"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (AutoConfig.for_model("gpt2", n_embd=16, n_head=2, n_layer=1, vocab_size=330), "`gpt2` is not among"),
        (
            AutoConfig.for_model("qwen2", **TEXT, use_sliding_window=True, sliding_window=8, max_window_layers=1),
            "its layers use sliding_attention, not full attention alone",
        ),
        (
            AutoConfig.for_model(
                "llama", **TEXT, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
            ),
            r"rotary positions \(dynamic\) depend on the length",
        ),
        (AutoConfig.for_model("llama", **TEXT, attention_dropout=0.1), r"attention dropout \(0.1\) draws another mask"),
    ],
)
def test_a_model_that_cannot_be_packed_exactly_is_refused_with_the_reason(
    config: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"cannot be shared exactly: .*{message}.*shared_prefix_fallback = true"):
        build_trainer(build_model(config, torch.float32), tmp_path)


def test_attention_that_knows_no_packed_rows_is_refused(tmp_path: Path) -> None:
    model = build_model(CONFIGS["qwen2"](), torch.float32, attn_implementation="eager")
    with pytest.raises(ConfigError, match="attention `eager` does not know packed rows; load the model with `sdpa`"):
        build_trainer(model, tmp_path)


@pytest.mark.parametrize(("family", "reason"), [("qwen2", None), ("gpt2", "`gpt2` is not among")])
def test_a_reference_model_is_looked_at_inside_what_spreads_it(family: str, reason: str | None, tmp_path: Path) -> None:
    """DeepSpeed's engine has a `config` of its own kind; a wrapper of PyTorch's, which has none, stands for it."""
    trainer = build_trainer(build_model(CONFIGS["qwen2"](), torch.float32), tmp_path)
    config = AutoConfig.for_model("gpt2", n_embd=16, n_head=2, n_layer=1, vocab_size=330)
    reference = build_model(CONFIGS["qwen2"]() if family == "qwen2" else config, torch.float32)
    trainer.ref_model = torch.nn.DataParallel(reference)
    found = packable.refusal(trainer)
    assert found is None if reason is None else found is not None and reason in found


def test_a_refused_model_may_fall_back_to_trl_which_log_and_report_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = AutoConfig.for_model("llama", **TEXT, attention_dropout=0.1)
    with caplog.at_level(logging.WARNING, "indirect_rlvr"):
        trainer = build_trainer(build_model(config, torch.float32), tmp_path, fallback=True)
    assert "prompts are not shared, TRL's own path is taken: attention dropout" in caplog.text
    report = trainer.prefix_report()
    assert (report["used"], report["canary"]) == (False, None)
    assert "attention dropout" in report["refused"]


def _mixes_the_whole_row(module: Any, given: Any, output: torch.Tensor) -> torch.Tensor:
    return output + output.mean(dim=1, keepdim=True)


def test_the_canary_stops_a_model_whose_tokens_see_more_than_attention_shows_them(tmp_path: Path) -> None:
    trainer = build_trainer(build_model(CONFIGS["qwen2"](), torch.float32), tmp_path)
    trainer.model.model.layers[0].mlp.register_forward_hook(_mixes_the_whole_row)
    use(trainer, LOSSES["grpo"], 1)
    batch = random_batch(trainer.model.config, Shape(images=(0, 0)), torch.float32)
    with pytest.raises(RunError, match="log-probabilities of the first batch differ by .* torch.float32 allows 0.0001"):
        step(trainer, batch, packed=True)


@pytest.mark.parametrize(
    ("packed", "stops"),
    [([-1.0, -2.0], False), ([-1.0, -2.002], True), ([-1.00015, -2.00015], True), ([-1.0, float("nan")], True)],
)
def test_the_canary_stops_at_its_stated_tolerance(packed: list[float], stops: bool) -> None:
    ordinary = torch.tensor([-1.0, -2.0])
    if stops:
        with pytest.raises(RunError, match="shared_prefix = false"):
            canary.compare(torch.tensor(packed), ordinary, torch.float32)
    else:
        assert canary.compare(torch.tensor(packed), ordinary, torch.float32) == canary.Difference(0.0, 0.0)


def test_the_canary_runs_once_on_the_first_real_batch(tmp_path: Path) -> None:
    trainer = build_trainer(build_model(CONFIGS["qwen2_5_vl"](), torch.float32), tmp_path)
    use(trainer, LOSSES["grpo"], 1)
    batch = random_batch(trainer.model.config, Shape(), torch.float32)
    assert trainer.prefix_report() == {"used": True, "refused": None, "canary": None}
    step(trainer, batch, packed=True)
    first = trainer._canary
    assert first is not None and 0 <= first.largest < 1e-4
    step(trainer, batch, packed=True)
    assert trainer._canary is first


def _even(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(sum(token % 2 == 0 for token in completion.token_ids) / 12)


def _train(
    start: Path, out: Path, domain: Domain, tasks: list[ProxyTask], records: Path, shared: bool, **trl: Any
) -> dict[str, Any]:
    settings = Grpo(
        steps=10, prompts_per_step=2, group_size=4, max_completion_tokens=12, shared_prefix=shared,
        trl={"lr_scheduler_type": "constant", **trl},
    )  # fmt: skip
    reward = composite.Composite((Term("even", 0.0, 1.0, _even),), (1.0,))
    return grpo.train(start, tasks, domain, records, reward, settings, Model(freeze_vision=False), out, 0)


ADAM = {"learning_rate": 1e-3}
SGD = {"learning_rate": 0.1, "optim": "sgd"}


@pytest.mark.parametrize(
    "trl", [ADAM, SGD, SGD | {"per_device_train_batch_size": 2, "num_iterations": 2, "beta": 0.05}]
)
def test_ten_steps_of_training_give_the_weights_that_trl_gives(
    trl: dict[str, Any],
    vision_folder: Path,
    domain: Domain,
    make_tasks: MakeTasks,
    records_folder: Path,
    tmp_path: Path,
) -> None:
    """Adam makes steps of full size from the rounding noise of weights without a gradient (key biases of the vision
    tower), so under Adam all weights are compared as one vector; under plain descent each tensor is."""
    tasks = make_tasks(8)
    ours = _train(vision_folder, tmp_path / "ours", domain, tasks, records_folder, True, **trl)
    theirs = _train(vision_folder, tmp_path / "theirs", domain, tasks, records_folder, False, **trl)
    assert ours["shared_prefix"]["used"] and ours["shared_prefix"]["canary"]["max"] < 1e-4
    assert not theirs["shared_prefix"]["used"] and theirs["shared_prefix"]["canary"] is None
    start, a, b = (_tensors(f) for f in (vision_folder, tmp_path / "ours", tmp_path / "theirs"))
    assert _distance(a, b) <= 1e-4 < 10 * _distance(start, b)
    if trl is not ADAM:
        assert max(_distance([x], [y]) for x, y in zip(a, b, strict=True)) <= 1e-4


def _tensors(folder: Path) -> list[torch.Tensor]:
    return list(models.load(folder).model.state_dict().values())


def _distance(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    apart = sum((a - b).double().square().sum().item() for a, b in zip(ours, theirs, strict=True))
    return math.sqrt(apart / sum(b.double().square().sum().item() for b in theirs))
