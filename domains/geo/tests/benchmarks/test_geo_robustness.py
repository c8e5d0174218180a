"""Every geolocation parser on any text: made ones, cut ones, a megabyte, and real responses of real models."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indirect_rlvr.types import Benchmark, Example, Graded, Prompt, Response
from indirect_rlvr_geo.benchmarks import globe, im2gps, imageo, osv5m, rsteller

BENCHMARKS = [module.benchmarks()[0] for module in (im2gps, imageo, globe, osv5m, rsteller)]
"""One of each family: its others share parser and judge."""
RAW = Path(__file__).parents[5] / "shared/data/mmmu/mmmu/example_outputs"
TRUTH = {
    "latitude": 48.85, "longitude": 2.35, "city": "Paris", "country": "France", "state": "TX", "states": ["TX"]
}  # fmt: skip
EXAMPLE = Example("x", "x", Prompt(("where?",)), TRUTH)
BARE = Example("y", "y", Prompt(("where?",)), {"city": "", "country": ""})
GOOD = json.dumps({"reverse_geocoding": {"address": {"city": "Paris", "country": "France"},
                                         "coordinates": {"latitude": "48.85", "longitude": "2.35"}}})  # fmt: skip
LIKELY = st.text(alphabet="0123456789.,-+°NSEW{}[]\"':<>/answerltiudo gcyk\n`\\", max_size=120)
TAGGED = st.builds(
    "<answer>{}</answer>{}".format, st.text(max_size=60) | LIKELY, st.sampled_from(["", "<answer>", "```"])
)


def check(benchmark: Benchmark, text: str) -> None:
    parsed = {}
    for example in (EXAMPLE, BARE):
        found = benchmark.parse(example, Response(text))
        json.dumps(found, allow_nan=False)
        values = benchmark.judge(example, found)
        assert all(math.isfinite(value) for value in values.values())
        parsed[example.id] = Graded(example, found, values)
    assert parsed["x"].parsed == parsed["y"].parsed


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
@settings(max_examples=60, deadline=None)  # the first look-up reads the gazetteer
@given(text=st.text(max_size=200) | LIKELY | TAGGED)
def test_no_text_raises(benchmark: Benchmark, text: str) -> None:
    check(benchmark, text)


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_a_response_cut_anywhere_does_not_raise(benchmark: Benchmark) -> None:
    tagged = (
        f"<think>x</think><answer>country: France\ncity: Paris\nstate: TX\ncoordinates: 48.85, 2.35\n{GOOD}</answer>"
    )
    for length in range(0, len(tagged), 3):
        check(benchmark, tagged[:length])
        check(benchmark, tagged[length:])


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
@pytest.mark.parametrize("piece", [
    " ", "\n", "1", "{", "'", "```", "<answer>", "<answer></answer>", "country:", "city:\n", "48.85, 2.35\n", "48.85, ",
    "a: ", "\u0301", "ﷺ",
])  # fmt: skip
def test_a_megabyte_of_anything_is_read_in_linear_time(benchmark: Benchmark, piece: str) -> None:
    """No clock: anything quadratic would take the test run hours."""
    text = piece * (1_000_000 // len(piece))
    for response in (text, f"<answer>{text}</answer>"):
        found = benchmark.parse(EXAMPLE, Response(response))
        assert found is None or len(repr(found)) < 2_000_000


@pytest.mark.skipif(not RAW.is_dir(), reason="needs ../shared/data/mmmu")
def test_real_responses_of_real_models_do_not_raise() -> None:
    texts = set()
    for path in sorted(RAW.rglob("output.json")):
        texts |= {str(row["response"]) for row in json.loads(path.read_text())}
    assert len(texts) > 500
    for benchmark in BENCHMARKS:
        for text in texts:
            check(benchmark, text)
