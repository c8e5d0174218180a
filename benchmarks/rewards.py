"""Measure the reward kernels against the papers' formulations in plain Python, side by side, with the same results.

    python benchmarks/rewards.py benchmarks/results/rewards.json

Every number is a ratio of medians over alternating rounds, so that a busy machine slows both sides alike; the seconds
are of this machine. pycocotools (in the dev extra) is what average precision is compared with.
"""

import contextlib
import io
import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from indirect_rlvr.config import Reward
from indirect_rlvr.rewards.composite import build
from indirect_rlvr.rewards.geometry import average_precision, giou, iou
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.rewards.terms import distinct_ngrams
from indirect_rlvr.types import Completion, ProxyTask, Question

ROUNDS = 5
N = 6


def main(path: Path) -> None:
    rng = random.Random(0)
    found = {
        "repetition": repetition(rng),
        "iou and giou": overlaps(np.random.default_rng(0)),
        "average precision": precision(np.random.default_rng(1)),
        "composite": composite(rng),
        "parsers": parsers(),
    }
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def compare(ours: Callable[[], object], theirs: Callable[[], object]) -> dict[str, float]:
    """Median CPU seconds of each, measured in turn, and how many times faster ours is."""
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        for name, call in (("ours", ours), ("theirs", theirs)):
            began = time.process_time()
            call()
            times[name].append(time.process_time() - began)
    ours_s, theirs_s = (statistics.median(times[name]) for name in ("ours", "theirs"))
    return {"ours_s": round(ours_s, 6), "theirs_s": round(theirs_s, 6), "times faster": round(theirs_s / ours_s, 2)}


def published_repetition(text: str) -> float:
    """The released reward: n-grams of lower-cased words, added to a set one by one."""
    words = text.lower().split()
    seen, total = set(), 0
    for gram in zip(*[words[at:] for at in range(N)], strict=False):
        seen.add(gram)
        total += 1
    return len(seen) / total - 1


def repetition(rng: random.Random) -> dict[str, float]:
    ids = [_ids(rng) for _ in range(1024)]
    texts = [" ".join(f"w{one}" for one in row) for row in ids]

    def ours() -> list[float]:
        return [distinct_ngrams(row, N) / (len(row) - N + 1) - 1 for row in ids]

    assert ours() == [published_repetition(text) for text in texts]
    return compare(ours, lambda: [published_repetition(text) for text in texts])


def _ids(rng: random.Random) -> tuple[int, ...]:
    """1,000 tokens: common words, rare ones, and now and then a phrase that comes again."""
    ids: list[int] = []
    while len(ids) < 1000:
        if len(ids) > 50 and rng.random() < 0.02:
            start = rng.randrange(len(ids) - 20)
            ids += ids[start : start + 20]
        ids.append(rng.randrange(300) if rng.random() < 0.7 else rng.randrange(150_000))
    return tuple(ids[:1000])


def published_overlap(one: list[float], other: list[float]) -> tuple[float, float]:
    """IoU and GIoU of one pair, as the papers' code writes them."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    shared = width * height
    union = (one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - shared
    hull = (max(one[2], other[2]) - min(one[0], other[0])) * (max(one[3], other[3]) - min(one[1], other[1]))
    return shared / union, shared / union - (hull - union) / hull


def overlaps(rng: np.random.Generator) -> dict[str, float]:
    boxes, others = (_boxes(rng, 300) for _ in range(2))
    plain, plain_others = boxes.tolist(), others.tolist()

    def theirs() -> list[list[tuple[float, float]]]:
        return [[published_overlap(one, other) for other in plain_others] for one in plain]

    both = np.array(theirs())
    assert np.abs(iou(boxes, others) - both[..., 0]).max() < 1e-12
    assert np.abs(giou(boxes, others) - both[..., 1]).max() < 1e-12
    return compare(lambda: (iou(boxes, others), giou(boxes, others)), theirs)


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.integers(0, 200, (count, 2))
    return np.concatenate([corners, corners + rng.integers(1, 80, (count, 2))], axis=1).astype(float)


def precision(rng: np.random.Generator) -> dict[str, float]:
    cases = []
    for _ in range(60):
        gold = _boxes(rng, int(rng.integers(2, 12)))
        near = gold + rng.integers(0, 6, gold.shape) * [[0, 0, 1, 1]]
        cases.append((rng.permutation(np.concatenate([near, _boxes(rng, 3)])), gold))
    worst = max(abs(average_precision(iou(found, gold)) - coco_precision(found, gold)) for found, gold in cases)
    assert worst < 1e-9
    measured = compare(
        lambda: [average_precision(iou(found, gold)) for found, gold in cases],
        lambda: [coco_precision(found, gold) for found, gold in cases],
    )
    return measured | {"largest difference": worst}


def coco_precision(found: np.ndarray, gold: np.ndarray) -> float:
    """pycocotools on one image of one class, all detections equally sure, only the area range that AP is read from."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"info": {}, "images": [{"id": 1}], "categories": [{"id": 1}], "annotations": _rows(gold)}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(_rows(found)), "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [100]
        evaluation.evaluate()
        evaluation.accumulate()
    values = evaluation.eval["precision"]
    return float(values[values > -1].mean())


def _rows(boxes: np.ndarray) -> list[dict[str, object]]:
    return [
        {"id": at, "image_id": 1, "category_id": 1, "iscrowd": 0, "score": 1.0, "area": (x2 - x) * (y2 - y),
         "bbox": [x, y, x2 - x, y2 - y]}
        for at, (x, y, x2, y2) in enumerate(boxes.tolist(), 1)
    ]  # fmt: skip


def composite(rng: random.Random) -> dict[str, float]:
    """The whole default reward on 1,024 completions of 1,000 tokens."""
    task = ProxyTask("t", "c", "train", 0, Question("?", (), (), {}), tuple("ABCDE"), "B", "r", tuple("vwxyz"))
    rows = []
    for at in range(1024):
        ids = _ids(rng)
        words = " ".join(f"w{one}" for one in ids)
        rows.append(Completion(f"<think>{words}</think><answer>The answer is {'ABCDE'[at % 5]}.</answer>", ids))
    reward = build(Reward(), [])
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for row in rows:
            reward.score(task, row)
        times.append(time.process_time() - began)
    seconds = statistics.median(times)
    return {"seconds": round(seconds, 4), "microseconds for each": round(1e6 * seconds / len(rows), 1)}


def parsers() -> dict[str, float]:
    """The slowest of the hostile texts at 50 kB, in milliseconds, and how many times longer 500 kB takes."""
    pieces = ("<think>", "<answer>", "</answer>", "<answer></answer>", "<answer", "B ", "A.", "n't ", "\\boxed{", "\n",
              "\u0301\u0327", "\ufdfa", "\ud800", "the answer is A. ")  # fmt: skip
    times: dict[int, float] = {}
    for size in (5_000, 50_000, 500_000):
        texts = [piece * (size // len(piece)) for piece in pieces]
        times[size] = max(_parse_ms(text) for text in (*texts, *(f"<answer>{text}</answer>" for text in texts)))
    return {
        "5 kB, ms": round(times[5_000], 3),
        "50 kB, ms": round(times[50_000], 3),
        "500 kB, ms": round(times[500_000], 3),
        "50 kB to 500 kB": round(times[500_000] / times[50_000], 2),
    }


def _parse_ms(text: str) -> float:
    found = []
    for _ in range(3):
        began = time.process_time()
        parse_answer(text, tuple("ABCDE"))
        has_format(text)
        found.append(1000 * (time.process_time() - began))
    return min(found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
