"""MEGA-Bench core: readings and scores of the release, what is not computed offline, a run by hand."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Benchmark, Response, View
from indirect_rlvr_geo.benchmarks import mega_bench
from indirect_rlvr_geo.benchmarks.mega_bench_parsing import answer_string, json_object
from indirect_rlvr_geo.benchmarks.mega_bench_scores import SCORES

MEGA = mega_bench.benchmarks()[0]
Scored = Callable[[Benchmark, Path, Mapping[str, str]], dict[tuple[str, str, str], dict[str, Any]]]


@pytest.mark.parametrize(("text", "found"), [
    ("", ""), ("Paris", "Paris"), ("I say answer: Paris", "Paris"), ("Answer: A\nthen Answer: B", "B"),
    ("**Answer: Paris** yes", "Paris"), ("**Answer:** Paris", ""), ("myAnswer: x", "myAnswer: x"),
    ("Answer: ```\nx = 1\n```", "x = 1"), ("Answer: \"Paris\"", "Paris"), ("Answer: [1, 2]", [1, 2]),
    ("Answer: {'a': 1", "{'a': 1"), ("Answer: B\n\nbecause it is", "B"), ("Answer: B\nbecause", "B\nbecause"),
    ("Answer: " + "[" * 999, "[" * 999),
])  # fmt: skip
def test_a_single_answer_is_read_as_the_release_reads_it(text: str, found: object) -> None:
    assert answer_string(text, single_line=True) == found


@pytest.mark.parametrize(("text", "found"), [
    ("", None), ("none", None), ("{}", None), ("[1]", None), ('{"a": 1', None), ("{" * 999 + "}" * 999, None),
    ('{"a": 1}', {"a": 1}), ('first {"a": 1} then {"a": 2}.', {"a": 2}), ("```json\n{'a': 'x'}\n```", {"a": "x"}),
    ('Answer: {"a": [{"b": "}"}]}', None),
])  # fmt: skip
def test_a_json_answer_is_the_last_object(text: str, found: object) -> None:
    assert json_object(text) == found


@pytest.mark.parametrize(("name", "said", "gold", "worth"), [
    ("exact_str_match", "B. blue", "B", 1), ("exact_str_match", "(B)", "B", 1), ("exact_str_match", "Banana", "B", 1),
    ("exact_str_match", "b", "B", 0), ("exact_str_match", 7, "7", 1), ("exact_str_match", "Blue", "blue", 0),
    ("exact_str_match_case_insensitive", "Blue", "blue", 1), ("exact_str_match_case_insensitive", 7, "7", 0),
    ("simple_str_match", "Ice - Cream.", "icecream", 1), ("simple_str_match", ["a"], "a", 0),
    ("multi_ref_phrase", "NYC", "['New York', 'N.Y.C.']", 1), ("multi_ref_phrase", "", "[]", 0),
    ("multi_ref_phrase", "b", "a, b", 1),
    ("number_rel_diff_ratio", "9", "10", 0.9), ("number_rel_diff_ratio", 30, "10", 0),
    ("number_rel_diff_ratio", "x", "1", 0),
    ("number_rel_diff_ratio", "1", "0", 0),
    ("set_equality", "[1, 2, 2]", "{2, 1}", 1), ("set_equality", ["a", ["b"]], "['a', ['b']]", 1),
    ("set_equality", "[1", "[1]", 0), ("set_equality_case_insensitive", "A, b", "a, B", 1),
    ("jaccard_index", "a, b", "b, c", 1 / 3), ("jaccard_index", "", "[]", 1), ("jaccard_index", None, "a", 0),
    ("jaccard_index_case_insensitive", ["A", 1], "a, b", 1 / 3),
    ("jaccard_index_case_insensitive", [["A-1", "x y"]], "[('a1', 'xy')]", 1),
    ("jaccard_index_case_insensitive", "a", "[('a1', 'xy')]", 0),
    ("str_set_equality_line_break", "a\\nB", "b\nA", 1), ("str_set_equality_comma", "a, None", "none, A", 1),
    ("sequence_equality", "[1, 2]", "1, 2", 1), ("sequence_equality", "2, 1", "1, 2", 0),
    ("sequence_equality", [1, 2], "[1, 2]", 1),
    ("sequence_equality_case_insensitive", "A, b", "['a', 'B']", 1),
    ("sequence_accuracy_case_insensitive", "a, x", "A, B", 0.5), ("sequence_accuracy_case_insensitive", "a", "A, B", 0),
    ("longest_common_list_prefix_ratio", "a, b, x", "a, b, c, d", 0.5),
    ("longest_common_list_prefix_ratio", "", "a", 0),
])  # fmt: skip
def test_fields_are_scored_as_the_release_scores_them(name: str, said: object, gold: str, worth: float) -> None:
    assert SCORES[name](said, gold) == pytest.approx(worth)


def info(parser: str = "answer_string", how: str = "mean", **metrics: str) -> str:
    weights = {field: 1 + place for place, field in enumerate(metrics)}
    rule = {"field_score_function": metrics, "aggregation": {"function": how, "field_weights": weights},
            "response_parse_function": parser}  # fmt: skip
    return str(rule)


def row(name: str, task: str, rule: str, answer: Mapping[str, str], **more: str) -> dict[str, str]:
    return {
        "id": name, "task_name": task, "task_description": "Say <image>.", "global_media": "['./data/a.png']",
        "example_text": "", "example_media": "[]", "query_text": "Which?", "query_media": "[]", "answer": str(answer),
        "metric_info": rule, **more,
    }  # fmt: skip


TWO = info("json", place="exact_str_match", time="set_equality")
ROWS = [
    row("1", "capitals", info(city="simple_str_match"), {"city": "Paris"}),
    row("2", "capitals", info(city="simple_str_match"), {"city": "Rome"}),
    row("3", "trips", TWO, {"place": "Rome", "time": "[1, 2]"}, query_text="<image> and <image>?",
        query_media="['./data/a.png', './data/gone.png']"),
    row("4", "trips", TWO, {"place": "Rome", "time": "[1, 2]"}),
    row("5", "judged", info(text="gpt_4o_as_judge"), {"text": "x"}),
    row("6", "films", info(text="exact_str_match"), {"text": "x"}, query_text="<video>",
        query_media="['./data/a.mp4']"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    picture(tmp_path / "data/a.png")
    (tmp_path / "data/a.mp4").write_bytes(b"film")
    write(tmp_path, *ROWS)
    return tmp_path


def write(folder: Path, *rows: Mapping[str, str]) -> None:
    (folder / "core").mkdir(exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / "core/test.parquet")


@pytest.mark.parametrize(("change", "message"), [
    ({"metric_info": "{}"}, r"test.parquet` query `1`: `metric_info` is not as MEGA-Bench writes it \(KeyError"),
    ({"metric_info": "os.system('x')"}, "query `1`: `metric_info` is no Python literal: ValueError"),
    ({"answer": "['x']"}, "query `1`: `answer` holds list; expected a dict"),
    ({"query_media": "7"}, "query `1`: `query_media` holds int; expected a list"),
])  # fmt: skip
def test_a_bad_row_is_named(folder: Path, change: Mapping[str, str], message: str) -> None:
    write(folder, ROWS[0] | dict(change))
    with pytest.raises(DataError, match=message):
        list(mega_bench.examples(folder))


def test_other_files_are_refused(folder: Path) -> None:
    write(folder, {"id": "1"})
    with pytest.raises(DataError, match="has no column `task_name`; expected MEGA-Bench's `core`"):
        list(mega_bench.examples(folder))
    (folder / "core/test.parquet").write_bytes(b"no")
    with pytest.raises(DataError, match=r"test.parquet` cannot be read as Parquet"):
        list(mega_bench.examples(folder))


def test_what_cannot_be_scored_or_shown_is_named_and_not_asked(folder: Path) -> None:
    found = {example.id: example.missing for example in mega_bench.examples(folder)}
    assert found["3"] == ("data/gone.png",)
    assert found["5"] == ("metric gpt_4o_as_judge is not computed offline",)
    assert found["6"] == ("./data/a.mp4: videos are not read",)
    assert found["1"] == found["2"] == found["4"] == ()
    write(folder, row("1", "x", info("dummy", "max", a="exact_str_match"), {"a": "1"}))
    assert next(iter(mega_bench.examples(folder))).missing == (
        "response parser dummy is not implemented", "aggregation max is not implemented"
    )  # fmt: skip


def test_media_stand_where_the_texts_have_their_places(folder: Path) -> None:
    prompt = next(iter(mega_bench.examples(folder))).prompt
    shown = ["@" if isinstance(part, View) else part for part in prompt.parts]
    assert shown == ["Say ", "@", ".", f"\n\n{mega_bench.INSTRUCTION}\n\n", "Which?"]


def test_a_run_by_hand(folder: Path, scored: Scored) -> None:
    found = scored(MEGA, folder, {"1": "Answer: paris", "2": "Answer: Bari", "4": '{"place": "Rome", "time": [1]}'})
    convention = "strict, rule metrics"
    assert found["capitals", "score", convention]["value"] == 0.5
    trips = found["trips", "score", convention]
    assert (trips["value"], trips["n"], trips["n_missing_media"]) == (pytest.approx(1 / 3), 1, 1)
    core = found["", "macro score (2 of 4 tasks)", convention]
    assert (core["value"], core["n_missing_media"]) == (pytest.approx((0.5 + 1 / 3) / 2), 3)


def test_without_json_every_field_is_the_whole_response_as_in_the_release(folder: Path) -> None:
    example = list(mega_bench.examples(folder))[3]
    parsed = mega_bench.parse(example, Response("Rome"))
    assert parsed == {"fields": {"place": "Rome", "time": "Rome"}, "json": False}
    assert mega_bench.judge(example, parsed) == {"score": pytest.approx(1 / 3)}
    assert mega_bench.judge(example, None) == {"score": 0}


def test_the_published_overall_score_is_the_mean_over_all_505_tasks() -> None:
    """Qwen2-VL-7B's core .3294 and open .4487, both rounded, give the published .3447."""
    assert mega_bench.overall(0.3294, 0.4487) == pytest.approx(0.3447, abs=1e-4)
