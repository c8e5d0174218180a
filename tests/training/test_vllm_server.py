"""Each guard before a vLLM server, on a stand-in for TRL's client that answers as the server was seen to.

It gives the rollouts of a request the request's seed and those after it, and keeps image embeddings by image. The real
server is in `vllm/`, for `make test-vllm`.
"""

import inspect
import json
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from trl.generation import vllm_generation

from indirect_rlvr.errors import RunError
from indirect_rlvr.training import vllm_guards
from indirect_rlvr.training.vllm_guards import GuardedServer
from indirect_rlvr.training.vllm_requests import BAN, Seeds

IMAGE = 7
ROW = [1, 5, 7, 7, 7, 7, 6, 2]


@dataclass
class Answer:
    """Of an HTTP request, as far as the guards read it."""

    status_code: int = 200
    text: str = ""

    @property
    def content(self) -> bytes:
        return self.text.encode()

    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class Client:
    """At the boundary of TRL: what its `VLLMClient` answers."""

    caching: bool = True
    logprobs_mode: str = "processed_logprobs"
    tokens_an_image: int = 4
    samples: list[int] | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    posted: list[str] = field(default_factory=list)
    base_url: str = "http://server"

    @property
    def session(self) -> Any:
        return SimpleNamespace(post=self._post)

    def _post(self, url: str) -> Answer:
        self.posted.append(url)
        return self.answers.get(url.rpartition("/")[2], Answer())

    def get_server_info(self) -> Any:
        return {
            "cache_config": {"enable_prefix_caching": self.caching},
            "model_config": {"logprobs_mode": self.logprobs_mode},
        }

    def image_features(self, images: list[list[str] | None]) -> list[Any]:
        return [_features([self.tokens_an_image] * len(shown)) if shown else None for shown in images]

    def generate(self, prompts: list[list[int]], features: Any, n: int, generation_kwargs: Any, **more: Any) -> Any:
        self.asked.append({"prompts": prompts, "features": features, "n": n, **generation_kwargs, **more})
        seed = generation_kwargs.get("seed")
        ids = [self.samples or [1000 if seed is None else seed + place] for _ in prompts for place in range(n)]
        return {"prompt_ids": prompts, "completion_ids": ids, "logprobs": [[[-0.5]]] * len(ids)}

    def update_named_params(self, metadata: Any, params: Any) -> None:
        self.asked.append({"metadata": metadata, "params": list(params)})


def _features(lengths: list[int]) -> dict[str, Any]:
    return {"mm_placeholders": {"image": [{"offset": 0, "length": length} for length in lengths]}}


def _guarded(client: Client, seed: int = 0, step: int = 0) -> GuardedServer:
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=step))
    return GuardedServer(client, Seeds(seed, trainer), [IMAGE, 8])


def _asked(client: Client, guarded: Any, **more: Any) -> Any:
    """As TRL asks: two prompts, four rollouts of each."""
    return guarded.generate(prompts=[ROW, [1, 2]], features=None, n=4, generation_kwargs={}, max_tokens=12, **more)


@pytest.mark.parametrize(
    ("client", "message"),
    [
        (Client(caching=False), "prefix caching is off; start it with --enable-prefix-caching"),
        (Client(logprobs_mode="raw_logprobs"), "gives raw_logprobs, .* --logprobs-mode processed_logprobs"),
    ],
)
def test_a_server_that_was_started_otherwise_is_refused(client: Client, message: str) -> None:
    with pytest.raises(RunError, match=message):
        _guarded(client)


def test_every_rollout_has_a_seed_of_its_own_that_follows_from_the_run() -> None:
    drawn = [ids[0] for ids in _asked(Client(), _guarded(Client(), seed=1))["completion_ids"]]
    assert len(set(drawn)) == 8
    assert [ids[0] for ids in _asked(Client(), _guarded(Client(), seed=1))["completion_ids"]] == drawn
    assert not {ids[0] for ids in _asked(Client(), _guarded(Client(), seed=2))["completion_ids"]} & set(drawn)
    unguarded = Client()
    assert {ids[0] for ids in _asked(unguarded, unguarded)["completion_ids"]} == {1000}


def test_answers_come_in_the_order_of_the_prompts() -> None:
    client = Client()
    found = _guarded(client).generate(
        prompts=[[i] for i in range(1, 200)], features=None, n=2, generation_kwargs={"min_p": 0.1}
    )
    assert found["prompt_ids"] == [[i] for i in range(1, 200)]
    by_prompt = {asked["prompts"][0][0]: asked["seed"] for asked in client.asked}
    assert found["completion_ids"] == [[by_prompt[i] + place] for i in range(1, 200) for place in (0, 1)]
    assert {asked["min_p"] for asked in client.asked} == {0.1}


def test_placeholders_are_banned_and_one_sampled_all_the_same_stops_the_run() -> None:
    client = Client()
    _asked(client, _guarded(client))
    assert client.asked[0]["logit_bias"] == {IMAGE: BAN, 8: BAN}
    bent = Client(samples=[3, IMAGE])
    with pytest.raises(RunError, match=r"vLLM sampled the banned tokens \[7\] in rollout 0"):
        _asked(bent, _guarded(bent))


def test_images_of_another_number_of_tokens_stop_the_run() -> None:
    client = Client(tokens_an_image=5)
    guarded = _guarded(client)
    features = guarded.image_features([["a"], None])
    placed = [_features([4]), None]
    assert features[1] is None
    with pytest.raises(RunError, match=r"gives the images of prompt 0 \[5\] tokens and the trainer \[4\]"):
        guarded.generate(prompts=[ROW, [1]], features=placed, n=2, generation_kwargs={})
    well = _guarded(Client())
    well.image_features([["a"], None])
    assert len(well.generate(prompts=[ROW, [1]], features=placed, n=2, generation_kwargs={})["completion_ids"]) == 4


def test_after_a_weight_sync_both_caches_are_emptied() -> None:
    client = Client()
    guarded = _guarded(client)
    guarded.update_named_params([("w", "float32", [1])], iter([("w", 1)]))
    guarded.reset_prefix_cache()
    assert client.posted == ["http://server/reset_prefix_cache", "http://server/reset_encoder_cache"]
    assert client.asked == [{"metadata": [("w", "float32", [1])], "params": [("w", 1)]}]


@pytest.mark.parametrize(
    ("path", "answer", "message"),
    [
        ("reset_encoder_cache", Answer(404, "Not Found"), r"its encoder cache .* \(404: Not Found\)"),
        ("reset_prefix_cache", Answer(200, '{"success": false}'), "its prefix cache after a weight sync"),
    ],
)
def test_a_cache_that_stays_full_stops_the_run(path: str, answer: Answer, message: str) -> None:
    with pytest.raises(RunError, match=message):
        _guarded(Client(answers={path: answer})).reset_prefix_cache()


def test_only_the_process_that_asks_the_server_stands_before_it() -> None:
    first, other = Client(), Client()
    for client, is_main in ((first, True), (other, False)):
        held = SimpleNamespace(mode="server", accelerator=SimpleNamespace(is_main_process=is_main), vllm_client=client)
        vllm_guards.guard(SimpleNamespace(vllm_generation=held, state=None), 5, IMAGE, [8])
        assert isinstance(held.vllm_client, GuardedServer) == is_main


def test_trl_asks_of_its_client_what_we_guard_and_nothing_else() -> None:
    source = inspect.getsource(vllm_generation)
    asked = set(re.findall(r"self\.vllm_client\.(\w+)", source))
    assert asked - {"init_communicator"} == {name for name in vars(GuardedServer) if not name.startswith("_")}
    assert "prompts=ordered_set_of_prompt_ids, features=features, **sampling_params" in source
    assert '"generation_kwargs": self.generation_kwargs' in source
