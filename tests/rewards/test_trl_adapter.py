import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.config import Reward
from indirect_rlvr.errors import RunError
from indirect_rlvr.rewards.composite import Composite, build
from indirect_rlvr.rewards.trl import TermReward, completion_of, trl_rewards
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask, Term

END = (0, 9)
RIGHT = "<think>x</think><answer>B</answer>"
WRONG = "<think>x</think><answer>C</answer>"


def by_name(composite: Composite, task: ProxyTask) -> dict[str, TermReward]:
    functions, weights = trl_rewards(composite, {task.id: task}, END, 2)
    assert weights == list(composite.weights)
    return {function.__name__: function for function in functions}


def ask(function: TermReward, texts: list[Any], ids: list[list[int]], names: list[str]) -> list[float | None]:
    return function(
        prompts=["?"] * len(texts), completions=texts, completion_ids=ids, task_id=names, answer=["B"] * len(texts),
        trainer_state=None, log_extra=lambda column, values: None, log_metric=lambda name, value: None,
    )  # fmt: skip


@pytest.mark.parametrize(("ids", "names"), [([[1]], ["set-3/q1"] * 2), ([[1]] * 2, ["set-3/q1"]), ([[1]] * 2, [])])
def test_lengths_that_differ_are_refused(ids: list[list[int]], names: list[str], task: ProxyTask) -> None:
    accuracy = by_name(build(Reward(), []), task)["accuracy"]
    with pytest.raises(RunError, match=f"2 completions, {len(ids)} lists of token ids and {len(names)} task ids"):
        ask(accuracy, [RIGHT, RIGHT], ids, names)


def test_a_data_set_without_task_ids_is_refused(task: ProxyTask) -> None:
    accuracy = by_name(build(Reward(), []), task)["accuracy"]
    with pytest.raises(RunError, match="give the data a column `task_id`"):
        accuracy(completions=[RIGHT], completion_ids=[[1]], log_metric=lambda name, value: None)


def test_an_unknown_task_is_refused(task: ProxyTask) -> None:
    accuracy = by_name(build(Reward(), []), task)["accuracy"]
    with pytest.raises(RunError, match="names task `set-9/q0`, which is none of the 1 tasks given"):
        ask(accuracy, [RIGHT], [[1]], ["set-9/q0"])


@pytest.mark.parametrize(
    "completion",
    [
        [],
        [{"role": "assistant", "content": "B"}, {"role": "tool", "content": "B"}],
        [{"role": "assistant", "content": "B", "reasoning_content": "x"}],
        [{"role": "assistant", "content": [{"type": "text", "text": "B"}]}],
    ],
)
def test_a_text_taken_apart_is_refused(completion: list[dict[str, object]]) -> None:
    with pytest.raises(RunError, match="expected a string or one message of role and content"):
        completion_of(completion, [1], END)


def test_an_exception_and_a_nan_stop_training_at_once(task: ProxyTask) -> None:
    for value, message in (("x", "raised ValueError"), ("nan", "returned nan")):
        odd = Term("odd", 0.0, 1.0, lambda task, completion, value=value: Outcome(float(value)))
        function = by_name(Composite((odd,), (1.0,)), task)["odd"]
        with pytest.raises(RunError, match=f"reward term `odd` at task `set-3/q1` {message}"):
            ask(function, [RIGHT], [[1]], [task.id])


def test_each_completion_is_scored_against_its_own_task(task: ProxyTask) -> None:
    other = replace(task, id="set-4/q0", answer="C")
    functions, _ = trl_rewards(build(Reward(), []), {task.id: task, other.id: other}, END, 2)
    names = [task.id, other.id, task.id, other.id]
    assert ask(functions[0], [RIGHT, RIGHT, WRONG, WRONG], [[1, 0]] * 4, names) == [1.0, 0.0, 0.0, 1.0]


def test_texts_and_conversations_score_alike(task: ProxyTask) -> None:
    for function in by_name(build(Reward(), []), task).values():
        texts = ask(function, [RIGHT, WRONG], [[1, 2, 0], [1, 2, 0]], [task.id] * 2)
        turns = [[{"role": "assistant", "content": text}] for text in (RIGHT, WRONG)]
        assert ask(function, turns, [[1, 2, 0], [1, 2, 0]], [task.id] * 2) == texts


@pytest.mark.parametrize(
    ("ids", "kept", "finished"),
    [([5, 6, 0], (5, 6), True), ([5, 6, 9], (5, 6), True), ([5, 6], (5, 6), False), ([0], (), True), ([], (), False)],
)
def test_a_completion_is_finished_where_an_end_token_closes_it(
    ids: list[int], kept: tuple[int, ...], finished: bool
) -> None:
    assert completion_of("x", ids, END) == Completion("x", kept, finished)


def test_a_cut_completion_earns_no_length_bonus_in_training(task: ProxyTask) -> None:
    length = by_name(build(Reward(), []), task)["length"]
    finished, cut = ask(length, [RIGHT, RIGHT], [[1, 2, 0], [1, 2, 3]], [task.id] * 2)
    assert finished is not None and finished > 0.99
    assert cut == 0.0


def test_only_what_does_not_apply_is_none(task: ProxyTask) -> None:
    absent = Term("absent", 0.0, 1.0, lambda task, completion: Outcome(0.0, "not_applicable"))
    unparsable = Term("unparsable", -1.0, 1.0, lambda task, completion: Outcome(-1.0, "unparsable"))
    functions = by_name(Composite((absent, unparsable), (1.0, 1.0)), task)
    assert ask(functions["absent"], ["x"], [[1]], [task.id]) == [None]
    assert ask(functions["unparsable"], ["x"], [[1]], [task.id]) == [-1.0]


def test_the_share_of_unparsable_answers_is_logged_even_where_it_is_zero(task: ProxyTask) -> None:
    accuracy = by_name(build(Reward(), []), task)["accuracy"]
    logged: list[tuple[str, float]] = []
    for texts in (["?", RIGHT, WRONG, "A or B"], [RIGHT] * 4):
        accuracy(
            completions=texts, completion_ids=[[1]] * 4, task_id=[task.id] * 4,
            log_metric=lambda name, value: logged.append((name, value)),
        )  # fmt: skip
    assert [value for name, value in logged if name == "rewards/accuracy/unparsable"] == [0.5, 0.0]
    assert [name for name, _ in logged[:3]] == [name for name, _ in logged[3:]]


def test_errors_within_the_budget_are_worth_the_low_counted_and_logged_and_then_stop_the_run(
    task: ProxyTask, caplog: pytest.LogCaptureFixture
) -> None:
    def odd(task: ProxyTask, completion: Completion) -> Outcome:
        return Outcome(float(completion.text))

    terms = (Term("odd", -1.0, 1.0, odd), Term("odder", -1.0, 1.0, odd))
    functions, _ = trl_rewards(Composite(terms, (1.0, 2.0)), {task.id: task}, END, 2, errors_allowed=3)
    logged: dict[str, float] = {}

    def call(function: TermReward, texts: list[str]) -> list[float | None]:
        ids = [[1]] * len(texts)
        return function(
            completions=texts, completion_ids=ids, task_id=[task.id] * len(texts), log_metric=logged.__setitem__
        )

    assert call(functions[0], ["0.5", "x", "nan"]) == [0.5, -1.0, -1.0]
    assert call(functions[1], ["y", "1"]) == [-1.0, 1.0]
    assert logged["rewards/odd/errors"] == 2.0
    assert logged["rewards/odder/errors"] == 1.0
    assert logged["rewards/odder/weighted_std"] == 2.0
    assert caplog.text.count("reward error") == 3
    with pytest.raises(RunError, match="error 4 of the reward, 3 are allowed: mend the term"):
        call(functions[0], ["z"])


def test_a_group_term_sees_each_group_whole(task: ProxyTask) -> None:
    other = replace(task, id="set-4/q0", answer="C")
    seen: list[tuple[str, int]] = []

    def rank(task: ProxyTask, group: Sequence[Completion]) -> list[Outcome]:
        seen.append((task.id, len(group)))
        return [Outcome(len(one.text) / 100) for one in group]

    composite = Composite((), (), (GroupTerm("rank", 0.0, 1.0, rank),), (0.5,))
    functions, weights = trl_rewards(composite, {task.id: task, other.id: other}, END, 2)
    assert weights == [0.5]
    names = [task.id] * 4 + [other.id] * 2
    assert ask(functions[0], ["x"] * 6, [[1]] * 6, names) == [0.01] * 6
    assert seen == [(task.id, 2), (task.id, 2), (other.id, 2)]
    with pytest.raises(RunError, match="so that no group is cut between processes"):
        ask(functions[0], ["x"] * 3, [[1]] * 3, names[3:])


def test_names_are_unique_and_the_functions_can_be_pickled(task: ProxyTask) -> None:
    functions = by_name(build(Reward(), []), task)
    assert list(functions) == ["accuracy", "format", "length", "repetition"]
    for name, function in functions.items():
        again = pickle.loads(pickle.dumps(function))
        assert again.__name__ == name
        assert ask(again, [RIGHT], [[1, 0]], [task.id]) == ask(function, [RIGHT], [[1, 0]], [task.id])


@pytest.fixture
def tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<end>", "<unk>", "user", "assistant", "Which", "tile", "?", *"ABCDE"]
    words += ["<think>", "</think>", "<answer>", "</answer>"]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>", unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}assistant ",
    )  # fmt: skip


@pytest.mark.parametrize("conversational", [False, True])
def test_trl_trains_on_the_composite(
    conversational: bool, tiny_tokenizer: Any, task: ProxyTask, tmp_path: Path
) -> None:
    import torch
    from datasets import Dataset
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from trl import GRPOConfig, GRPOTrainer

    torch.manual_seed(0)
    composite = build(Reward(length_limit=8), [])
    seen: list[tuple[ProxyTask, Completion]] = []

    def witness(task: ProxyTask, completion: Completion) -> Outcome:
        seen.append((task, completion))
        return Outcome(composite.score(task, completion).total)

    with_witness = Composite((*composite.terms, Term("total", -1.0, 3.0, witness)), (*composite.weights, 0.0))
    other = replace(task, id="set-4/q0", answer="C")
    functions, weights = trl_rewards(with_witness, {task.id: task, other.id: other}, [tiny_tokenizer.eos_token_id], 4)
    prompt: Any = [{"role": "user", "content": "Which tile ?"}] if conversational else "Which tile ?"
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tiny_tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, pad_token_id=0, bos_token_id=None,
        )
    )  # fmt: skip
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=list(functions),
        args=GRPOConfig(
            output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none", max_steps=2, num_generations=4,
            per_device_train_batch_size=8, max_completion_length=12, reward_weights=weights, logging_steps=1,
            save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": prompt, "task_id": name} for name in (task.id, other.id)]),
        processing_class=tiny_tokenizer,
    )  # fmt: skip
    trainer.train()

    assert len(seen) == 16
    assert {shown.id for shown, _ in seen} == {task.id, other.id}
    assert {completion.finished for _, completion in seen} == {True, False}
    for _, completion in seen:
        assert "<end>" not in completion.text
        assert tiny_tokenizer.eos_token_id not in completion.token_ids
        assert len(completion.token_ids) == 12 or completion.finished
    logs = [log for log in trainer.state.log_history if "reward" in log]
    assert len(logs) == 2
    for log in logs:
        assert log["reward"] == pytest.approx(log["rewards/total/mean"], abs=1e-5)
        assert log["rewards/accuracy/unparsable"] <= 1.0
