"""Claims in the report: marked where they stand, with a sign beside the colour, escaped whatever they hold."""

import json
import re
from html import unescape

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.claims import FILE, write
from indirect_rlvr.evaluation.score import read_predictions
from indirect_rlvr.reporting import claims
from indirect_rlvr.reporting.html import html
from indirect_rlvr.types import Verdict

HOSTILE = '<script>alert("x")</script>\u202e\x00"\''


def shown(parts):
    return "".join(parts)


def plain(markup):
    return unescape(re.sub(r"<sup[^>]*>.</sup>|<[^>]*>", "", markup))


GOOD = {"claim": "x", "status": "supported", "evidence": ""}


@pytest.mark.parametrize("row", [
    {"id": "a"}, {"id": "a", "verdicts": [{"claim": "x"}]}, [], {"id": "a", "verdicts": [GOOD | {"status": "true"}]},
    {"id": "a", "verdicts": [GOOD | {"span": ["a", 1]}]}, {"id": "a", "verdicts": [GOOD | {"span": [1]}]},
])  # fmt: skip
def test_a_file_that_holds_no_verdicts_is_named(tmp_path, row):
    (tmp_path / FILE).write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=re.escape(f"{FILE}` holds something else than verdicts")):
        claims.read(tmp_path)


def test_a_row_without_checks_has_no_verdicts(tmp_path):
    assert claims.read(tmp_path) == {}
    assert shown(claims.marked("a <b> trace", ())) == "a &lt;b&gt; trace"
    assert claims.summary(()) == []


def test_each_status_has_a_sign_and_its_evidence_beside_its_colour():
    trace = "in France, in Spain, perhaps hot"
    verdicts = [
        Verdict("country: Spain", "contradicted", "it lies in France", "country", (14, 19)),
        Verdict("country: France", "supported", "so it is", "country", (3, 9)),
        Verdict("climate: hot", "unverifiable", "hedged", "climate", (29, 32)),
    ]
    page = shown(claims.marked(trace, verdicts))
    assert plain(page) == trace
    assert re.findall(r'class="claim is-(\w+)"[^>]*>([^<]*)<sup aria-hidden="true">(.)</sup>', page) == [
        ("supported", "France", "✓"), ("contradicted", "Spain", "✗"), ("unverifiable", "hot", "?"),
    ]  # fmt: skip
    assert 'aria-label="Spain, contradicted: country: Spain (it lies in France)"' in page
    assert plain(shown(claims.summary(verdicts))) == (
        "3 claims checked against the metadata: 1 ✓ supported, 1 ✗ contradicted, 1 ? unverifiable."
        "✗ country: Spain: it lies in France"
    )


@pytest.mark.parametrize("spans", [[(0, 4), (2, 6)], [(5, 900)], [(-3, 2)], [(4, 4)], [(6, 2)], [(0, 11), (0, 3)]])
def test_spans_that_overlap_or_lie_outside_lose_no_text(spans):
    trace = "ab <cd> efg"
    assert plain(shown(claims.marked(trace, [Verdict("c", "supported", "e", "k", span) for span in spans]))) == trace


def test_hostile_claims_and_traces_make_no_markup():
    trace = HOSTILE * 3
    page = shown([*claims.marked(trace, [Verdict(HOSTILE, "contradicted", HOSTILE, HOSTILE, (2, len(HOSTILE) + 9))]),
                  *claims.summary([Verdict(HOSTILE, "contradicted", HOSTILE)] * 12)])  # fmt: skip
    assert set(re.findall(r"<(\w+)", page)) == {"mark", "sup", "p", "ul", "li"}
    assert "\u202e" not in page and "\x00" not in page
    assert "and 4 more" in page


def test_a_long_trace_is_cut_as_before_with_its_claims():
    trace = "in France " * 20_000
    verdicts = [Verdict("c", "supported", "e", "k", (i + 3, i + 9)) for i in range(0, len(trace), 10)]
    page = shown(claims.marked(trace, verdicts))
    assert page.count("<mark") == 600
    assert "194,000 more characters, cut here" in page


def test_answers_are_checked_into_the_run_and_shown_in_the_page(run):
    from indirect_rlvr.data import proxy

    def check(task, text):
        at = text.find("E8")
        return [Verdict("query: E at level 8", "contradicted", "level 2", "terrain", (at, at + 2))] if at >= 0 else []

    tasks = [task for task in proxy.read(run / "tasks.jsonl") if task.split == "test"]
    answers = run / "evaluation" / "geo-r1" / "proxy.jsonl"
    before = html(run)
    assert "<mark" not in before
    assert write(check, tasks, answers) == len(list(read_predictions(answers))) == 48
    assert [row["id"] for row in map(json.loads, (answers.parent / FILE).read_text().splitlines())]
    page = html(run)
    assert page.count('class="claim is-contradicted"') == 4
    assert "✗ query: E at level 8: level 2" in page
