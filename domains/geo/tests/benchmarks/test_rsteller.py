"""The NAIP decoder on made and on real names, and RSTeller from records to metrics without a caption in sight."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Example, Graded, Response
from indirect_rlvr_geo.benchmarks import rsteller
from indirect_rlvr_geo.benchmarks.naip import decode

REAL = Path(__file__).parents[5] / "shared/data/naip_sample"
MARGIN = 0.003
"""NAIP photos reach some 300 m beyond their quarter-quad."""
NORTH_DAKOTA, TEXAS = "m_4709963_se_14_1_20200831", "m_3009701_ne_14_060_20220517"


@pytest.mark.parametrize("name", [
    "", "m_4107501", "m_4107500_ne_18_060_20221108", "m_4107565_ne_18_060_20221108", "m_4107501_xx_18_060_20221108",
    "m_4107501_ne_18_060_2022110", "m_9107501_ne_18_060_20221108", "m_4118001_ne_18_060_20221108",
    "m_4107501_ne_61_060_20221108", "x_4107501_ne_18_060_20221108", "m_4107501_ne_18_060_20221108_1", "٤" * 30,
])  # fmt: skip
def test_other_names_are_no_quarter_quads(name: str) -> None:
    assert decode(name) is None


@pytest.mark.parametrize(("name", "south", "west", "dates"), [
    ("m_4107501_nw_18_060_20221108", 41.9375, -76.0, ("20221108",)),
    ("m_4107501_ne_18_060_20221108", 41.9375, -75.9375, ("20221108",)),
    ("m_4107508_ne_18_060_20221108", 41.9375, -75.0625, ("20221108",)),
    ("m_4107509_sw_18_h_20221108", 41.75, -76.0, ("20221108",)),
    ("m_4107564_se_18_1_20130928_20131108", 41.0, -75.0625, ("20130928", "20131108")),
    ("M_4709963_SE_14_1_20200831.tif", 47.0, -99.1875, ("20200831",)),
])  # fmt: skip
def test_quarter_quads_run_by_rows_from_the_north_west(
    name: str, south: float, west: float, dates: tuple[str, ...]
) -> None:
    found = decode(name)
    assert found is not None
    assert (found.south, found.west, found.dates) == (south, west, dates)
    assert (found.north, found.east) == (south + 0.0625, west + 0.0625)


def latitude_longitude(easting: float, northing: float, zone: int) -> tuple[float, float]:
    """UTM on GRS 80 into degrees; Krüger's series to the third order, true to a millimetre."""
    f = 1 / 298.257222101
    n = f / (2 - f)
    radius = 6378137.0 / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    beta = (n / 2 - 2 * n**2 / 3 + 37 * n**3 / 96, n**2 / 48 + n**3 / 15, 17 * n**3 / 480)
    delta = (2 * n - 2 * n**2 / 3 - 2 * n**3, 7 * n**2 / 3 - 8 * n**3 / 5, 56 * n**3 / 15)
    xi, eta = northing / (0.9996 * radius), (easting - 500_000) / (0.9996 * radius)
    terms = [(2 * (j + 1), b) for j, b in enumerate(beta)]
    xi, eta = (
        xi - sum(b * math.sin(k * xi) * math.cosh(k * eta) for k, b in terms),
        eta - sum(b * math.cos(k * xi) * math.sinh(k * eta) for k, b in terms),
    )
    chi = math.asin(math.sin(xi) / math.cosh(eta))
    latitude = chi + sum(d * math.sin(2 * (j + 1) * chi) for j, d in enumerate(delta))
    return math.degrees(latitude), 6 * zone - 183 + math.degrees(math.atan2(math.sinh(eta), math.cos(xi)))


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/naip_sample")
def test_real_photos_lie_in_the_quarter_quad_of_their_name() -> None:
    files = sorted(REAL.glob("*.tif"))
    assert len(files) == 3
    for file in files:
        quad = decode(file.name)
        assert quad is not None and quad.zone == 14
        with Image.open(file) as photo:
            size = photo.size
            tags: Mapping[int, Any] = dict(photo.tag_v2)  # type: ignore[attr-defined]
        assert "UTM zone 14N" in tags[34737]
        (_, _, _, west, north, _), (step, _, _) = tags[33922], tags[33550]
        corners = [(west, north), (west + step * size[0], north - step * size[1])]
        (top, left), (bottom, right) = (latitude_longitude(x, y, quad.zone) for x, y in corners)
        assert (round(top, 4), round(left, 4)) == (47.0366, -99.1856)
        assert quad.south - MARGIN <= bottom < top <= quad.north + MARGIN
        assert quad.west - MARGIN <= left < right <= quad.east + MARGIN
        assert quad.south < quad.centre[0] < top and left < quad.centre[1] < right
        assert quad.dates == (file.stem[-8:],)


def record(folder: Path, name: str, image_name: object) -> None:
    (folder / f"{name}.json").write_text(json.dumps({
        "metadata": {"patch_id": 607, "image_name": image_name},
        "annotations": [{"task": 2, "text": "The road's name is Lower Rhiney Creek Road."}],
    }))  # fmt: skip
    Image.new("RGB", (8, 8)).save(folder / f"{name}.jpg")


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.json").write_text('{"metadata": {"patch_id": 1')
    with pytest.raises(DataError, match=r"1.json` is no record of RSTeller: JSONDecodeError: .*; unpack its tar file"):
        list(rsteller.examples(tmp_path))


def test_a_run_from_patches_to_metrics(tmp_path: Path) -> None:
    (tmp_path / "images" / "000").mkdir(parents=True)
    for name, image in (("1", NORTH_DAKOTA), ("2", TEXAS), ("3", TEXAS), ("4", "who knows"), ("5", TEXAS)):
        record(tmp_path / "images" / "000", name, image)
    (tmp_path / "images" / "000" / "5.jpg").unlink()
    benchmark = rsteller.benchmarks()[0]
    examples = list(benchmark.examples(tmp_path))
    assert [example.id for example in examples] == [f"000/{number}" for number in range(1, 6)]
    assert [example.missing for example in examples] == [(), (), (), (), ("images/000/5.jpg",)]
    assert examples[3].flags == (rsteller.UNKNOWN,)
    assert examples[0].truth == {"latitude": 47.03125, "longitude": -99.15625, "states": ["ND"]}
    assert examples[1].cluster == examples[2].cluster != examples[0].cluster
    assert not any("Rhiney" in repr(example) for example in examples)
    assert rsteller.judge(examples[1], {"state": "Texas"})["state"] == 1
    assert rsteller.judge(examples[1], {"state": "Kansas"})["state"] == 0
    north, texas = examples[0].truth, examples[1].truth
    found = run(examples, [
        f"<think>…</think><answer>state: North Dakota\ncoordinates: {north['latitude']}, {north['longitude']}</answer>",
        f"<answer>state: ND\ncoordinates: {texas['latitude']}, {texas['longitude'] + 1}</answer>",
        "<answer>Somewhere in Texas</answer>", "<answer>state: TX</answer>", "",
    ])  # fmt: skip
    state = found["state", "strict"]
    assert (state.value, state.n, state.n_parsed, state.n_missing_media) == (1 / 3, 3, 2, 1)
    assert state.baselines == {"majority": 2 / 3, "chance": 1 / 49}
    assert found["Acc@25km", "strict"].value == 1 / 3
    assert found["Acc@200km", "strict"].value == 2 / 3
    assert ("Acc@1km", "strict") not in found
    assert found["Acc@2500km", "strict"].baselines["centre of the contiguous US"] == 1.0


def run(examples: list[Example], responses: list[str]) -> dict[tuple[str, str], Any]:
    graded = []
    for example, text in zip(examples, responses, strict=True):
        parsed = None if example.missing else rsteller.parse(example, Response(text))
        graded.append(Graded(example, parsed, rsteller.judge(example, parsed)))
    return {(metric.name, metric.convention): metric for metric in rsteller.metrics(graded)}
