import re
from xml.etree import ElementTree

import pytest

from indirect_rlvr.reporting.charts import Series, accuracy_bar, line_chart, running_mean, ticks


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.31, 0.94), (-0.1, 0), (5, 5), (0, 0), (1e-9, 2e-9), (-3e6, 4e7), (0.1, 0.1 + 1e-15)]
)
def test_ticks_enclose_the_values_and_are_few(low, high):
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high
    assert found == sorted(set(found)) and 2 <= len(found) <= 8


def test_ticks_are_round():
    assert ticks(0.31, 0.94) == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(1, 60) == [0, 20, 40, 60]


def test_a_running_mean_keeps_length_place_and_mean_of_a_line():
    points = [(float(x), 2.0 * x) for x in range(60)]
    smooth = running_mean(points)
    assert [x for x, _ in smooth] == [x for x, _ in points]
    assert smooth[30] == (30.0, pytest.approx(60.0))


def test_a_chart_is_well_formed_and_says_its_figures():
    svg = line_chart("Reward & more", [Series("a<b", "m-0", [(1, 0.5), (2, 0.75)]), Series("c", "m-1", [(1, 0.25)])])
    root = ElementTree.fromstring(svg)
    assert (
        root.get("aria-label")
        == "Reward & more: a<b from 0.5 at step 1 to 0.75 at step 2; c from 0.25 at step 1 to 0.25 at step 1"
    )
    assert [title.text for title in root.iter("title")] == ["a<b, step 1: 0.5", "a<b, step 2: 0.75", "c, step 1: 0.25"]


def test_all_marks_lie_inside_the_chart():
    points = [(float(x), (-1.0) ** x * x) for x in range(1, 61)]
    root = ElementTree.fromstring(line_chart("t", [Series("s", "m-0", points)]))
    for line in root.iter("polyline"):
        for x, y in (map(float, pair.split(",")) for pair in line.get("points").split()):
            assert 46 <= x <= 366 and 12 <= y <= 176


def test_a_long_series_is_thinned_and_keeps_a_bounded_size():
    points = [(float(x), float(x)) for x in range(100_000)]
    assert len(line_chart("t", [Series("s", "m-0", points)])) < 120_000


def test_a_flat_series_and_a_single_point_can_be_drawn():
    ElementTree.fromstring(line_chart("t", [Series("s", "m-0", [(1, 0.0), (2, 0.0)])]))
    assert "circle" in line_chart("t", [Series("s", "m-0", [(1, 3.0)])])


def test_a_bar_puts_share_interval_and_chance_where_they_belong():
    svg = accuracy_bar(0.745, (0.708, 1.2), 0.2, "m-last")
    assert re.findall(r'<rect class="m-last" width="([^"]+)"', svg) == ["74.50%"]
    assert '<line class="chance" x1="20.00%" x2="20.00%"' in svg
    assert '<line class="whisker" x1="70.80%" x2="100.00%"' in svg
