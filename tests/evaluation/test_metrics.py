import math

import numpy as np
import pytest

from indirect_rlvr.evaluation.metrics import aggregate, bootstrap, chance, majority, per_task, share
from indirect_rlvr.evaluation.stats import accuracy_interval
from indirect_rlvr.types import Example, Graded, Prompt


def graded(name, value=None, *, task="", cluster=None, missing=(), parsed=True, **values):
    found = values if value is None else {"right": float(value), **values}
    example = Example(name, cluster or name, Prompt(("?",)), {"k": 4}, task, missing)
    return Graded(example, {} if parsed and not missing else None, {} if missing else found)


FOUR = [graded("a", 1), graded("b", 0), graded("c", 1), graded("d", 1)]
LOST = graded("lost", missing=("lost.png",))
DUMB = graded("dumb", parsed=False)


def test_nothing_has_no_value_and_no_interval():
    found = share([LOST], "right")
    assert math.isnan(found.value)
    assert (found.n, found.n_parsed, found.n_missing_media, found.ci95) == (0, 0, 1, None)


def test_missing_media_are_in_no_denominator():
    assert share([*FOUR, LOST], "right").n == 4
    assert share([*FOUR, LOST], "right").value == 0.75


def test_strict_counts_a_failure_as_wrong_and_pairwise_valid_leaves_it_out():
    strict = share([*FOUR, DUMB], "right")
    valid = share([*FOUR, DUMB], "right", "official", absent=None)
    assert (strict.value, strict.n, strict.n_parsed, strict.convention) == (0.6, 5, 4, "strict")
    assert (valid.value, valid.n, valid.n_parsed, valid.convention) == (0.75, 4, 4, "official")


def test_what_the_truth_lacks_is_in_no_denominator():
    found = share(FOUR, "right", applies=lambda example: example.id != "b")
    assert (found.value, found.n) == (1.0, 3)
    assert share([*FOUR, LOST], "right", applies=lambda example: example.id != "lost").n_missing_media == 0


def test_the_interval_of_right_and_wrong_is_clustered_wilson_and_of_shares_a_bootstrap():
    assert share(FOUR, "right").ci95 == accuracy_interval([True, False, True, True], ["a", "b", "c", "d"])
    shares = [graded(str(i), i / 20) for i in range(21)]
    low, high = share(shares, "right").ci95
    assert 0.3 < low < 0.5 < high < 0.7


def test_clusters_widen_the_bootstrap():
    alone = [graded(str(i), km=float(i % 10)) for i in range(100)]
    together = [graded(str(i), km=float(i % 10), cluster=str(i % 10)) for i in range(100)]
    mean = lambda columns: columns[:, 0].mean()  # noqa: E731
    narrow, wide = (aggregate(rows, ("km",), mean, name="mean", unit="km").ci95 for rows in (alone, together))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


def test_a_bootstrap_is_the_same_every_time_and_needs_two_clusters():
    columns = np.arange(10, dtype=float).reshape(10, 1)
    median = lambda c: float(np.median(c[:, 0]))  # noqa: E731
    assert bootstrap(columns, list(range(10)), median) == bootstrap(columns, list(range(10)), median)
    assert bootstrap(columns, ["one"] * 10, median) is None


def test_a_ratio_of_sums_is_not_a_mean_of_ratios():
    rows = [graded("big", i=90.0, u=100.0), graded("small", i=0.0, u=1.0)]
    ratio = lambda c: c[:, 0].sum() / c[:, 1].sum()  # noqa: E731
    assert aggregate(rows, ("i", "u"), ratio, name="cIoU").value == pytest.approx(90 / 101)


def test_an_example_counts_only_with_all_values():
    rows = [graded("a", i=1.0, u=2.0), graded("b", i=1.0)]
    assert aggregate(rows, ("i", "u"), lambda c: c[:, 0].sum(), name="sum").n == 1


def test_a_macro_mean_weighs_tasks_and_not_examples():
    rows = [graded(f"a{i}", 1, task="a") for i in range(9)] + [graded("b", 0, task="b")]
    each = per_task(rows, ("a", "b"), lambda rows, task: share(rows, "right", task=task), value="right")
    assert [(m.task, m.name, m.value, m.n) for m in each] == [
        ("a", "right", 1.0, 9), ("b", "right", 0.0, 1), ("", "macro right", 0.5, 10)
    ]  # fmt: skip


def test_a_macro_mean_says_which_tasks_are_empty():
    rows = [graded("a", 1, task="a"), graded("c", 0, task="a")]
    each = per_task(rows, ("a", "b"), lambda rows, task: share(rows, "right", task=task), value="right")
    assert (each[-1].name, each[-1].value, each[1].n) == ("macro right (1 of 2 tasks)", 0.5, 0)


def test_the_macro_interval_knows_that_tasks_share_images():
    apart = [graded(f"{t}{i}", i % 2, task=t, cluster=f"{t}{i}") for t in "abcd" for i in range(40)]
    shared = [graded(f"{t}{i}", i % 2, task=t, cluster=f"{i}") for t in "abcd" for i in range(40)]
    macro = lambda rows: per_task(rows, tuple("abcd"), lambda r, t: share(r, "right", task=t), value="right")[-1]  # noqa: E731
    narrow, wide = macro(apart).ci95, macro(shared).ci95
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_a_macro_of_another_statistic_has_no_interval_of_the_mean():
    rows = [graded(f"{t}{i}", i % 2, task=t) for t in "ab" for i in range(4)]
    cube = lambda rows, task: aggregate(rows, ("right",), lambda c: c[:, 0].mean() ** 3, name="cube", task=task)  # noqa: E731
    assert per_task(rows, ("a", "b"), cube, value="right")[-1].ci95 is None


def test_baselines_of_answers_and_options():
    assert (majority(["No", "No", "Yes"]), chance([4, 2])) == (pytest.approx(2 / 3), 0.375)
    assert math.isnan(majority([])) and math.isnan(chance([]))
