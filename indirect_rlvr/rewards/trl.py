"""The one adapter to TRL: a composite reward as the `reward_funcs` and `reward_weights` of its GRPOTrainer.

TRL calls each function by keyword with `prompts`, `completions`, `completion_ids`, every other column of the data set,
`trainer_state`, `log_metric` and `log_extra`. It drops silently what is not finite and merges functions of one name, so
nothing but finite values, None for "not applicable" and errors leave this file. Where a term breaks its contract, the
completion gets the term's low, never a middling zero; it is counted, logged, and soon stops the run (`ErrorBudget`).
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from indirect_rlvr.errors import RunError
from indirect_rlvr.rewards.composite import Composite, group_outcomes, outcome
from indirect_rlvr.rewards.spread import moments
from indirect_rlvr.types import Completion, GroupTerm, Outcome, ProxyTask, Term

TrlCompletion = str | Sequence[Mapping[str, object]]
Log = Callable[[str, float], None]

logger = logging.getLogger(__name__)


class ErrorBudget:
    """How many broken outcomes the terms of one run may return, all together, in one process.

    The error that exceeds it stops the run with what `composite.outcome` says; 0 stops at the first.
    """

    def __init__(self, allowed: int) -> None:
        self.allowed = allowed
        self.spent = 0

    def spend(self, error: RunError) -> None:
        """Count and log one error; raises RunError once there are more than allowed."""
        self.spent += 1
        logger.error("reward error %d, %d allowed: %s", self.spent, self.allowed, error)
        if self.spent > self.allowed:
            raise RunError(
                f"{error}; that is error {self.spent} of the reward, {self.allowed} are allowed: mend the term"
            ) from error


class TermReward:
    """One reward term as TRL calls it; it can be pickled where its term can, and TRL logs it under the term's name."""

    def __init__(
        self,
        term: Term | GroupTerm,
        weight: float,
        tasks: Mapping[str, ProxyTask],
        end_token_ids: Collection[int],
        budget: ErrorBudget,
        group_size: int,
    ) -> None:
        self.__name__ = term.name
        self._term = term
        self._weight = weight
        self._tasks = tasks
        self._end_token_ids = frozenset(end_token_ids)
        self._budget = budget
        self._group_size = group_size

    def __call__(
        self,
        *,
        completions: Sequence[TrlCompletion],
        completion_ids: Sequence[Sequence[int]],
        log_metric: Log,
        task_id: Sequence[str] = (),
        **_: object,
    ) -> list[float | None]:
        """The term's value for each completion, None where it does not apply.

        Also logs, always, because every process must log the same names: the share of unparsable completions, the
        errors, and λ·spread, which can be compared between terms. Raises RunError for lengths that differ, an unknown
        task, a group that is not whole, an error beyond the budget, and whatever RlvrError a term raises about the
        facts of its task.
        """
        if not len(completions) == len(completion_ids) == len(task_id):
            raise RunError(
                f"TRL handed reward `{self.__name__}` {len(completions)} completions, {len(completion_ids)} lists of "
                f"token ids and {len(task_id)} task ids; expected as many of each; give the data a column `task_id`"
            )
        rollouts = [
            (self._task(name), completion_of(completion, ids, self._end_token_ids))
            for completion, ids, name in zip(completions, completion_ids, task_id, strict=True)
        ]
        spent = self._budget.spent
        outcomes = self._outcomes(rollouts)
        log_metric(f"rewards/{self.__name__}/errors", float(self._budget.spent - spent))
        self._log(outcomes, log_metric)
        return [None if found.status == "not_applicable" else float(found.value) for found in outcomes]

    def _outcomes(self, rollouts: Sequence[tuple[ProxyTask, Completion]]) -> list[Outcome]:
        term = self._term
        if isinstance(term, Term):
            alone = (self._guarded(partial(_one, term, task, completion), 1) for task, completion in rollouts)
            return [found for (found,) in alone]
        found: list[Outcome] = []
        for task, group in self._groups(rollouts):
            found += self._guarded(partial(group_outcomes, term, task, group), len(group))
        return found

    def _groups(self, rollouts: Sequence[tuple[ProxyTask, Completion]]) -> Iterator[tuple[ProxyTask, list[Completion]]]:
        """The rollouts G by G, as TRL repeats each prompt G times in a row."""
        for start in range(0, len(rollouts), self._group_size):
            rows = rollouts[start : start + self._group_size]
            names = [task.id for task, _ in rows]
            if len(rows) < self._group_size or len(set(names)) > 1:
                raise RunError(
                    f"TRL handed group term `{self.__name__}` rows of the tasks {', '.join(names)} where "
                    f"{self._group_size} of one task were expected; choose `per_device_train_batch_size` times "
                    "`steps_per_generation` as a multiple of the group size, so that no group is cut between processes"
                )
            yield rows[0][0], [completion for _, completion in rows]

    def _guarded(self, score: Callable[[], list[Outcome]], count: int) -> list[Outcome]:
        try:
            return score()
        except RunError as error:
            self._budget.spend(error)
            return [Outcome(self._term.low)] * count

    def _log(self, outcomes: Sequence[Outcome], log_metric: Log) -> None:
        unparsable = sum(found.status == "unparsable" for found in outcomes)
        values = [found.value for found in outcomes if found.status != "not_applicable"]
        log_metric(f"rewards/{self.__name__}/unparsable", unparsable / max(1, len(outcomes)))
        log_metric(f"rewards/{self.__name__}/weighted_std", abs(self._weight) * moments(values)[1])

    def _task(self, name: str) -> ProxyTask:
        if name not in self._tasks:
            raise RunError(
                f"the training data names task `{name}`, which is none of the {len(self._tasks)} tasks given"
            )
        return self._tasks[name]


def trl_rewards(
    composite: Composite,
    tasks: Mapping[str, ProxyTask],
    end_token_ids: Collection[int],
    group_size: int,
    errors_allowed: int = 0,
) -> tuple[list[TermReward], list[float]]:
    """`reward_funcs` and `reward_weights` for GRPOTrainer: one function for each term of the composite.

    `tasks` maps the data set's `task_id` column to tasks. `end_token_ids` are all tokens that end a completion: the
    trainer's `eos_token_ids`, that is the generation configuration's and the tokenizer's. `group_size` is G, the
    trainer's `num_generations`. The terms share one budget of `errors_allowed` in each process.
    """
    budget = ErrorBudget(errors_allowed)
    weights = [*composite.weights, *composite.group_weights]
    terms = composite.all_terms()
    functions = [
        TermReward(term, weight, tasks, end_token_ids, budget, group_size)
        for term, weight in zip(terms, weights, strict=True)
    ]
    return functions, weights


def completion_of(completion: TrlCompletion, ids: Sequence[int], end_token_ids: Collection[int]) -> Completion:
    """TRL's completion as ours.

    TRL's token ids include the end token where there is one, and its text has special tokens left out; a completion
    whose ids do not end with an end token was cut by the token limit. Raises RunError for anything but a string or one
    message of plain text.
    """
    finished = bool(ids) and ids[-1] in end_token_ids
    return Completion(_text(completion), tuple(ids[:-1] if finished else ids), finished)


def _one(term: Term, task: ProxyTask, completion: Completion) -> list[Outcome]:
    return [outcome(term, task, completion)]


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
