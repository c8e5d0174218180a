"""ms-swift: JSON lines of messages, images and solution, and the same composite as ORMs of a plugin file."""

from collections.abc import Sequence
from pathlib import Path
from string import Template

from indirect_rlvr.errors import RunError
from indirect_rlvr.export import bundle
from indirect_rlvr.export.scorer import scorer
from indirect_rlvr.pipeline import Run
from indirect_rlvr.run import write_jsonl, write_text
from indirect_rlvr.types import Counts

PLUGIN = Template('''"""The reward of domain `$domain` for ms-swift; it needs indirect-rlvr and the pack of the domain.

ROOT_IMAGE_DIR=FOLDER swift rlhf --rlhf_type grpo --dataset FOLDER/train.jsonl --external_plugins FOLDER/plugin.py
    --reward_funcs $all_names --reward_weights $all_weights
"""

from pathlib import Path

from swift.rewards import ORM, orms

from indirect_rlvr.export import ms_swift

FOLDER = Path(__file__).resolve().parent


class Total(ORM):
    """The weighted total; a subclass gives the value of one term, to be logged with weight 0."""

    column = "score"

    def __call__(self, completions, **kwargs):
        return ms_swift.rewards(FOLDER, self.column, completions, **kwargs)


orms["$name"] = type("$name", (Total,), {})
for term in $terms:
    orms[f"${name}_{term}"] = type(f"${name}_{term}", (Total,), {"column": term})
''')


def export(run: Run, out: Path, tokenizer: str | None = None) -> Counts:
    """Write `train.jsonl`, `test.jsonl`, `images/`, `plugin.py` and what it scores with into `out`, all or nothing.

    Image paths are relative to `out`. Raises as `bundle.exported` and `bundle.fill` do.
    """
    with bundle.exported(out) as folder:
        rows = bundle.fill(run, folder, "ms-swift", tokenizer)
        copied = bundle.copy_images(rows, run, folder)
        for split in bundle.SPLITS:
            lines = [
                {
                    "messages": [{"role": "user", "content": row.text}],
                    **({"images": [copied[path] for path in row.images]} if row.images else {}),
                    "solution": row.task.answer,
                    "task_id": row.task.id,
                }
                for row in rows
                if row.task.split == split
            ]
            write_jsonl(folder / f"{split}.jsonl", lines)
        write_text(folder / "plugin.py", _plugin(run, [term.name for term in bundle.composite(run).terms]))
    return Counts(len(rows), "tasks")


def _plugin(run: Run, terms: Sequence[str]) -> str:
    name = f"rlvr_{bundle.identifier(run.domain.name)}"
    return PLUGIN.substitute(
        domain=run.domain.name,
        name=name,
        terms=tuple(terms),
        all_names=" ".join([name, *(f"{name}_{term}" for term in terms)]),
        all_weights=" ".join(["1", *("0" for _ in terms)]),
    )


def rewards(
    folder: Path,
    column: str,
    completions: Sequence[str],
    *,
    task_id: Sequence[str] = (),
    response_token_ids: Sequence[Sequence[int] | Sequence[Sequence[int]]] | None = None,
    is_truncated: Sequence[bool] | None = None,
    **_: object,
) -> list[float | None]:
    """ms-swift's call of one ORM: `score` or the value of one term for each completion, None where it does not apply.

    Raises RunError for lengths that differ or a conversation of several turns.
    """
    if len(task_id) != len(completions):
        raise RunError(
            f"ms-swift handed over {len(completions)} completions and {len(task_id)} task ids; expected as many of "
            "each; train on the exported data, whose column `task_id` names the task"
        )
    ids = response_token_ids or [()] * len(completions)
    finished = [None] * len(completions) if is_truncated is None else [not cut for cut in is_truncated]
    return [
        scorer(folder)(name, text, _one_turn(found) or None, ended)[column]
        for name, text, found, ended in zip(task_id, completions, ids, finished, strict=True)
    ]


def _one_turn(found: Sequence[int] | Sequence[Sequence[int]]) -> list[int]:
    """Token ids as ms-swift has them: flat, or one list for each turn."""
    turns = [[one] if isinstance(one, int) else list(one) for one in found]
    if len(turns) > 1 and any(not isinstance(one, int) for one in found):
        raise RunError(
            f"ms-swift handed over a completion of {len(turns)} turns; a proxy task has one: single-turn only"
        )
    return [token for turn in turns for token in turn]
