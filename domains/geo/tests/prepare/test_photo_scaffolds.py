"""`rlvr run --until scaffold` on photos: by the rules alone, and by a teacher over HTTP whose facts are checked."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from teaching import teacher
from typer.testing import CliRunner

from indirect_rlvr import cli
from indirect_rlvr.rewards.parsing import has_format
from indirect_rlvr_geo import photo_traces

SETS = ("scaffold.count=24", "tasks.k=3", "tasks.queries_per_set=2", "tasks.train=60", "tasks.test=30")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, cv_cities: Callable[..., Path]) -> Path:
    made = tmp_path_factory.mktemp("pairs")
    cv_cities(made / "in", each=16)
    rlvr("data", "prepare", "geo", "--source", "cv-cities", "--root", made / "in", "--out", made / "out")
    return made / "out"


def rlvr(*words: object) -> None:
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.output


def scaffolds(prepared: Path, out: Path, *sets: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The traces of a run and its manifest."""
    words = [word for each in (f"records.prepared={prepared}", *SETS, *sets) for word in ("--set", each)]
    rlvr("run", "--domain", "geo", "--out", out, "--until", "scaffold", "--allow-leaks", *words)
    rows = [json.loads(line) for line in (out / "sft.jsonl").read_text().splitlines()]
    return rows, json.loads((out / "manifest.json").read_text())


def test_the_rules_write_true_traces_that_do_not_know_the_answer(prepared: Path, tmp_path: Path) -> None:
    rows, manifest = scaffolds(prepared, tmp_path)
    assert len(rows) == 24
    assert manifest["stages"]["scaffold"]["dropped"] == {}
    assert all(has_format(row["completion"]) for row in rows)
    assert all(row["claims"] == row["supported"] >= 2 and not row["repaired"] for row in rows)
    assert 2 <= sum(row["right"] for row in rows) <= 14
    assert {"Traffic keeps to the left.", "Traffic keeps to the right."} & set(
        re.findall(r"Traffic keeps to the \w+\.", " ".join(row["completion"] for row in rows))
    )


def test_a_teacher_s_false_sentences_are_cut_out_and_what_is_false_throughout_is_dropped(
    prepared: Path, tmp_path: Path
) -> None:
    lie = "This is a street in Mongolia."
    truth = "The road runs past the houses and the trees, and the roofs of the view have the same layout."

    def say(body: dict[str, Any]) -> str:
        thought = {0: f"{truth} {lie}", 1: lie}.get(body["seed"] % 4, truth)
        return f"<think>{thought}</think><answer>{'ABC'[body['seed'] % 3]}</answer>"

    with teacher(say, usage=None) as server:
        sets = ["writer=openai-url", "teacher.model=wise", f"teacher.url={server.url}", "teacher.max_pixels=1000"]
        rows, manifest = scaffolds(prepared, tmp_path, *(f"scaffold.{each}" for each in sets))
    stage, artefact = manifest["stages"]["scaffold"], manifest["artefacts"]["scaffold"]
    assert len(rows) == stage["kept"] == 24
    assert stage["dropped"]["contradicted claim"] == artefact["answers"] - 24 > 0
    assert not [row for row in rows if "Mongolia" in row["completion"]]
    assert 0 < sum(row["repaired"] for row in rows) < 24
    assert artefact["answers_guessed"] == artefact["answers"] == len(server.bodies)
    for parts in (body["messages"][0]["content"] for body in server.bodies):
        assert [part["type"] for part in parts].count("image_url") == 4
        told = "\n".join(part.get("text", "") for part in parts).partition("Notes for you alone")[2]
        assert photo_traces.STEPS[0] in told
        assert re.search(r"The place lies in the (northern|southern) hemisphere\.", told)
        assert not re.search(r"\d|right answer|\.jpg", told)
