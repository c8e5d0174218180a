"""The one adapter to TRL: a composite reward as the `reward_funcs` and `reward_weights` of its GRPOTrainer.

TRL calls each function by keyword with `prompts`, `completions`, `completion_ids`, every other column of the data set,
`trainer_state`, `log_metric` and `log_extra`. It drops silently what is not finite and merges functions of one name, so
nothing but finite values, None for "not applicable" and errors leave this file.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from indirect_rlvr.errors import RunError
from indirect_rlvr.rewards.composite import Composite, outcome
from indirect_rlvr.types import Completion, ProxyTask, Term

TrlCompletion = str | Sequence[Mapping[str, object]]


class TermReward:
    """One reward term as TRL calls it; it can be pickled where its term can, and TRL logs it under the term's name."""

    def __init__(self, term: Term, tasks: Mapping[str, ProxyTask], end_token_ids: Collection[int]) -> None:
        self.__name__ = term.name
        self._term = term
        self._tasks = tasks
        self._end_token_ids = frozenset(end_token_ids)

    def __call__(
        self,
        *,
        completions: Sequence[TrlCompletion],
        completion_ids: Sequence[Sequence[int]],
        log_metric: Callable[[str, float], None],
        task_id: Sequence[str] = (),
        **_: object,
    ) -> list[float | None]:
        """The term's value for each completion, None where it does not apply.

        Also logs the share of unparsable completions, always, because every process must log the same names. Raises
        RunError for lengths that differ, an unknown task and whatever `composite.outcome` refuses.
        """
        if not len(completions) == len(completion_ids) == len(task_id):
            raise RunError(
                f"TRL handed reward `{self.__name__}` {len(completions)} completions, {len(completion_ids)} lists of "
                f"token ids and {len(task_id)} task ids; expected as many of each; give the data a column `task_id`"
            )
        outcomes = [
            outcome(self._term, self._task(name), completion_of(completion, ids, self._end_token_ids))
            for completion, ids, name in zip(completions, completion_ids, task_id, strict=True)
        ]
        unparsable = sum(found.status == "unparsable" for found in outcomes)
        log_metric(f"rewards/{self.__name__}/unparsable", unparsable / max(1, len(outcomes)))
        return [None if found.status == "not_applicable" else float(found.value) for found in outcomes]

    def _task(self, name: str) -> ProxyTask:
        if name not in self._tasks:
            raise RunError(
                f"the training data names task `{name}`, which is none of the {len(self._tasks)} tasks given"
            )
        return self._tasks[name]


def trl_rewards(
    composite: Composite, tasks: Mapping[str, ProxyTask], end_token_ids: Collection[int]
) -> tuple[list[TermReward], list[float]]:
    """`reward_funcs` and `reward_weights` for GRPOTrainer: one function for each term of the composite.

    `tasks` maps the data set's `task_id` column to tasks. `end_token_ids` are all tokens that end a completion: the
    trainer's `eos_token_ids`, that is the generation configuration's and the tokenizer's.
    """
    return [TermReward(term, tasks, end_token_ids) for term in composite.terms], list(composite.weights)


def completion_of(completion: TrlCompletion, ids: Sequence[int], end_token_ids: Collection[int]) -> Completion:
    """TRL's completion as ours.

    TRL's token ids include the end token where there is one, and its text has special tokens left out; a completion
    whose ids do not end with an end token was cut by the token limit. Raises RunError for anything but a string or one
    message of plain text.
    """
    finished = bool(ids) and ids[-1] in end_token_ids
    return Completion(_text(completion), tuple(ids[:-1] if finished else ids), finished)


def _text(completion: TrlCompletion) -> str:
    if isinstance(completion, str):
        return completion
    if len(completion) == 1 and completion[0].keys() == {"role", "content"}:
        content = completion[0]["content"]
        if isinstance(content, str):
            return content
    raise RunError(
        f"TRL handed the completion {completion!r:.200}; expected a string or one message of role and content; "
        "leave out the tokenizer's response template and tools, which take the tags apart"
    )
