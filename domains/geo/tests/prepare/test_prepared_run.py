"""Prepared records in a run and in mining: 200 pairs in the layout of CV-Cities become audited tasks."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.config import Tiny
from indirect_rlvr.data import mining
from indirect_rlvr.data import records as store
from indirect_rlvr.data.sphere import great_circle_m
from indirect_rlvr.defaults import INSTRUCTION
from indirect_rlvr.domain import load_domain
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.evaluation.controls import (
    CONTROLS,
    NO_IMAGES,
    NO_QUERY,
    OTHER_QUERY,
    PERMUTED,
    WITHHELD,
    control_tasks,
)
from indirect_rlvr.training.dataset import messages
from indirect_rlvr.training.tiny import build_tiny
from indirect_rlvr_geo import prepared
from indirect_rlvr_geo.settings import Photos, Settings

Made = Callable[..., dict[str, Any]]
Cities = Callable[..., Path]


def said(*words: object) -> str:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cv_cities: Cities) -> Path:
    """A folder with `in`, 200 pairs of CV-Cities, and `out`, prepared by the command."""
    made = tmp_path_factory.mktemp("pairs")
    cv_cities(made / "in", each=50, months=("2019-05", "2021-11"))
    output = said("data", "prepare", "geo", "--source", "cv-cities", "--root", made / "in", "--out", made / "out")
    assert "200 records of 200 pairs: 100 to train on, 100 held out; dropped: none" in output
    (made / "said").write_text(output)
    return made


def test_a_folder_without_prepared_records_is_refused_with_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="rlvr data prepare geo"):
        next(iter(prepared.load(Settings(prepared=str(tmp_path)), tmp_path)))


def test_an_interrupted_preparation_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"state": "partial"}')
    with pytest.raises(DataError, match="was not finished; give its command again"):
        prepared.neighbourhood(Settings(prepared=str(tmp_path)))


def test_a_shard_changed_since_it_was_prepared_is_refused(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    made("cv-cities", cv_cities(tmp_path / "in", each=2), tmp_path / "out")
    (tmp_path / "out" / "records" / "00000.parquet").write_bytes(b"")
    with pytest.raises(RunError, match="torn or was changed"):
        next(iter(prepared.load(Settings(prepared=str(tmp_path / "out")), tmp_path)))


@pytest.mark.parametrize(("gone", "message"), [("rio/sat_img", "was there when it was prepared"), ("", "is no folder")])
def test_images_that_went_away_since_are_named(
    tmp_path: Path, cv_cities: Cities, made: Made, gone: str, message: str
) -> None:
    made("cv-cities", cv_cities(tmp_path / "in", each=2), tmp_path / "out")
    (tmp_path / "in" / gone).rename(tmp_path / "elsewhere")
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match=message):
        list(prepared.load(Settings(prepared=str(tmp_path / "out")), tmp_path / "run"))


def test_a_time_window_needs_times(tmp_path: Path, cv_cities: Cities, made: Made) -> None:
    made("cv-cities", cv_cities(tmp_path / "in", each=2), tmp_path / "out")
    settings = Settings(prepared=str(tmp_path / "out"), photos=Photos(window_days=(0.0, 90.0)))
    (tmp_path / "run").mkdir()
    record = next(iter(prepared.load(settings, tmp_path / "run")))
    (ring,) = prepared.neighbourhood(settings).rings
    with pytest.raises(DataError, match="has no time, and `records.photos.window_days` asks for one"):
        ring.value(record)


def test_an_unknown_setting_of_the_preparation_lists_the_known_ones(tmp_path: Path) -> None:
    words = ["--source", "cv-cities", "--root", str(tmp_path), "--out", str(tmp_path / "out"), "--set", "pixels=3"]
    result = CliRunner().invoke(cli.app, ["data", "prepare", "geo", *words])
    assert result.exit_code == 2
    assert "unknown key `pixels`; known keys here: bad_share, columns, decode, max_pixels" in result.output


def test_a_domain_that_prepares_nothing_says_so(tmp_path: Path) -> None:
    words = ["--source", "x", "--root", str(tmp_path), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(cli.app, ["data", "prepare", "template", *words])
    assert result.exit_code == 2
    assert "does not implement the hook `prepare`" in result.output


def test_a_run_makes_audited_tasks_of_prepared_records(folder: Path) -> None:
    run = folder / "run"
    said(
        "run", "--domain", "geo", "--out", run, "--until", "tasks", "--set", f"records.prepared={folder / 'out'}",
        "--set", "records.photos.window_days=[0, 3650]",
    )  # fmt: skip
    known = {record.id: record for record in store.read(run / "records" / "records.jsonl")}
    assert len(known) == 200
    tasks = [json.loads(line) for line in (run / "tasks.jsonl").read_text().splitlines()]
    assert len({task["query_record"] for task in tasks}) > 150
    for task in tasks:
        members = [known[name] for name in task["candidate_records"]]
        assert len({record.facts["city"] for record in members}) == 1
        for one, other in combinations(members, 2):
            places = [(float(r.facts["longitude"]), float(r.facts["latitude"])) for r in (one, other)]
            assert float(great_circle_m(*places[0], *places[1])[0]) >= 120.0
        assert {view["kind"] for view in task["question"]["candidates"]} == {"overhead"}
        assert task["question"]["query"][0]["kind"] == "ground"
    audit = json.loads((run / "audit.json").read_text())
    assert audit["overridden"] == []


def test_the_mining_command_that_is_printed_makes_legal_sets_of_the_shards(folder: Path) -> None:
    command = (folder / "said").read_text().split("or:   rlvr ")[1].split()
    glob = command.index(f"{folder / 'out'}/records/*.parquet")
    command[glob : glob + 1] = sorted(map(str, (folder / "out" / "records").glob("*.parquet")))
    assert "sets of 5 from 200 records" in said(*command)
    sets = mining.read_sets(folder / "out-sets").to_pylist()
    assert {each["split"] for each in sets} == {"train", "test"}
    assert len({member for each in sets for member in each["members"]}) > 150


def test_images_are_linked_and_named_so_that_a_name_says_nothing(folder: Path, tmp_path: Path) -> None:
    records = list(prepared.load(Settings(prepared=str(folder / "out")), tmp_path))
    paths = [view.content for record in records for view in record.views.values()]
    assert len(set(paths)) == 400
    first = records[0]
    ground, overhead = (Path(first.views[kind].content).stem for kind in ("ground", "overhead"))
    assert ground.removesuffix("-ground") != overhead.removesuffix("-overhead")
    assert "barcelona" not in f"{ground}{overhead}"
    original = folder / "in" / "barcelona" / "pano_img" / Path(first.id).name
    assert (tmp_path / first.views["ground"].content).stat().st_ino == original.stat().st_ino


def test_a_limit_keeps_whole_blocks_of_each_split(folder: Path, tmp_path: Path) -> None:
    settings = Settings(prepared=str(folder / "out"), photos=Photos(limit=50))
    records = list(prepared.load(settings, tmp_path))
    assert {split: sum(r.split == split for r in records) for split in ("train", "test")} == {"train": 50, "test": 50}
    assert len({record.facts["city"] for record in records}) < 4


def test_the_prompt_labels_each_view_and_asks_for_the_published_answer_form(folder: Path, tmp_path: Path) -> None:
    domain = load_domain("geo", {"prepared": str(folder / "out")})
    records = list(domain.load_records(tmp_path, 0))[:3]
    asked = domain.make_task(records[1], records)
    task = replace(_task(), question=asked)
    parts = domain.render(task).parts
    assert parts[0] == "Ground view:"
    assert parts[1] == records[1].views["ground"]
    assert [parts[n] for n in (2, 4, 6)] == ["\nA:", "\nB:", "\nC:"]
    assert str(parts[-1]).endswith(INSTRUCTION)
    assert domain.probes() == []
    assert domain.benchmarks(records, 10, 0) == []


def test_images_first_shows_all_of_them_without_labels_and_says_their_order_once(folder: Path, tmp_path: Path) -> None:
    asked = {"prepared": str(folder / "out"), "photos": {"layout": "images-first"}}
    domain = load_domain("geo", asked)
    records = list(domain.load_records(tmp_path, 0))[:3]
    task = replace(_task(), question=domain.make_task(records[1], records))
    *views, text = domain.render(task).parts
    assert views == [records[1].views["ground"], *(record.views["overhead"] for record in records)]
    order = "The first image is the ground view; the images after it are the overhead views A, B and C, in this order. "
    assert text == order + task.question.text
    assert task.question.text.endswith(INSTRUCTION)
    turns = messages(domain.render(task))
    assert [part["type"] for part in turns[0]["content"]] == ["image"] * 4 + ["text"]
    _, processor = build_tiny(Tiny(), [order], seed=0)
    drawn = processor.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert drawn.count("<|image_pad|>") == 4
    assert drawn.rindex("<|image_pad|>") < drawn.index("The first image is")


def test_images_first_keeps_every_control(folder: Path, tmp_path: Path) -> None:
    domain = load_domain("geo", {"prepared": str(folder / "out"), "photos": {"layout": "images-first"}})
    records = list(domain.load_records(tmp_path, 0))[:6]
    tasks = [
        replace(_task(), id=f"t{n}", query_record=own[1].id, candidate_records=tuple(record.id for record in own),
                question=domain.make_task(own[1], own))
        for n, own in enumerate((records[:3], records[3:]))
    ]  # fmt: skip
    shown = {name: [domain.render(task).parts for task in made] for name, made in control_tasks(tasks, 0).items()}
    assert set(shown) == set(CONTROLS)
    bare = shown[NO_QUERY][0]
    assert bare[:3] == tasks[0].question.candidates
    assert bare[3].startswith("The images are the overhead views A, B and C, in this order. Exactly one")
    assert [part.content for part in shown[NO_IMAGES][0][:-1]] == [WITHHELD] * 4
    assert shown[OTHER_QUERY][0][0] == records[4].views["ground"]
    assert set(shown[PERMUTED][0][1:4]) == set(bare[:3]) and shown[PERMUTED][0][1:4] != bare[:3]
    assert {parts[-1] for name in (OTHER_QUERY, PERMUTED) for parts in shown[name]} == {
        domain.render(tasks[0]).parts[-1]
    }


def test_a_layout_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="'labelled' or 'images-first'"):
        load_domain("geo", {"photos": {"layout": "images-last"}})


def test_the_built_in_terrain_is_asked_as_before(tmp_path: Path) -> None:
    domain = load_domain("geo", {"spacing_m": 1500.0})
    records = list(domain.load_records(tmp_path, 0))[:2]
    assert domain.make_task(records[0], records).text.startswith("Which overhead view shows the place")
    assert domain.neighbourhood().unit == "m"
    assert [probe.name for probe in domain.probes()] == ["geometry"]


def _task() -> Any:
    from indirect_rlvr.types import ProxyTask, Question

    return ProxyTask("t", "c", "train", 0, Question("", (), (), {}), ("A", "B", "C"), "B", "q", ("p", "q", "r"))
