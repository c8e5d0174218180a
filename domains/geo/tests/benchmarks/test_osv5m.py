"""OSV-5M: distances and GeoScores of the published game, countries of guesses, a run in its schema."""

import csv
from pathlib import Path

import pytest
from PIL import Image

from indirect_rlvr.types import Example, Graded, Prompt, Response
from indirect_rlvr_geo.benchmarks import im2gps, osv5m

REAL = Path(__file__).parents[5] / "shared/data/osv5m_game"


def test_a_run_from_photos_to_metrics(tmp_path: Path) -> None:
    (tmp_path / "images" / "test" / "00").mkdir(parents=True)
    for name in ("11", "22"):
        Image.new("RGB", (8, 6)).save(tmp_path / "images" / "test" / "00" / f"{name}.jpg")
    (tmp_path / "test.csv").write_text(
        "id,latitude,longitude,country,region,sub-region,city,sequence\n11,48.85,2.35,FR,Ile-de-France,,Paris,s1\n"
        "22,52.52,13.4,DE,Berlin,,Berlin,s2\n33,0,0,,,,,\n22,52.52,13.4,,,,,s2\n"
    )
    benchmark = osv5m.benchmarks()[0]
    examples = list(benchmark.examples(tmp_path))
    assert [example.id for example in examples] == ["11", "22", "33", "22#2"]
    assert [example.missing for example in examples] == [(), (), ("images/test/33.jpg",), ()]
    assert examples[0].truth == {
        "latitude": 48.85, "longitude": 2.35, "country": "FR", "region": "Ile-de-France", "city": "Paris"
    }  # fmt: skip
    assert [example.cluster for example in examples] == ["s1", "s2", "33", "s2"]
    graded = []
    for example, text in zip(examples, ("<answer>48.85, 2.35</answer>", "Berlin!", "", "48.8, 2.3"), strict=True):
        parsed = None if example.missing else benchmark.parse(example, Response(text))
        graded.append(Graded(example, parsed, benchmark.judge(example, parsed)))
    found = {(metric.name, metric.convention): metric for metric in benchmark.metrics(graded)}
    country = next(metric for (name, _), metric in found.items() if name == "country")
    assert (country.value, country.n, country.n_parsed, country.baselines) == (0.5, 2, 1, {"majority": 0.5})
    assert "GeoNames" in country.convention
    score = found["GeoScore", "strict"]
    assert (score.n, score.n_parsed, score.n_missing_media) == (3, 2, 1)
    assert 5000 / 3 < score.value < 10_000 / 3


@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/osv5m_game")
def test_a_hundred_published_distances_and_scores_are_met_and_countries_hit_as_published() -> None:
    with (REAL / "select.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    checked = 0
    for row in rows:
        truth = {"latitude": float(row["true_lat"]), "longitude": float(row["true_lon"]), "country": row["country"]}
        example = Example(row["id"], row["id"], Prompt(("where?",)), truth)
        for model in ("", "_base"):
            text = f"<answer>{row['pred_lat' + model]}, {row['pred_lon' + model]}</answer>"
            values = osv5m.judge(example, im2gps.parse(example, Response(text)))
            assert values["km"] == pytest.approx(float(row["distance" + model]), rel=1e-9)
            assert values["GeoScore"] == pytest.approx(float(row["score" + model]), rel=1e-9)
            assert values["country"] == (row["country_hit" + model] == "True")
            checked += 1
    assert checked == 100
