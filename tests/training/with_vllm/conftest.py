"""The real vLLM: one engine for all tests, and what its CPU build needs that a GPU build does not.

`make test-vllm` makes the environment; without vLLM every test here is skipped. Nothing of this is in the package.
"""

import functools
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from texts import text_model

from indirect_rlvr.config import Tiny
from indirect_rlvr.training import models
from indirect_rlvr.training.tiny import build_tiny, save_tiny

HERE = Path(__file__).parent
LEXICON = ["<think>", "</think>", "<answer>", "</answer>", *"ABC", *(f" {c}" for c in ("red", "green", "blue", "grey"))]
MANY = [f" word{i}" for i in range(1000)]
"""Enough words that to ban the eight special tokens costs an untrained model 0.005 nats a token, not 0.02."""
os.environ |= {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # gigabytes
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM: make test-vllm"))


@pytest.fixture(scope="session")
def records_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the smaller ones next door: chips of eight image tokens, where one cannot be expanded twice."""
    folder = tmp_path_factory.mktemp("records")
    for index, name in enumerate(("red", "green", "blue", "grey")):
        image = Image.linear_gradient("L").resize((112, 56)).rotate(90 * index)
        Image.merge("RGB", [image.point(lambda x, c=c: x * c // 3) for c in (index, 3 - index, 1)]).save(
            folder / f"{name}.png"
        )
    return folder


@pytest.fixture(scope="session")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the smaller one next door, whose attention heads are of a size that vLLM's CPU kernels lack."""
    folder = tmp_path_factory.mktemp("vision")
    tiny = Tiny(hidden=128, layers=2, vision_hidden=48, vision_depth=1)
    save_tiny(*build_tiny(tiny, LEXICON + MANY, seed=0), folder)
    return folder


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In place of the smaller one next door, for the same reason."""
    folder = tmp_path_factory.mktemp("text")
    models.save(text_model(LEXICON + MANY, hidden_size=128, max_position_embeddings=1024), folder)
    return folder


@pytest.fixture(scope="session")
def weights_stay() -> Iterator[None]:
    """On a CPU vLLM packs linear layers once, out of reach of a weight sync; keep them as they are."""
    from vllm.model_executor.layers import utils
    from vllm.platforms import current_platform

    def keep(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    with pytest.MonkeyPatch.context() as patch:
        if current_platform.is_cpu():
            patch.setattr(utils, "dispatch_cpu_unquantized_gemm", keep)
        yield


class Started:
    """In place of `vllm.LLM`: one engine for each set of arguments, whatever its seed and its weights, which TRL sends
    anew before the first step; a checkpoint starts its own. `told` are the arguments of each call, `newest` is what the
    last one gave."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self._engines: dict[str, Any] = {}

    def __call__(self, **arguments: Any) -> Any:
        import vllm

        self.told.append(arguments)
        own = {name: value for name, value in arguments.items() if name not in ("seed", "model")}
        key = repr((own, Path(arguments["model"]).name.startswith("checkpoint")))
        if key not in self._engines:
            self._engines[key] = vllm.LLM(**arguments, enforce_eager=True)
        engine = self.newest = self._engines[key]
        assert engine.reset_prefix_cache()
        engine.llm_engine.reset_encoder_cache()
        return engine


@pytest.fixture(scope="session")
def started(weights_stay: None) -> Iterator[Started]:
    from trl.generation import vllm_generation

    engines = Started()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_generation, "LLM", engines)
        yield engines


@pytest.fixture(scope="session")
def eager(weights_stay: None) -> Iterator[None]:
    """Engines that are not compiled first, which takes longer than all they do here."""
    import vllm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm, "LLM", functools.partial(vllm.LLM, enforce_eager=True))
        yield
