from pathlib import Path

from indirect_rlvr.evaluation.choice import choice_benchmark
from indirect_rlvr.evaluation.suite import Place, place
from indirect_rlvr.reporting import evaluated
from indirect_rlvr.types import Source

SEA = choice_benchmark(
    "sea", "which sea", lambda folder: [], tasks=("north", "south"), suites=("paper",),
    source=Source("https://example.org", "CC0", "2 photos", "truth.csv\nphotos/", ("truth.csv",), "v1"),
)  # fmt: skip


def metric(value, task="", name="accuracy"):
    return {
        "name": name, "task": task, "value": value, "unit": "share", "n": 4, "n_parsed": 3, "n_missing_media": 1,
        "convention": "strict", "ci95": None if value is None else [0.1, 0.9], "baselines": {"chance": 0.25},
    }  # fmt: skip


def measured(*metrics, missing=0, **controls):
    lost = {"n": missing, "first": [f"id-{n}" for n in range(min(missing, 2))]}
    return {"name": "sea", "metrics": list(metrics), "missing_media": lost, "controls": controls}


def test_nothing_that_was_not_asked_goes_unsaid():
    absent = {"name": "moon", "why": "its files are not here", "get": "from: https://example.org\ninto: data/moon/"}
    said = evaluated.results({"benchmarks": [measured(metric(0.5), missing=3)], "not_asked": [absent]})
    assert "sea: media are missing for 3 (id-0, id-1, …)" in said
    assert "not asked: moon: its files are not here\n  from: https://example.org\n  into: data/moon/" in said
    assert evaluated.results({"benchmarks": [], "not_asked": [absent]}).startswith("not asked: moon")


def test_controls_stand_beside_and_sub_tasks_in_the_file_alone():
    found = measured(metric(0.5), metric(0.25, "north"), blind={"metrics": [metric(0.2)]})
    lines = evaluated.results({"benchmarks": [found], "not_asked": []}).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["benchmark", "sea", "sea (blind)"]
    assert "chance 0.25" in lines[1]


def test_a_benchmark_without_a_metric_of_the_whole_shows_the_sub_tasks_it_is_compared_by():
    parts = [metric(0.5, "north"), metric(0.25, "south")]
    found = measured(*parts, blind={"metrics": parts}) | {"tasks": ["north"]}
    lines = evaluated.results({"benchmarks": [found], "not_asked": []}).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["benchmark", "sea", "sea (blind)"]
    assert all("north" in line and "0.5000" in line for line in lines[1:])


def test_a_value_of_nothing_is_a_dash():
    (_, line) = evaluated.results({"benchmarks": [measured(metric(None))], "not_asked": []}).splitlines()
    assert line.split()[:4] == ["sea", "accuracy", "–", "–"]


def test_faults_of_a_file_follow_its_metrics():
    found = measured(metric(0.5, "north")) | {"faults": {"not JSON (torn?)": {"n": 12, "first": ["line 3", "line 9"]}}}
    assert evaluated.scored(found).splitlines()[-1] == "not JSON (torn?): 12 (line 3, line 9, …)"


def test_an_id_of_a_file_cannot_steer_the_terminal():
    found = measured(metric(0.5)) | {"faults": {"no such id": {"n": 1, "first": ["\x1b[31mred\nline"]}}}
    assert evaluated.scored(found).splitlines()[-1] == "no such id: 1 ([U+001B][31mred line)"


def test_the_list_says_what_is_here_and_one_benchmark_says_how_it_lies(tmp_path):
    (tmp_path / "sea").mkdir()
    absent = evaluated.benchmarks([place(SEA, tmp_path)]).splitlines()[1].split("  ")
    assert [absent[0], absent[1].strip(), absent[-2].strip(), absent[-1]] == ["sea", "no", "truth.csv", "example.org"]
    (tmp_path / "sea" / "truth.csv").touch()
    assert evaluated.benchmarks([place(SEA, tmp_path)]).splitlines()[1].split("  ")[1].strip() == "yes"
    assert evaluated.benchmark(place(SEA, tmp_path)) == (
        "sea: which sea\nsub-tasks: north, south\nsuites: paper\ncompared by: correct\n"
        "from: https://example.org (revision v1; 2 photos; licence: CC0)\n"
        f"into: {tmp_path / 'sea'}/\nlayout:\n  truth.csv\n  photos/"
    )


def test_targets_from_records_have_nothing_to_get():
    hill = Place(choice_benchmark("hill", "a hill", lambda folder: []), Path(), "")
    assert evaluated.benchmark(hill).endswith("nothing: it is made from held-out records")
    assert "made from records" in evaluated.benchmarks([hill])


def test_the_list_stays_within_a_terminal_and_one_benchmark_is_whole():
    long = Source("https://example.org/" + "h" * 90, "L" * 90, "s" * 90, "", ("f" * 90,))
    wide = choice_benchmark("n" * 26, "", lambda folder: [], suites=("retention", "referring"), source=long)
    assert all(len(line) <= 120 for line in evaluated.benchmarks([place(wide, None)]).splitlines())
    assert all(text in evaluated.benchmark(place(wide, None)) for text in (long.homepage, long.licence, long.size))


def test_a_flag_of_all_examples_is_a_line_and_one_of_some_is_in_the_file_alone():
    flags = {"mended": {"n": 4, "with": [], "without": []}, "seen": {"n": 1, "with": [], "without": [metric(0.5)]}}
    lines = evaluated.scored(measured(metric(0.5)) | {"faults": {}, "flags": flags}).splitlines()
    assert lines[2:] == ["all examples: mended"]
