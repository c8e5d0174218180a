"""The real server in a process of its own: what TRL sends it through the guards, and what comes back.

Weights cannot be sent to it from a CPU, so it samples from the model folder it was started with.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from indirect_rlvr.training import models
from indirect_rlvr.training.vllm_guards import GuardedServer
from indirect_rlvr.training.vllm_requests import Seeds

PARTS = [{"type": "image"}, {"type": "text", "text": "A"}, {"type": "image"}, {"type": "text", "text": " word7"}]
STARTED = ["--host", "127.0.0.1", "--dtype", "float32", "--max-model-len", "512", "--enforce-eager"]
FOR_TRL = ["--logprobs-mode", "processed_logprobs", "--enable-scale-out"]
SAMPLED = {"temperature": 1.0, "max_tokens": 12, "logprobs": 0, "generation_kwargs": {}}


@pytest.fixture(scope="module")
def client(vision_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from trl.generation.vllm_client import VLLMClient

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    asked = ["--model", str(vision_folder), "--port", str(port), *STARTED, *FOR_TRL]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with log.open("w", encoding="utf-8") as stream:
        environment = os.environ | {"VLLM_SERVER_DEV_MODE": "1"}
        server = subprocess.Popen(module + asked, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    try:
        yield VLLMClient(base_url=f"http://127.0.0.1:{port}", connection_timeout=300)
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="module")
def policy(vision_folder: Path) -> models.Policy:
    return models.load(vision_folder)


@pytest.fixture(scope="module")
def inputs(policy: models.Policy) -> dict[str, Any]:
    """One prompt with two images as the trainer reads it."""
    processor: Any = policy.processor
    images = [Image.linear_gradient("L").resize(size).convert("RGB") for size in ((112, 56), (84, 84))]
    text = processor.apply_chat_template(
        [{"role": "user", "content": PARTS}], tokenize=False, add_generation_prompt=True
    )
    return {"images": images, **processor(text=[text], images=[images], return_tensors="pt")}


def _sampled(client: Any, policy: models.Policy, inputs: dict[str, Any], seed: int) -> dict[str, Any]:
    """Two prompts of four rollouts, asked for as TRL's `VLLMGeneration` does."""
    from trl.generation.vllm_generation import VLLMGeneration

    trainer = SimpleNamespace(state=SimpleNamespace(global_step=0))
    guarded = GuardedServer(client, Seeds(seed, trainer), models.suppressed_token_ids(policy))
    ids = inputs["input_ids"][0].tolist()
    held: Any = SimpleNamespace(processing_class=policy.processor)
    found = guarded.image_features([inputs["images"]] * 2)
    features = [VLLMGeneration._place_features(held, one, ids) for one in found]
    return guarded.generate(prompts=[ids, ids], features=features, n=4, **SAMPLED)


def _scored(policy: models.Policy, inputs: dict[str, Any], completion: list[int]) -> list[float]:
    """The log-probability of each token among those that may be sampled, by the trainer's model."""
    ids = torch.cat([inputs["input_ids"], torch.tensor([completion])], dim=1)
    seen = {name: inputs[name] for name in ("pixel_values", "image_grid_thw")}
    kinds = (ids == policy.model.config.image_token_id).int()
    model: Any = policy.model
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=kinds, **seen).logits[0]
    logits[:, models.suppressed_token_ids(policy)] = -torch.inf
    after = logits[inputs["input_ids"].shape[1] - 1 : -1].log_softmax(dim=-1)
    return [float(row[token]) for row, token in zip(after, completion, strict=True)]


def test_the_server_samples_what_the_trainer_scores(client: Any, policy: models.Policy, inputs: dict[str, Any]) -> None:
    found = _sampled(client, policy, inputs, seed=0)
    for completion, logprobs in zip(found["completion_ids"], found["logprobs"], strict=True):
        assert [row[0] for row in logprobs] == pytest.approx(_scored(policy, inputs, completion), abs=1e-4)


def test_the_seed_of_the_run_decides_the_rollouts(client: Any, policy: models.Policy, inputs: dict[str, Any]) -> None:
    first, again, other = (_sampled(client, policy, inputs, seed)["completion_ids"] for seed in (1, 1, 2))
    assert again == first
    assert len({tuple(ids) for ids in [*first, *other]}) == 16


def test_prompts_without_images_go_another_way_and_come_back_alike(client: Any, policy: models.Policy) -> None:
    guarded = GuardedServer(client, Seeds(0, SimpleNamespace(state=SimpleNamespace(global_step=0))), [])
    found = guarded.generate(prompts=[[5, 6, 7], [8, 9]], features=None, n=3, **SAMPLED)
    assert [len(set(map(tuple, found["completion_ids"]))), len(found["logprobs"])] == [6, 6]
    assert found["prompt_ids"] == [[5, 6, 7], [8, 9]]


def test_both_caches_can_be_emptied(client: Any) -> None:
    GuardedServer(client, Seeds(0, None), []).reset_prefix_cache()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_weights_are_not_sent_from_a_cpu(client: Any) -> None:
    with pytest.raises(RuntimeError, match="has no weight-transfer engine"):
        client.init_communicator(device=torch.device("cpu"))
