import json

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.reporting.html import html
from indirect_rlvr.reporting.summary import summary, verdict


def test_a_folder_that_is_no_run_says_which_folder_to_name(tmp_path):
    with pytest.raises(DataError, match=r"holds no run: there is no manifest\.json; name the folder that"):
        summary(tmp_path)


def test_results_of_another_shape_name_the_key_that_is_missing(run, change):
    change(run / "results.json", lambda results: results.pop("rows"))
    with pytest.raises(DataError, match=r"results\.json` is not what its stage writes: .*`rows`: Field required"):
        summary(run)


def test_a_manifest_without_stages_is_named(run, change):
    change(run / "manifest.json", lambda manifest: manifest.pop("stages"))
    with pytest.raises(DataError, match=r"manifest\.json` is not what its stage writes: `stages`: Field required"):
        summary(run)


def test_an_audit_without_its_levels_is_named(run, change):
    change(run / "audit.json", lambda audit: audit.pop("by_level"))
    with pytest.raises(DataError, match=r"audit\.json` is not what its stage writes"):
        html(run)


def test_the_summary_is_what_other_programs_rely_on(finished_run):
    found = summary(finished_run)
    assert [row["model"] for row in found["rows"]] == ["base", "geo-sft", "geo-r1-zero", "geo-r1"]
    for row in found["rows"]:
        assert {"accuracy", "ci95", "n", "format_rate", "mean_completion_tokens", "controls"} <= row.keys()
        assert row["ci95"][0] <= row["accuracy"] <= row["ci95"][1]
        assert {"answer_histogram", "unparsable"} <= row.keys()
        assert row["controls"].keys() == {"no_query", "no_images", "other_query", "permuted"}
        assert all(control.keys() == {"accuracy", "ci95", "n", "answered"} for control in row["controls"].values())
    (target,) = found["targets"]
    assert {"name", "n", "base", "geo_r1", "p_value"} <= target.keys()
    assert found["seconds"] == {"records": 12.4, "tasks": 31.0, "sft": 140.2}
    assert json.loads(json.dumps(found)) == found


def test_the_verdict_is_one_sentence_with_the_figures():
    rows = [
        {"model": "base", "accuracy": 0.2, "ci95": [0.15, 0.25]},
        {"model": "x-r1", "accuracy": 0.745, "ci95": [0.708, 0.778]},
    ]
    targets = [{"direction": "rose"}, {"direction": "fell"}, {"direction": "no measurable change"}]
    said = verdict({"rows": rows, "targets": targets, "chance": 0.125}).replace("\u00a0", " ")
    assert said == (
        "x-r1 answers 74.5 % of the held-out proxy tasks (95 % interval 70.8 to 77.8), base 20.0 %, and chance is "
        "12.5 %; of 3 target tasks never trained on, 1 rose, 1 fell and 1 did not change measurably."
    )
    assert verdict({"rows": rows, "targets": [], "chance": 0.125}).endswith("; no target task was asked.")
