"""Sampling never writes what crashes the next pass, keeps order, and is reproducible."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from indirect_rlvr.domain import Domain
from indirect_rlvr.training import dataset, models, rollouts
from indirect_rlvr.types import ProxyTask

MakeTasks = Callable[..., list[ProxyTask]]


def _prompts(domain: Domain, tasks: list[ProxyTask], folder: Path) -> list[tuple[dataset.Messages, Any]]:
    prompts = [domain.render(task) for task in tasks]
    return [(dataset.messages(prompt), dataset.images(prompt, folder)) for prompt in prompts]


def _make_it_want(policy: models.Policy, token: str) -> None:
    """Every position now gives `token` by far the highest logit."""
    head = policy.model.lm_head
    bias = torch.zeros(head.out_features)
    bias[policy.tokenizer.convert_tokens_to_ids(token)] = 1e4
    head.bias = torch.nn.Parameter(bias)


def _shake(policy: models.Policy) -> None:
    """Fresh weights write one token whatever the prompt is; large ones react to it."""
    torch.manual_seed(1)
    for value in policy.model.parameters():
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.3)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("token", ["<|image_pad|>", "<|vision_start|>", "<|video_pad|>", "<|im_start|>"])
def test_a_policy_bent_on_special_tokens_never_writes_one(
    token: str,
    temperature: float,
    vision_policy: models.Policy,
    domain: Domain,
    make_tasks: MakeTasks,
    records_folder: Path,
) -> None:
    _make_it_want(vision_policy, token)
    prompts = _prompts(domain, make_tasks(4), records_folder)
    found = rollouts.generate(vision_policy, prompts, max_new_tokens=6, batch=4, temperature=temperature)
    assert all(len(c.token_ids) == 6 for c in found)
    assert vision_policy.tokenizer.convert_tokens_to_ids(token) not in {i for c in found for i in c.token_ids}


def test_a_finished_completion_ends_before_its_end_token(
    vision_policy: models.Policy, domain: Domain, make_tasks: MakeTasks, records_folder: Path
) -> None:
    prompts = _prompts(domain, make_tasks(2), records_folder)
    cut = rollouts.generate(vision_policy, prompts, max_new_tokens=5, batch=2)
    assert all(not c.finished and len(c.token_ids) == 5 for c in cut)
    _make_it_want(vision_policy, "<|im_end|>")
    ended = rollouts.generate(vision_policy, prompts, max_new_tokens=5, batch=2)
    assert all(c.finished and c.token_ids == () and c.text == "" for c in ended)


@pytest.mark.parametrize(
    ("kind", "modality"), [("vision_policy", "image"), ("text_policy", "text"), ("vision_policy", "text")]
)
def test_completions_come_in_the_order_of_their_prompts(
    kind: str,
    modality: str,
    domain: Domain,
    make_tasks: MakeTasks,
    records_folder: Path,
    request: pytest.FixtureRequest,
) -> None:
    policy = request.getfixturevalue(kind)
    _shake(policy)
    prompts = _prompts(domain, make_tasks(7, modality), records_folder)
    together = rollouts.generate(policy, prompts, max_new_tokens=8, batch=3)
    alone = [rollouts.generate(policy, [prompt], max_new_tokens=8, batch=1)[0] for prompt in prompts]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]
    assert len({c.token_ids for c in together}) > 1
    assert all(c.text == policy.tokenizer.decode(c.token_ids) for c in together)


def test_the_same_seed_gives_the_same_samples_and_leaves_the_global_generator_alone(
    vision_policy: models.Policy, domain: Domain, make_tasks: MakeTasks, records_folder: Path
) -> None:
    prompts = _prompts(domain, make_tasks(5), records_folder)

    def sample(seed: int) -> list[str]:
        return [
            c.text
            for c in rollouts.generate(vision_policy, prompts, max_new_tokens=8, batch=2, temperature=1.0, seed=seed)
        ]

    state = torch.get_rng_state()
    first = sample(3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert sample(3) == first
    assert sample(4) != first


def test_sampling_takes_up_no_other_card_than_its_own(
    vision_policy: models.Policy,
    domain: Domain,
    make_tasks: MakeTasks,
    records_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forked, fork = [], torch.random.fork_rng

    def noted(devices: Any = None, **named: Any) -> Any:
        forked.append(devices)
        return fork(devices, **named)

    monkeypatch.setattr(torch.random, "fork_rng", noted)
    prompts = _prompts(domain, make_tasks(1), records_folder)
    rollouts.generate(vision_policy, prompts, max_new_tokens=2, batch=1, temperature=1.0)
    assert forked == [[vision_policy.model.device] if torch.cuda.is_available() else []]
