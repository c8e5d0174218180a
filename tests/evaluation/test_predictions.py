import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation.choice import accuracies, choice_benchmark, choice_example
from indirect_rlvr.evaluation.predictions import MAX_LINE, read, score
from indirect_rlvr.evaluation.suite import Place, at
from indirect_rlvr.types import Prompt, Source, View

EXAMPLES = [
    choice_example(f"n{n}", f"c{n}", Prompt((View("photo", "image", f"{n}.png"), "?")), ("A", "B"), "A")
    for n in range(4)
]
TOY = choice_benchmark("toy", "which", lambda folder: EXAMPLES)
RIGHT = "<think>x</think><answer>A</answer>"


@pytest.fixture
def scored(tmp_path):
    def write(*lines, benchmark=TOY, convention=None):
        path = tmp_path / "said.jsonl"
        path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
        return score(Place(benchmark, tmp_path, ""), path, convention)

    return write


def said(name, text=RIGHT, **more):
    return {"id": name, "response": text, **more}


def faults(found):
    return {what: (at["n"], at["first"]) for what, at in found["faults"].items()}


def test_a_file_without_a_usable_line_is_refused(scored, tmp_path):
    with pytest.raises(DataError, match=r"has no usable line \(not JSON \(torn\?\): 2\); a line is"):
        scored(b"id,response", b"n0,A")
    with pytest.raises(DataError, match=r"has no usable line \(it is empty\)"):
        scored()
    with pytest.raises(DataError, match="cannot read .*: No such file or directory"):
        score(Place(TOY, tmp_path, ""), tmp_path / "absent.jsonl")


def test_absent_truth_says_what_to_get(tmp_path):
    published = choice_benchmark("toy", "", lambda folder: EXAMPLES, source=Source("h", "l", "s", "t.csv", ("t.csv",)))
    with pytest.raises(DataError, match=r"lacking: t\.csv"):
        score(at(published, tmp_path), tmp_path / "said.jsonl")


def test_truth_with_swapped_columns_is_refused(scored):
    def swapped(folder):
        raise DataError("latitude 151.2 is out of range; are the columns swapped?")

    with pytest.raises(DataError, match="are the columns swapped"):
        scored(said("n0"), benchmark=choice_benchmark("toy", "", swapped))


def test_everything_wrong_with_a_file_is_counted_and_named_and_the_rest_is_scored(scored):
    found = scored(
        said("n0"),
        said("n0", "<answer>B</answer>"),
        said("who"),
        b'{"id": "n1", "respo',
        b"[1, 2]",
        {"response": RIGHT},
        {"id": "n2", "response": None},
        {"id": True, "response": RIGHT},
        b'{"id": "n3", "response": "' + b"x" * MAX_LINE + b'"}',
        b"",
    )
    assert faults(found) == {
        "a line of more than 16,777,216 bytes": (1, ["line 9"]),
        "an id that came before (its first line counts)": (1, ["n0"]),
        "an id that the benchmark does not have": (1, ["who"]),
        "neither response nor parsed (counts as no answer)": (1, ["n2"]),
        "no id": (3, ["line 5", "line 6", "line 8"]),
        "no line for an example (counts as no answer)": (2, ["n1", "n3"]),
        "not JSON (torn?)": (1, ["line 4"]),
    }
    (metric,) = found["metrics"]
    assert (metric["value"], metric["n"], metric["n_parsed"]) == (0.25, 4, 1)


def test_a_file_of_another_benchmark_is_refused_with_an_id_of_each(scored):
    with pytest.raises(DataError, match="answers no example of `toy`: its ids are like 'sea-1', .* like 'n0'"):
        scored(said("sea-1"), said("sea-2"))


def test_an_id_with_half_a_surrogate_pair_can_be_named(scored):
    found = faults(scored(said("n0"), b'{"id": "n\\ud800", "response": "x"}'))
    assert found["an id that the benchmark does not have"] == (1, ["n?"])


def test_a_response_that_is_no_text_is_named_as_that(scored):
    found = faults(scored({"id": "n0", "response": 17}, {"id": "n1"}))
    assert found["response is not text (counts as no answer)"] == (1, ["n0"])
    assert found["neither response nor parsed (counts as no answer)"] == (1, ["n1"])


def test_a_response_of_a_megabyte_is_read(scored):
    found = scored(*[said(f"n{n}", "x" * 10**6 + RIGHT) for n in range(4)])
    assert (found["metrics"][0]["value"], found["faults"]) == (1.0, {})


def test_fields_read_elsewhere_are_judged_and_odd_ones_are_named(scored):
    picky = choice_benchmark("toy", "", lambda folder: EXAMPLES)
    found = scored({"id": "n0", "parsed": {"answer": "A"}}, {"id": "n1", "parsed": {"answer": ["A"]}}, benchmark=picky)
    assert found["metrics"][0]["value"] == 0.25 and found["metrics"][0]["n_parsed"] == 2


@pytest.mark.parametrize("fault", [KeyError("answer"), TypeError("x"), float("nan")])
def test_fields_that_cannot_be_judged_count_as_no_answer(scored, fault):

    def judge(example, parsed):
        if parsed is None:
            return {"correct": 0.0}
        if isinstance(fault, Exception):
            raise fault
        return {"correct": fault}

    found = scored({"id": "n0", "parsed": {"reply": "A"}}, benchmark=replace(TOY, judge=judge))
    assert faults(found)["fields that cannot be judged (count as no answer)"] == (1, ["n0"])
    assert found["metrics"][0]["n_parsed"] == 0


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        ([[4, 5]], None),
        (None, None),
        ([4, 5], "no list"),
        ([[4]], "no list"),
        ([[0, 5]], "no list"),
        ("4x5", "no list"),
        ([[4.5, 5]], "no list"),
        ([[10**400, 5]], "no list"),
        ([[4, 5], [4, 5]], "not one for each image"),
    ],
)
def test_frames_are_taken_where_they_fit(scored, frames, fault):
    seen = []

    def parse(example, response):
        seen.append(response.frames)
        return {"answer": "A"}

    found = scored(
        said("n0", frames=frames), benchmark=choice_benchmark("toy", "", lambda folder: EXAMPLES, parse=parse)
    )
    assert seen == [((4, 5),) if frames == [[4, 5]] else ()]
    assert any("frames" in what for what in found["faults"]) == (fault is not None)
    assert fault is None or any(fault in what for what in found["faults"])


def test_what_a_system_could_not_be_asked_is_missing_and_what_is_not_here_does_not_matter(scored):
    lost = choice_example("gone", "c", Prompt(("?",)), ("A", "B"), "A", missing=("gone.png",))
    benchmark = choice_benchmark("toy", "", lambda folder: [*EXAMPLES[:2], lost])
    found = scored(said("n0"), {"id": "n1", "missing": ["1.png"]}, said("gone"), benchmark=benchmark)
    assert found["missing_media"] == {"n": 1, "first": ["n1"]}
    assert (found["metrics"][0]["value"], found["metrics"][0]["n"], found["n_responses"]) == (1.0, 2, 2)


def test_numbers_are_ids_and_the_answers_of_eval_are_predictions(scored, tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"id": 7, "text": "a", "frames": [], "tokens": 1, "finished": true, "asked": "x"}\n')
    assert read(path).responses["7"].text == "a"


def test_a_convention_picks_its_metrics_and_an_unknown_one_lists_them(scored):

    def both(graded):
        (strict,) = accuracies(graded)
        return [strict, replace(strict, convention="official")]

    benchmark = replace(TOY, metrics=both)
    assert [m["convention"] for m in scored(said("n0"), benchmark=benchmark, convention="official")["metrics"]] == [
        "official"
    ]
    with pytest.raises(ConfigError, match="benchmark `toy` has no convention `strictest`; it has: strict, official"):
        scored(said("n0"), benchmark=benchmark, convention="strictest")


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.text(max_size=60).map(lambda text: json.dumps(said("n0", text)).encode()))
    )
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("any") / "said.jsonl"
    path.write_bytes(b"\n".join([*lines, json.dumps(said("n3")).encode()]))
    found = score(Place(TOY, path.parent, ""), path)
    assert found["metrics"][0]["n"] == 4
