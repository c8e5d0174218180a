"""Each guard changes what reaches vLLM, and what it would have trained on without it is shown beside it.

The engine is one that notes what it is asked and does what vLLM was seen to do: it expands the first token of an
image's run, and it keeps image embeddings by image. The real one is in `vllm/`, for `make test-vllm`.
"""

import inspect
import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from trl.generation import vllm_generation
from trl.generation.vllm_generation import VLLMGeneration

from indirect_rlvr.errors import RunError
from indirect_rlvr.training import vllm_guards, vllm_requests
from indirect_rlvr.training.vllm_guards import GuardedEngine
from indirect_rlvr.training.vllm_requests import Seeds

IMAGE, TOKENS_AN_IMAGE = 7, 4
EXPANDED = [1, 5, 7, 7, 7, 7, 6, 5, 7, 7, 7, 7, 6, 2]


@dataclass
class Params:
    """vLLM's SamplingParams, as far as TRL and the guards use it."""

    n: int = 1
    seed: int | None = None
    logit_bias: dict[int, float] | None = None


@dataclass
class Engine:
    """At the boundary of vLLM: expands prompts and keeps embeddings as vLLM does; samples the request's seed."""

    weights: int = 0
    samples: list[int] | None = None
    caching: bool = True
    in_use: bool = False
    patches: int = TOKENS_AN_IMAGE
    calls: list[str] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    params: list[Params] = field(default_factory=list)
    embeddings: dict[str, int] = field(default_factory=dict)

    @property
    def llm_engine(self) -> Any:
        config = SimpleNamespace(cache_config=SimpleNamespace(enable_prefix_caching=self.caching))
        return SimpleNamespace(reset_encoder_cache=self.embeddings.clear, vllm_config=config)

    def generate(self, prompts: list[dict[str, Any]], sampling_params: Any, use_tqdm: bool) -> list[Any]:
        self.params = sampling_params if isinstance(sampling_params, list) else [sampling_params] * len(prompts)
        outputs = []
        for row, params in zip(prompts, self.params, strict=True):
            shown = row.get("multi_modal_data", {"image": []})["image"]
            shown = shown if isinstance(shown, list) else [shown]
            for image in shown:
                self.embeddings.setdefault(image, self.weights)
            self.prompts.append(_expanded(row["prompt_token_ids"], len(shown), self.patches))
            completion = SimpleNamespace(token_ids=self.samples or [1000 + (params.seed or 0)])
            outputs.append(SimpleNamespace(outputs=[completion], prompt_token_ids=self.prompts[-1]))
        return outputs

    def reset_prefix_cache(self) -> bool:
        self.calls.append("reset_prefix_cache")
        return not self.in_use

    def sleep(self, level: int) -> None:
        self.calls.append(f"sleep {level}")

    def wake_up(self, tags: list[str]) -> None:
        self.calls.append(f"wake_up {tags}")


def _expanded(ids: list[int], images: int, patches: int = TOKENS_AN_IMAGE) -> list[int]:
    """vLLM puts an image's tokens in place of the next single token, as often as there are images."""
    found: list[int] = []
    for token in ids:
        expand = token == IMAGE and images > 0
        found.extend([IMAGE] * patches if expand else [token])
        images -= expand
    return found


def _row(ids: list[int] = EXPANDED, shown: Any = ("a", "b")) -> dict[str, Any]:
    return {"prompt_token_ids": ids, "multi_modal_data": {"image": list(shown) if isinstance(shown, tuple) else shown}}


def _trainer(step: int = 0, **more: Any) -> Any:
    return SimpleNamespace(state=SimpleNamespace(global_step=step), **more)


def _guarded(engine: Engine, seed: int = 0, suppressed: tuple[int, ...] = (IMAGE, 8), step: int = 0) -> GuardedEngine:
    return GuardedEngine(engine, Seeds(seed, _trainer(step)), IMAGE, suppressed)


def test_a_prompt_with_another_number_of_images_is_refused() -> None:
    with pytest.raises(RunError, match="a prompt has 2 runs of image tokens and 3 images"):
        vllm_requests.collapsed(EXPANDED, IMAGE, 3)
    with pytest.raises(RunError, match="a prompt has 1 runs of image tokens and 2 images"):
        vllm_requests.collapsed([7, 7, 7, 7, 7, 7, 7, 7], IMAGE, 2)


def test_an_engine_that_computes_prompts_again_is_refused() -> None:
    with pytest.raises(RunError, match="prefix caching is off"):
        _guarded(Engine(caching=False))


def test_image_tokens_are_expanded_once() -> None:
    unguarded, engine = Engine(), Engine()
    unguarded.generate([_row()], sampling_params=Params(), use_tqdm=False)
    assert unguarded.prompts[0] != EXPANDED
    assert len(unguarded.prompts[0]) == len(EXPANDED) + 2 * (TOKENS_AN_IMAGE - 1)
    rows = [_row(), _row([1, 7, 7, 7, 7, 2], "a"), {"prompt_token_ids": [1, 2, 2, 3]}]
    _guarded(engine).generate(rows, sampling_params=Params(), use_tqdm=False)
    assert engine.prompts == [EXPANDED, [1, 7, 7, 7, 7, 2], [1, 2, 2, 3]]
    assert rows[0]["prompt_token_ids"] == EXPANDED


def _embedded_after_sync(engine: Engine, guarded: Any) -> int:
    """The weights whose embedding of image `a` is used after a step and the sync that TRL makes."""
    guarded.generate([_row()], sampling_params=Params(), use_tqdm=False)
    engine.weights += 1
    guarded.reset_prefix_cache()  # TRL's last call in `sync_weights`
    guarded.generate([_row()], sampling_params=Params(), use_tqdm=False)
    return engine.embeddings["a"]


def test_after_a_weight_sync_images_are_embedded_with_the_new_weights() -> None:
    engine, unguarded = Engine(), Engine()
    assert _embedded_after_sync(unguarded, unguarded) == 0
    assert _embedded_after_sync(engine, _guarded(engine)) == 1
    assert engine.calls == ["reset_prefix_cache"]


def _drawn(engine: Engine, guarded: Any, calls: int = 2) -> list[int]:
    found = []
    for _ in range(calls):
        outputs = guarded.generate([_row()] * 4, sampling_params=Params(), use_tqdm=False)
        found.extend(output.outputs[0].token_ids[0] for output in outputs)
    return found


def test_every_rollout_has_a_seed_of_its_own_that_follows_from_the_run() -> None:
    engine = Engine()
    drawn = _drawn(engine, _guarded(engine, seed=1))
    assert len(set(drawn)) == 8
    again, other = Engine(), Engine()
    assert _drawn(again, _guarded(again, seed=1)) == drawn
    assert not set(_drawn(other, _guarded(other, seed=2))) & set(drawn)
    unguarded = Engine()
    fixed = unguarded.generate([_row()] * 4, sampling_params=Params(seed=1), use_tqdm=False)
    assert len({output.outputs[0].token_ids[0] for output in fixed}) == 1


def test_a_run_that_goes_on_draws_what_it_would_have_drawn() -> None:
    whole, rest = Engine(), Engine()
    trainer = _trainer()
    guarded, drawn = GuardedEngine(whole, Seeds(1, trainer), IMAGE, []), []
    for step in (0, 0, 1, 1):  # two generations a step, as a refilled step has
        trainer.state = SimpleNamespace(global_step=step)
        drawn.extend(_drawn(whole, guarded, calls=1))
    assert len(set(drawn)) == 16
    assert _drawn(rest, _guarded(rest, seed=1, step=1)) == drawn[8:]


def test_only_processes_that_hold_parts_of_one_engine_share_seeds() -> None:
    def seeds(process: int) -> list[int]:
        engine = Engine()
        process_is = SimpleNamespace(process_index=process)
        held = SimpleNamespace(mode="colocate", llm=engine, accelerator=process_is, tensor_parallel_size=2)
        vllm_guards.guard(_trainer(vllm_generation=held), 5, IMAGE, [8])
        assert isinstance(held.llm, GuardedEngine)
        return _drawn(engine, held.llm)

    assert seeds(0) == seeds(1)
    assert not set(seeds(0)) & set(seeds(2))


def test_placeholders_are_banned_and_one_sampled_all_the_same_stops_the_run() -> None:
    engine = Engine()
    _guarded(engine).generate([_row()], sampling_params=Params(logit_bias={3: 1.0}), use_tqdm=False)
    assert engine.params[0].logit_bias == {IMAGE: vllm_requests.BAN, 8: vllm_requests.BAN, 3: 1.0}
    bent = Engine(samples=[3, IMAGE, 4])
    with pytest.raises(RunError, match=r"vLLM sampled the banned tokens \[7\] in rollout 0"):
        _guarded(bent).generate([_row()], sampling_params=Params(), use_tqdm=False)


def test_an_image_of_another_number_of_tokens_stops_the_run() -> None:
    with pytest.raises(RunError, match="vLLM read prompt 0 as 16 tokens and the trainer reads 14"):
        _guarded(Engine(patches=5)).generate([_row()], sampling_params=Params(), use_tqdm=False)


def test_a_prefix_cache_that_stays_full_after_a_weight_sync_stops_the_run() -> None:
    with pytest.raises(RunError, match="vLLM did not empty its prefix cache after a weight sync"):
        _guarded(Engine(in_use=True)).reset_prefix_cache()


def test_the_engine_still_sleeps_and_wakes() -> None:
    engine = Engine()
    guarded = _guarded(engine)
    guarded.sleep(level=2)
    guarded.wake_up(tags=["weights"])
    assert engine.calls == ["sleep 2", "wake_up ['weights']"]


def test_trl_asks_of_its_engine_what_we_guard_and_nothing_else() -> None:
    source = inspect.getsource(vllm_generation)
    assert set(re.findall(r"self\.llm\.(\w+)", source)) == {
        name for name in vars(GuardedEngine) if not name.startswith("_")
    }
    assert "self.llm.generate(vllm_prompts, sampling_params=sampling_params, use_tqdm=False)" in source
    assert '{"prompt_token_ids": ids}' in source
    assert 'row["multi_modal_data"] = {"image": img_list if len(img_list) > 1 else img_list[0]}' in source
    synced = inspect.getsource(VLLMGeneration.sync_weights)
    assert synced.index("load_weights") < synced.index("self.llm.reset_prefix_cache()")
