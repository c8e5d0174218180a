"""An export holds what its reward needs, is the same bytes every time, and is refused where it could not score."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from indirect_rlvr.config import load_recipe
from indirect_rlvr.data import proxy
from indirect_rlvr.domain import Domain, recipe_path
from indirect_rlvr.errors import ConfigError, DataError, RlvrError, RunError
from indirect_rlvr.export import bundle, ms_swift, verifiers, verl
from indirect_rlvr.export.scorer import Scorer
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.pipeline import Run
from indirect_rlvr.run import file_digest
from indirect_rlvr.types import GroupTerm, Outcome, Term, View

EXPORTS = {"verl": verl.export, "ms-swift": ms_swift.export, "verifiers": verifiers.export}


def test_a_run_keeps_its_own_recipe(text_run: Run, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"domain": "template"}')
    with (
        pytest.raises(ConfigError, match="is a run with a recipe of its own; leave --recipe and --set out"),
        bundle.source(str(tmp_path), None, ["tasks.k=3"]),
    ):
        pass


def test_neither_a_run_nor_a_domain_lists_the_domains() -> None:
    with pytest.raises(RlvrError, match="unknown domain `runs/gone`; installed domains: "), bundle.source("runs/gone"):
        pass


@pytest.mark.parametrize("name", EXPORTS)
def test_a_folder_that_is_no_export_is_refused_and_left_alone(name: str, image_run: Run, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="exists and is no export; choose another folder with --out"):
        EXPORTS[name](image_run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_reward_that_counts_tokens_needs_a_tokenizer(text_run: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the reward counts tokens \(length, repetition\), .* --tokenizer FOLDER"):
        verl.export(text_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_tokenizer_is_refused(text_run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="cannot load a tokenizer from `.*empty`"):
        verl.export(text_run, tmp_path / "out", str(tmp_path / "empty"))


def test_a_term_that_sees_a_group_is_refused(image_run: Run, tmp_path: Path) -> None:
    class Grouped:
        load_records = staticmethod(hookimpl(lambda: []))
        make_task = staticmethod(hookimpl(lambda: None))

        @staticmethod
        @hookimpl
        def rewards() -> list[GroupTerm]:
            return [GroupTerm("distinct", 0.0, 1.0, lambda task, group: [Outcome(0.0)] * len(group))]

    recipe = load_recipe(recipe_path("template", "default"), ["reward.weights={distinct=1.0}"])
    run = Run(image_run.folder, recipe, Domain("template", Grouped, {}))
    with pytest.raises(ConfigError, match="group term `distinct` sees the completions of a whole group"):
        verl.export(run, tmp_path / "out")


def test_a_term_named_like_the_total_is_refused(image_run: Run, tmp_path: Path) -> None:
    class Named:
        load_records = staticmethod(hookimpl(lambda: []))
        make_task = staticmethod(hookimpl(lambda: None))

        @staticmethod
        @hookimpl
        def rewards() -> list[Term]:
            return [Term("score", 0.0, 1.0, lambda task, completion: Outcome(0.0))]

    recipe = load_recipe(recipe_path("template", "default"), ["reward.weights={score=1.0}"])
    with pytest.raises(ConfigError, match="reward term `score` has the name of the total elsewhere"):
        verl.export(Run(image_run.folder, recipe, Domain("template", Named, {})), tmp_path / "out")


@pytest.mark.parametrize("mark", bundle.PLACEHOLDERS)
def test_a_record_whose_text_would_be_read_as_an_image_is_refused(mark: str, image_run: Run, tmp_path: Path) -> None:
    shutil.copytree(image_run.folder, tmp_path / "run")
    task = proxy.read(image_run.folder / "tasks.jsonl")[0]
    query = (*task.question.query, View("note", "text", f"see {mark} here"))
    proxy.save(tmp_path / "run" / "tasks.jsonl", [replace(task, question=replace(task.question, query=query))])
    with pytest.raises(DataError, match=f"the prompt of task `t0` holds the text `{mark}`"):
        ms_swift.export(replace(image_run, folder=tmp_path / "run"), tmp_path / "out")


@pytest.mark.parametrize("name", EXPORTS)
def test_the_same_run_is_the_same_bytes_and_replaces_what_was_there(
    name: str, text_run: Run, tokenizer_folder: Path, tmp_path: Path
) -> None:
    counts = EXPORTS[name](text_run, tmp_path / "a", str(tokenizer_folder))
    assert counts.kept == 16
    first = file_digest(tmp_path / "a")
    (tmp_path / "a" / "left-over").write_text("of an older export")
    EXPORTS[name](text_run, tmp_path / "a", str(tokenizer_folder))
    assert file_digest(tmp_path / "a") == first
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("name", EXPORTS)
def test_nothing_in_an_export_is_a_path_of_this_machine_or_a_pickle(
    name: str, text_run: Run, image_run: Run, tokenizer_folder: Path, tmp_path: Path
) -> None:
    EXPORTS[name](text_run, tmp_path / "text", str(tokenizer_folder))
    EXPORTS[name](image_run, tmp_path / "images")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(str(root).encode() in content for root in (tmp_path, image_run.folder, text_run.folder))
        assert path.suffix in {".json", ".jsonl", ".toml", ".py", ".parquet", ".png", ".jinja"}


def test_the_export_says_what_its_reward_is(text_run: Run, tokenizer_folder: Path, tmp_path: Path) -> None:
    verl.export(text_run, tmp_path / "out", str(tokenizer_folder))
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert about["counts_tokens"] == ["length", "repetition"]
    assert about["tasks"] == {"train": 8, "test": 8}
    assert about["reward_version"] == Scorer(tmp_path / "out").reward.version()
    assert set(about["packages"]) == {"indirect-rlvr", "indirect-rlvr-template"}
