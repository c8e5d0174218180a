"""verl and EasyR1: one parquet file for each split, and the same composite behind the `compute_score` of each.

verl 0.9 hands a reward function text alone, so `verl_manager.py` is its reward manager that hands over token ids too.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

from indirect_rlvr.errors import DataError
from indirect_rlvr.export import bundle
from indirect_rlvr.export.bundle import Row
from indirect_rlvr.export.scorer import scorer
from indirect_rlvr.pipeline import Run
from indirect_rlvr.run import disk_errors, write_text
from indirect_rlvr.types import Counts

TOTAL, OVERALL = bundle.TOTALS
BATCH = 64
"""Rows written together; a row group holds the images of as many tasks in memory."""
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema(
    {
        "data_source": pa.string(),
        "prompt": pa.list_(MESSAGE),
        "ability": pa.string(),
        "reward_model": pa.struct([("style", pa.string()), ("ground_truth", pa.string())]),
        "extra_info": pa.struct([("index", pa.int64()), ("split", pa.string()), ("task_id", pa.string())]),
        "problem": pa.string(),
        "answer": pa.string(),
    }
)
"""The columns of verl, then those of EasyR1, whose reward gets no other column than `answer`: here the task's id."""

VERL = Template('''"""The reward of domain `$domain` for verl; it needs indirect-rlvr and the pack of the domain.

reward.custom_reward_function.path is this file, .name is compute_score. A term that counts tokens counts those of the
text, encoded again; verl_manager.py hands over the sampled tokens instead.
"""

from pathlib import Path

from indirect_rlvr.export import verl

FOLDER = Path(__file__).resolve().parent


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    """The weighted total as `score`, and each term by its name."""
    return verl.compute_score(FOLDER, solution_str, ground_truth, extra_info)
''')

MANAGER = Template('''"""The reward manager of domain `$domain` for verl: the terms see the sampled tokens.

reward.reward_manager.source is importlib, .module.path is this file, .name is TokenRewardManager.
"""

from pathlib import Path

from indirect_rlvr.export import verl
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

FOLDER = Path(__file__).resolve().parent


class TokenRewardManager(RewardManagerBase):
    async def run_single(self, data):
        item = data[-1:][0]
        length = item.batch["responses"].shape[-1]
        used = int(item.batch["attention_mask"][-length:].sum())
        ids = item.batch["responses"][:used].tolist()
        name = item.non_tensor_batch["extra_info"]["task_id"]

        def score():
            return verl.score_tokens(FOLDER, name, ids, self.tokenizer.decode(ids, skip_special_tokens=True))

        found = await self.loop.run_in_executor(None, score)
        return {"reward_score": found["score"], "reward_extra_info": found}
''')

EASYR1 = Template('''"""The reward of domain `$domain` for EasyR1; it needs indirect-rlvr and the pack of the domain.

worker.reward.reward_function is this file with :compute_score behind it; data.prompt_key is problem, data.answer_key is
answer, data.image_key is images. A term that counts tokens counts those of the text, encoded again.
"""

from pathlib import Path

from indirect_rlvr.export import verl

FOLDER = Path(__file__).resolve().parent
REWARD_NAME = "indirect_rlvr_$identifier"
REWARD_TYPE = "batch"


def compute_score(reward_inputs, **kwargs):
    """For each input the weighted total as `overall`, and each term by its name."""
    return verl.compute_scores(FOLDER, reward_inputs)
''')


class RewardInput(TypedDict):
    """What EasyR1 knows of one rollout; `ground_truth` is the `answer` column, here the task's id."""

    response: str
    response_length: int
    ground_truth: str


def export(run: Run, out: Path, tokenizer: str | None = None) -> Counts:
    """Write `train.parquet`, `test.parquet`, the reward files and what they score with into `out`, all or nothing.

    Images lie in the parquet files as the bytes they have. Raises as `bundle.exported` and `bundle.fill` do.
    """
    with bundle.exported(out) as folder:
        rows = bundle.fill(run, folder, "verl", tokenizer)
        for split in bundle.SPLITS:
            _write_parquet(folder / f"{split}.parquet", [row for row in rows if row.task.split == split], run)
        names = {"domain": run.domain.name, "identifier": bundle.identifier(run.domain.name)}
        for file, template in (("verl_reward.py", VERL), ("verl_manager.py", MANAGER), ("easyr1_reward.py", EASYR1)):
            write_text(folder / file, template.substitute(names))
    return Counts(len(rows), "tasks")


def compute_score(
    folder: Path, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None
) -> dict[str, float]:
    """verl's call: the total as `score` and each term, NaN where one does not apply.

    Raises DataError where `extra_info` names no task of the export, or its answer is not `ground_truth`.
    """
    name = str((extra_info or {}).get("task_id"))
    answer = scorer(folder).task(name).answer
    if ground_truth != answer:
        raise DataError(
            f"the data says that the answer of task `{name}` is {ground_truth!r}, the export says {answer!r}; use the "
            "data that was exported with the reward"
        )
    return numbers(scorer(folder)(name, solution_str))


def score_tokens(folder: Path, task_id: str, ids: Sequence[int], text: str) -> dict[str, float]:
    """As `compute_score`, for the sampled tokens `ids`, the end token included where there is one."""
    return numbers(scorer(folder)(task_id, text, ids))


def compute_scores(folder: Path, reward_inputs: Sequence[RewardInput]) -> list[dict[str, float]]:
    """EasyR1's call: for each input the total as `overall` and each term, NaN where one does not apply.

    `response_length` counts the end token, where there is one: a rollout as long as the limit was cut.
    """
    score = scorer(folder)
    found = []
    for given in reward_inputs:
        finished = given["response_length"] < score.limit
        values = numbers(score(given["ground_truth"], given["response"], finished=finished))
        found.append({OVERALL: values.pop(TOTAL), **values})
    return found


def numbers(values: Mapping[str, float | None]) -> dict[str, float]:
    """The values as verl and EasyR1 average them: NaN, never zero, for a term that does not apply."""
    return {name: float("nan") if value is None else float(value) for name, value in values.items()}


def _write_parquet(path: Path, rows: Sequence[Row], run: Run) -> None:
    schema = SCHEMA.append(pa.field("images", pa.list_(IMAGE))) if any(row.images for row in rows) else SCHEMA
    with disk_errors(path), pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), BATCH):
            found = list(_columns(rows[start : start + BATCH], start, run))
            writer.write_table(pa.Table.from_pylist(found, schema=schema))


def _columns(rows: Sequence[Row], start: int, run: Run) -> Iterator[dict[str, object]]:
    root = run.views.resolve()
    for index, row in enumerate(rows, start):
        task = row.task
        yield {
            "data_source": f"indirect_rlvr/{run.domain.name}",
            "prompt": [{"role": "user", "content": row.text}],
            "ability": "multiple choice",
            "reward_model": {"style": "rule", "ground_truth": task.answer},
            "extra_info": {"index": index, "split": task.split, "task_id": task.id},
            "problem": row.text,
            "answer": task.id,
            "images": [{"bytes": p.read_bytes(), "path": p.relative_to(root).as_posix()} for p in row.images],
        }
