"""DIOR-RSVG: split numbers over sorted annotations, re-scaled releases, hostile XML, and scores by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Response
from indirect_rlvr_geo.benchmarks.dior_rsvg import benchmarks
from indirect_rlvr_geo.benchmarks.files import LARGEST_XML, xml_file

(BENCHMARK,) = benchmarks()


def annotation(image: str, *objects: tuple[tuple[int, int, int, int], str]) -> str:
    """An annotation in the released schema."""
    members = "".join(
        f"<object><name>ship</name><pose>Unspecified</pose><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax>"
        f"<ymax>{d}</ymax></bndbox><description>{text}</description></object>"
        for (a, b, c, d), text in objects
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><annotation>'
        f"<filename>{image}</filename><source><database>DIOR</database></source><size><width>800</width>"
        f"<height>800</height><depth>3</depth></size><segmented>0</segmented>{members}</annotation>"
    )


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[[Path], None]) -> Path:
    (tmp_path / "Annotations").mkdir()
    first = annotation("00001.jpg", ((0, 0, 100, 100), "the left ship"), ((200, 0, 300, 100), "the right ship"))
    (tmp_path / "Annotations" / "00001.xml").write_text(first)
    (tmp_path / "Annotations" / "00002.xml").write_text(annotation("00002.jpg", ((0, 0, 50, 50), "a tank")))
    (tmp_path / "test.txt").write_text("1\n2\n")
    picture(tmp_path / "JPEGImages" / "00001.jpg")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE a [<!ENTITY x "xx">]><a>&x;</a>',
        "<a><![CDATA[x]]></a>",
        "<a>",
        "",
        "\x00",
        "<a>&undefined;</a>",
    ],
)
def test_hostile_xml_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DataError, match="a.xml`"):
        xml_file(path)
    path.write_text(text, encoding="utf-16")
    with pytest.raises(DataError, match="a.xml`"):
        xml_file(path)


def test_a_large_annotation_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text("<a>" + " " * LARGEST_XML + "</a>")
    with pytest.raises(DataError, match="has more than 1000000 bytes"):
        xml_file(path)


@pytest.mark.parametrize("line", ["3", "-1", "x", "1.0"])
def test_a_number_of_no_object_is_refused(folder: Path, line: str) -> None:
    (folder / "test.txt").write_text(f"0\n{line}\n")
    with pytest.raises(DataError, match=r"test.txt` line 2 is .*; expected the number of one of the 3 objects"):
        list(BENCHMARK.examples(folder))


def test_an_object_without_a_sentence_is_refused(folder: Path) -> None:
    (folder / "Annotations" / "00002.xml").write_text(annotation("00002.jpg", ((0, 0, 50, 50), " ")))
    with pytest.raises(DataError, match=r"00002.xml` holds an object that cannot be used"):
        list(BENCHMARK.examples(folder))


def test_a_box_that_is_not_finite_is_refused(folder: Path) -> None:
    text = annotation("00002.jpg", ((0, 0, 50, 50), "a tank")).replace("<xmax>50", "<xmax>nan")
    (folder / "Annotations" / "00002.xml").write_text(text)
    with pytest.raises(DataError, match=r"00002.xml` holds an object that cannot be used: .* a finite box"):
        list(BENCHMARK.examples(folder))


def test_an_image_outside_the_folder_is_missing_and_not_named_in_the_view(folder: Path) -> None:
    (folder / "Annotations" / "00002.xml").write_text(annotation("../../x.jpg", ((0, 0, 50, 50), "a tank")))
    last = list(BENCHMARK.examples(folder))[-1]
    assert last.missing == ("JPEGImages/../../x.jpg",)
    assert ".." not in str(last.prompt.parts[0])


def test_the_fixture_scores_as_by_hand(folder: Path, scored: Callable[..., Any]) -> None:
    found = scored(BENCHMARK, folder, {"1": Response("[100, 0, 150, 35]", ((400, 400),))})
    # 200, 0, 300, 70 in the file's pixels: 7000 of 10000
    assert found["", "Acc@0.7", "continuous"]["value"] == 1
    assert found["", "Acc@0.7", "pixel"]["value"] == 0
    assert found["", "Acc@0.6", "pixel"]["value"] == 1
    assert found["", "mean IoU", "continuous"]["value"] == pytest.approx(0.7)
    assert found["", "cumulative IoU", "continuous"]["value"] == pytest.approx(0.7)
    overall = found["", "Acc@0.5", "continuous"]
    assert (overall["n"], overall["n_parsed"], overall["n_missing_media"]) == (1, 1, 1)


def test_boxes_on_a_grid_of_999_are_taken_back_to_pixels(folder: Path) -> None:
    (folder / "Annotations" / "00002.xml").write_text(annotation("00002.jpg", ((0, 0, 999, 333), "a tank")))
    last = list(BENCHMARK.examples(folder))[-1]
    assert last.truth["box"] == pytest.approx([0, 0, 800, 333 * 800 / 999])
    assert last.flags == ("boxes re-scaled from 0..999",)


def test_a_number_that_comes_twice_gets_a_name_of_its_own(folder: Path) -> None:
    (folder / "test.txt").write_text("1\n1\n")
    assert [(e.id, e.flags) for e in BENCHMARK.examples(folder)] == [("1", ()), ("1#2", ("duplicate id",))]
