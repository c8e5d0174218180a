"""Score completions inside another trainer, with the composite that an export was made from.

The trainer's file calls `scorer(FOLDER)`, which reads the export once in each process.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from indirect_rlvr.config import load_recipe
from indirect_rlvr.data import proxy
from indirect_rlvr.domain import load_domain
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.export.bundle import ABOUT, RECIPE, TASKS, TOKENIZER, TOTALS, counts_tokens
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.run import read_json
from indirect_rlvr.types import Completion, ProxyTask

TOTAL = TOTALS[0]


class Scorer:
    """The composite of an export; call it with a task's id and what the policy wrote."""

    def __init__(self, folder: Path) -> None:
        about = read_json(folder / ABOUT)
        recipe = load_recipe(folder / RECIPE, [])
        self.reward = build(recipe.reward, load_domain(recipe.domain, recipe.records).rewards())
        if self.reward.version() != about["reward_version"]:
            raise RunError(
                f"the export `{folder}` was made from another version of its reward (packages then: "
                f"{about['packages']}); install those packages, or export it again"
            )
        self.tasks = {task.id: task for task in proxy.read(folder / TASKS)}
        self.limit = int(about["max_completion_tokens"])
        self._tokenizer: PreTrainedTokenizerBase | None = None
        if about["counts_tokens"]:
            self._tokenizer = AutoTokenizer.from_pretrained(folder / TOKENIZER, trust_remote_code=False)

    def __call__(
        self, task_id: str, text: str, token_ids: Sequence[int] | None = None, finished: bool | None = None
    ) -> dict[str, float | None]:
        """`score`, the weighted total, and the value of each term by name, None where it does not apply.

        `text` is without special tokens. `token_ids` are those of the completion, with or without its end token;
        without them a reward that counts tokens encodes the text, which need not give back what was sampled.
        `finished` is False where the token limit cut the completion; where it is not known, the end token decides, or
        else whether there are fewer tokens than the recipe's `grpo.max_completion_tokens`. Raises DataError for an
        unknown task, RunError as the composite does.
        """
        task = self.task(task_id)
        completion = self.completion(text, token_ids, finished)
        found = self.reward.score(task, completion)
        missed = [] if completion.token_ids or not text else counts_tokens(self.reward, task, completion)
        if missed:
            raise RunError(
                f"reward terms {', '.join(missed)} count tokens, and task `{task_id}` came without token ids; export "
                "again with --tokenizer"
            )
        values = {
            name: None if outcome.status == "not_applicable" else outcome.value
            for name, outcome in found.outcomes.items()
        }
        return {**values, TOTAL: found.total}

    def task(self, task_id: str) -> ProxyTask:
        """The exported task of that id; raises DataError where there is none."""
        if task_id not in self.tasks:
            raise DataError(
                f"task `{task_id}` is none of the {len(self.tasks)} of the export; use the data that was exported with "
                "the reward"
            )
        return self.tasks[task_id]

    def completion(self, text: str, token_ids: Sequence[int] | None, finished: bool | None) -> Completion:
        """What the policy wrote as a reward term wants it: token ids without the end token."""
        if self._tokenizer is None:
            return Completion(text, tuple(token_ids or ()), finished is not False)
        ids = self._tokenizer.encode(text, add_special_tokens=False) if token_ids is None else list(token_ids)
        ended = bool(ids) and ids[-1] in self._tokenizer.all_special_ids
        if finished is None:
            finished = ended or len(ids) < self.limit
        return Completion(text, tuple(ids[:-1] if ended else ids), finished)


@cache
def scorer(folder: Path) -> Scorer:
    """The scorer of an export, read once in each process."""
    return Scorer(folder)
