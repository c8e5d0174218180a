"""Every parser of GeoChain, MMMU, MMMU-Pro, GPQA, MEGA-Bench, RSVQA and VRSBench VQA on any text: made ones, cut ones,
a megabyte, and real responses of real models."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.types import Benchmark, Example, Prompt, Response
from indirect_rlvr_geo.benchmarks import (
    geochain,
    geochain_answers,
    gpqa,
    mega_bench,
    mmmu,
    mmmu_pro,
    rsvqa,
    vrsbench_vqa,
)
from indirect_rlvr_geo.benchmarks.geochain_key import OPTIONS
from indirect_rlvr_geo.benchmarks.mega_bench_scores import SCORES

RAW = Path(__file__).parents[5] / "shared/data/mmmu/mmmu/example_outputs"
LETTERS = {"A": "a red kite", "B": "a blue whale", "C": "", "I": "none of them"}


def geochain_truth(question: int) -> dict[str, Any]:
    answer = {10: "Japan", 18: "English, French", 19: "Tokyo", 20: "Tokyo"}.get(question, "Yes")
    label = answer if question in OPTIONS else geochain_answers.label(question, answer)
    more = {"languages": ["English"], "country": "CA", "latitude": 48.85, "longitude": 2.35}
    return {"question": question, "answer": answer, "label": label, **more}


def mega_truth(names: Mapping[str, str], parser: str) -> dict[str, Any]:
    answer = dict.fromkeys(names, "[('a', 'b'), 1]")
    return {"answer": answer, "metrics": dict(names), "aggregation": "mean", "weights": {}, "parser": parser}


CASES: list[tuple[Benchmark, str, dict[str, Any]]] = [
    *((geochain.benchmarks()[0], "", geochain_truth(question)) for question in (1, 8, 9, 10, 15, 18, 19, 20, 21)),
    (mmmu.benchmarks()[0], "", {"answer": "A", "options": LETTERS}),
    (mmmu.benchmarks()[0], "", {"answer": ["7", "seven"], "options": {}}),
    (mmmu_pro.benchmarks()[0], "", {"answer": "A", "labels": list(LETTERS), "options": LETTERS}),
    (gpqa.benchmarks()[0], "", {"answer": "A", "labels": ["A", "B", "C", "D"]}),
    *((rsvqa.benchmarks()[0], kind, {"answer": "yes" if kind in rsvqa.WORDS else "7", "class": "yes"})
      for kind in ("presence", "rural_urban", "count", "area")),
    (vrsbench_vqa.benchmarks()[0], "", {"answer": "yes"}),
    (vrsbench_vqa.benchmarks()[0], "", {"answer": "tennis court"}),
    (mega_bench.benchmarks()[0], "", mega_truth({name: name for name in SCORES}, "json")),
    *((mega_bench.benchmarks()[0], "", mega_truth({name: name}, "answer_string")) for name in SCORES),
]  # fmt: skip
NAMES = [f"{benchmark.name}-{number}" for number, (benchmark, *_) in enumerate(CASES)]
cases = pytest.mark.parametrize(("benchmark", "task", "truth"), CASES, ids=NAMES)
LIKELY = st.text(alphabet="0123456789.,-+eE=°NSEW{}[]()\"':<>/answerltiudo gcyk\n`\\*$ABC", max_size=120)
TAGGED = st.builds("{}<answer>{}</answer>{}".format, st.sampled_from(["", "Answer: ", "```json "]),
                   st.text(max_size=60) | LIKELY, st.sampled_from(["", "<answer>", "```"]))  # fmt: skip
GOOD = "<think>so it is</think> Answer: <answer>{\"a\": [1, 'b']} B (B) yes 12.5, 2.35 English, French</answer>\nx = 3"


def check(benchmark: Benchmark, task: str, truth: Mapping[str, Any], text: str) -> None:
    example = Example("x", "x", Prompt(("",)), truth, task)
    found = benchmark.parse(example, Response(text))
    values = benchmark.judge(example, found)
    assert all(math.isfinite(value) for value in values.values())
    assert 0 <= values.get(benchmark.main, 0.0) <= 1


@cases
@settings(max_examples=40)
@given(text=st.text(max_size=200) | LIKELY | TAGGED)
def test_no_text_raises(benchmark: Benchmark, task: str, truth: dict[str, Any], text: str) -> None:
    check(benchmark, task, truth, text)


@cases
def test_a_response_cut_anywhere_does_not_raise(benchmark: Benchmark, task: str, truth: dict[str, Any]) -> None:
    for length in range(len(GOOD)):
        check(benchmark, task, truth, GOOD[:length])
        check(benchmark, task, truth, GOOD[length:])


@pytest.mark.parametrize("piece", [
    "a", " ", "\n", "1", "1.", "1,111", "{", "(", "{}", "{a}", '"', "\\", "```", "*", "<answer>",
    "<answer></answer>", "Answer: ",
    "**Answer:", "so \n", "(A)", "I ", "48.85, 2.35\n", '{"a":', "e\u0301", "English, ",
])  # fmt: skip
def test_a_megabyte_of_anything_is_read_in_linear_time(piece: str) -> None:
    """No clock: anything quadratic would take the test run hours."""
    text = piece * (1_000_000 // len(piece))
    for number in (0, 3, 5, 8, 9, 10, 11, 12, 15, 17, 18):
        check(*CASES[number], text)


@pytest.mark.skipif(not RAW.is_dir(), reason="needs ../shared/data/mmmu")
def test_real_responses_of_real_models_do_not_raise() -> None:
    texts = set()
    for path in sorted(RAW.rglob("output.json")):
        texts |= {str(row["response"]) for row in json.loads(path.read_text())}
    assert len(texts) > 500
    for case in CASES:
        for text in sorted(texts)[::8]:
            check(*case, text)
