"""VRSBench's visual questions, by the part of its rule that needs no judge.

The released notebook asks a language model whether two answers mean the same where a substring does not decide. Here
such an answer is undecided: it counts as wrong in "strict", as right in the upper bound, and its share is printed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.evaluation.metrics import STRICT, asked, majority, per_task, share
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.files import json_rows, photo
from indirect_rlvr_geo.benchmarks.short_answers import stated
from indirect_rlvr_geo.benchmarks.truths import distinct

FILE = "VRSBench_EVAL_vqa.json"
TYPES = (
    "object category", "object existence", "object quantity", "object color", "object shape", "object size",
    "object position", "object direction", "scene type", "reasoning",
)  # fmt: skip
OTHER = "other"
_SAME = {"image": "scene type", "rural or urban": "scene type"}
CORRECT, SUBSTRING, UNDECIDED = "correct", "substring", "undecided"
UPPER, RELEASED = "upper bound: undecided as right", "substring first as released, undecided as wrong"
EXACT = frozenset(("yes", "no", *map(str, range(100))))
"""Gold answers that an answer must equal."""
LONGEST = 100_000

SOURCE = Source(
    homepage="https://huggingface.co/datasets/xiang709/VRSBench",
    licence="texts CC BY 4.0; images from DOTA and DIOR, academic use only",
    size="37,409 questions on 9,350 images of 512 × 512 (4.0 GB)",
    layout="VRSBench_EVAL_vqa.json, and Images_val.zip unpacked to Images_val/",
    files=(FILE,),
    revision="VRSBench_EVAL_vqa.json, 9.4 MB",
)


def benchmarks() -> list[Benchmark]:
    """VRSBench VQA; its types of question are the sub-tasks."""
    return [
        Benchmark(
            name="vrsbench-vqa",
            description="short questions about aerial images, scored without a judge",
            source=SOURCE,
            examples=examples,
            parse=parse,
            judge=judge,
            metrics=metrics,
            main=CORRECT,
            tasks=(*TYPES, OTHER),
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """One example for each record of the question file."""
    seen: Counter[str] = Counter()
    for row in json_rows(folder / FILE, ("image_id", "question", "ground_truth", "question_id", "type")):
        name, flags = distinct(f"{row['image_id']}-{row['question_id']}", seen)
        view, missing = photo(folder, f"Images_val/{row['image_id']}")
        kind = str(row["type"]).lower()
        kind = _SAME.get(kind, kind)
        prompt = Prompt((view, f" {row['question']} Answer the question using a single word or phrase."))
        truth = {"answer": str(row["ground_truth"]).lower()}
        yield Example(name, str(row["image_id"]), prompt, truth, kind if kind in TYPES else OTHER, missing, flags)


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"answer": the answer in lower case}; None where nothing is said or it is longer than `LONGEST`."""
    text = stated(response.text)
    plain = (text or "").strip().lower()
    return {"answer": plain} if plain and len(plain) <= LONGEST else None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> dict[str, float]:
    """ "correct" where the rule decides: yes, no and numbers below 100 must be equal, and others are right where the
    gold is part of the answer; "substring" where the released order decides, in which a substring always wins; both
    are absent where only a judge could tell, and "undecided" says whether."""
    gold = example.truth["answer"]
    said = None if parsed is None else parsed["answer"]
    if said is None:
        return {CORRECT: 0.0, SUBSTRING: 0.0, UNDECIDED: 0.0}
    if gold in EXACT:
        return {CORRECT: float(said.strip(" .") == gold), SUBSTRING: float(gold in said), UNDECIDED: 0.0}
    return {CORRECT: 1.0, SUBSTRING: 1.0, UNDECIDED: 0.0} if gold in said else {UNDECIDED: 1.0}


def metrics(graded: Sequence[Graded]) -> list[Metric]:
    """Accuracy under each convention, the share that a judge would have to read, then strict by type with its mean."""
    overall = _accuracy(graded, "")
    found = [
        overall,
        share(graded, CORRECT, UPPER, name="accuracy", absent=1.0),
        share(graded, SUBSTRING, RELEASED, name="accuracy"),
        share(graded, UNDECIDED, STRICT, name="left to a judge"),
        *reversed(per_task(graded, (*TYPES, OTHER), _accuracy, value=CORRECT)),
    ]
    return [metric for metric in found if metric.n or metric.n_missing_media]


def _accuracy(graded: Sequence[Graded], task: str) -> Metric:
    truths = [one.example.truth["answer"] for one in asked(graded)]
    beside = {"majority": majority(truths)} if truths else {}
    return share(graded, CORRECT, STRICT, name="accuracy", task=task, baselines=beside)
