"""The JSON that models almost write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indirect_rlvr_geo.benchmarks.lenient_json import LONGEST, read_object

ALMOST = st.text(alphabet="{}[]:,'\"\\`n jsoNeTrufalset01.-\n", max_size=80)


@pytest.mark.parametrize("text", [
    "", "null", "[1, 2]", "7", '"text"', "{", '{"a": 1', '{"a": 1}}', "no object here", "```json\n[1]\n```", "{'a': }",
    "{'a': __import__('os')}", "{'a': 1 + 1}", "{(1): 2}", '{"a": "x' + "\n", "[" * 100_000, '{"a":' * 50_000,
])  # fmt: skip
def test_what_is_no_object_is_empty(text: str) -> None:
    assert read_object(text) == {}


@pytest.mark.parametrize("text", [
    '{"a": 1, "b": null}', ' \n{"a": 1, "b": null}\n', '```json\n{"a": 1, "b": null}\n```',
    "```\n{'a': 1, 'b': None}```",
    'Sure:\n```json{"a": 1, "b": null}``` and more', "{'a': 1, 'b': None}", "{a: 1, b: None}", '{"a": 1, "b": null,}',
    'The answer is {"a": 1, "b": null}. Done.', "I say {a: 1,\n b: null,} here", '{"a": 1, "b": None}',
])  # fmt: skip
def test_every_way_the_release_reads_is_read(text: str) -> None:
    assert read_object(text) == {"a": 1, "b": None}


def test_quotes_within_quotes_are_kept() -> None:
    assert read_object("""{'a': "it's", 'b': 'say "hi"', "c": 'it\\'s', 'd': 'x\\n'}""") == {
        "a": "it's", "b": 'say "hi"', "c": "it's", "d": "x\n",
    }  # fmt: skip
    assert read_object("{'a': 'x, ]', 'b': [1, ],}") == {"a": "x, ]", "b": [1]}


def test_a_text_beyond_the_limit_is_not_read() -> None:
    assert read_object('{"a": 1}' + " " * LONGEST) == {}


@given(ALMOST | st.text())
def test_no_text_raises(text: str) -> None:
    assert isinstance(read_object(text), dict)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text() | st.floats(-1e9, 1e9))))
def test_a_python_literal_is_read_as_python_reads_it(value: dict[str, object]) -> None:
    written = repr(value)
    if not any(word in written for word in ("None", "True", "False", "\\x", "\\U")) and not written.count("```") >= 2:
        assert read_object(written) == value
