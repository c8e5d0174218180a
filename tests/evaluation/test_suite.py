from dataclasses import replace
from pathlib import Path

import pytest

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.evaluation.suite import (
    Place,
    Ready,
    at,
    check_names,
    choose,
    get,
    place,
    ready,
    refuse_absent,
    required,
)
from indirect_rlvr.types import Prompt, Source

FILES = ("truth.csv", "photos/*.jpg")
SOURCE = Source("https://example.org/sea", "CC BY 4.0", "2 questions", "\n".join(FILES), FILES, "v1")


def read(folder):
    if not (folder / "truth.csv").read_text().startswith("id"):
        raise DataError(f"`{folder / 'truth.csv'}`: latitude 151.2 is out of range; are the columns swapped?")
    return [choice_example(f"n{n}", "c", Prompt((f"{n}",)), ("A", "B"), "A") for n in range(100)]


HELD_OUT = choice_benchmark("hill", "a hill", lambda folder: [], suites=("terrain",))
SEA = choice_benchmark("sea", "a sea", read, source=SOURCE, suites=("paper",))
MOON = choice_benchmark("moon", "a moon", read, source=SOURCE)
KNOWN = [HELD_OUT, SEA, MOON]


@pytest.mark.parametrize("wanted", ["", ",", "see", "sea,see"])
def test_what_is_unknown_lists_what_is_known(wanted):
    with pytest.raises(ConfigError, match="suites: all, paper, terrain; benchmarks: hill, sea, moon"):
        choose(KNOWN, wanted)


@pytest.mark.parametrize(
    ("wanted", "taken", "named"),
    [
        ("all", ["hill", "sea", "moon"], set()),
        ("paper", ["hill", "sea"], set()),
        ("terrain", ["hill"], set()),
        ("moon", ["moon"], {"moon"}),
        (" moon , paper", ["hill", "sea", "moon"], {"moon"}),
    ],
)
def test_suites_bring_the_held_out_targets_and_names_bring_themselves(wanted, taken, named):
    found, by_name = choose(KNOWN, wanted)
    assert ([each.name for each in found], by_name) == (taken, named)


@pytest.mark.parametrize(
    ("names", "expected"), [(["a/b"], "must be made of"), (["x", "x"], "two benchmarks are named `x`")]
)
def test_names_that_cannot_be_files_are_refused(names, expected):
    with pytest.raises(DataError, match=expected):
        check_names("benchmark", names)


def test_an_absent_benchmark_says_what_to_get_and_where_to_put_it(tmp_path):
    with pytest.raises(DataError) as caught:
        refuse_absent([place(SEA, tmp_path), place(SEA, None)])
    said = str(caught.value)
    assert said.startswith("the files of 2 benchmarks asked for by name are not here")
    for part in ("https://example.org/sea", "CC BY 4.0", "revision v1", f"into: {tmp_path / 'sea'}/", "DATA_ROOT/sea/",
                 "lacking: truth.csv, photos/*.jpg", "    photos/*.jpg"):  # fmt: skip
        assert part in said


def test_only_what_is_lacking_is_named(tmp_path):
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "truth.csv").write_text("id")
    assert place(SEA, tmp_path).lacking == ("photos/*.jpg",)
    (tmp_path / "sea" / "photos").mkdir()
    (tmp_path / "sea" / "photos" / "1.jpg").touch()
    assert place(SEA, tmp_path).lacking == at(SEA, tmp_path / "sea").lacking == ()
    refuse_absent([place(SEA, tmp_path)])


def test_swapped_columns_are_this_benchmark_s_fault(tmp_path):
    (tmp_path / "truth.csv").write_text("151.2,-33.9")
    found = ready(at(SEA, tmp_path), None, 0)
    assert "are the columns swapped?" in found.fault and found.examples == ()


def test_ids_that_come_twice_and_empty_files_are_faults(tmp_path):
    twice = choice_benchmark("t", "", lambda folder: [choice_example("x", "c", Prompt(("?",)), ("A", "B"), "A")] * 2)
    assert "example id `x` comes twice" in ready(Place(twice, tmp_path, ""), None, 0).fault
    assert "holds no example of `hill`" in ready(Place(HELD_OUT, tmp_path, ""), None, 0).fault


def test_a_limit_draws_the_same_sample_in_file_order(tmp_path):
    (tmp_path / "truth.csv").write_text("id")
    ids = [[e.id for e in ready(at(SEA, tmp_path), limit, 0).examples] for limit in (10, 10, 20, None, 1000)]
    assert ids[0] == ids[1] and set(ids[0]) < set(ids[2]) and len(ids[3]) == len(ids[4]) == 100
    assert ids[0] != ids[3][:10] and ids[2] == sorted(ids[2], key=lambda name: int(name[1:]))


def test_a_held_out_benchmark_has_nothing_to_get():
    assert get(Place(HELD_OUT, Path(), "")) == "nothing: it is made from held-out records"
    assert "not pinned" in get(place(replace(SEA, source=replace(SOURCE, revision="")), None))


def test_a_named_benchmark_without_any_media_is_a_fault_and_one_with_some_is_not():
    def some(*missing):
        examples = [
            choice_example(f"e{n}", "c", Prompt(("?",)), ("A", "B"), "A", missing=m) for n, m in enumerate(missing)
        ]
        return Ready(at(choice_benchmark("sea", "", lambda folder: []), Path()), examples)

    assert required(some(("a.png",), ("b.png",))).fault == "the media of all 2 examples are absent, first `a.png`"
    partly = some(("a.png",), ())
    assert required(partly) is partly
