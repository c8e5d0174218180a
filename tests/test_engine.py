"""Running stages: what is refused before anything starts, what is skipped, what is made again and why."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from indirect_rlvr import engine, pipeline
from indirect_rlvr.errors import ConfigError, DataError, DomainError, RunError
from indirect_rlvr.pipeline import STAGES, Run, stages
from indirect_rlvr.run import file_digest
from indirect_rlvr.training import base
from indirect_rlvr.training.base import require_there

SMALL = ["records.patients=40", "tasks.train=20", "tasks.test=20"]


def run(
    folder: Path, *overrides: str, first: str | None = None, last: str | None = "tasks", accept: bool = False
) -> list[str]:
    """The lines that a run of the template domain prints; up to the tasks, which needs no model."""
    said: list[str] = []
    prepared, name = engine.prepare("template", "default", [*SMALL, *overrides], folder, accept_changes=accept)
    engine.execute(prepared, name, first, last, said.append)
    return said


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text(encoding="utf-8"))


def test_an_unknown_stage_lists_the_stages(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown stage `train`; the stages in order: records, tasks"):
        run(tmp_path / "run", last="train")
    assert not (tmp_path / "run").exists()


def test_from_after_until_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--from grpo comes after --until tasks"):
        run(tmp_path / "run", first="grpo")


def test_a_recipe_of_another_domain_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('domain = "geo"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="is for domain `geo`, not `template`"):
        engine.prepare("template", str(path), [], tmp_path)


def test_an_unknown_recipe_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(DomainError, match="has no recipe `huge`; it has: default"):
        engine.prepare("template", "huge", [], tmp_path)


def test_a_file_as_run_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is a file, not a folder; choose another with --out"):
        run(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["link", "loop", "bad\udcff", "a" * 300])
def test_a_name_that_can_be_no_run_folder_is_one_message(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere" / "x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ConfigError, match="choose another with --out"):
        run(tmp_path / name, last="records")


def test_a_dry_run_refuses_an_unknown_stage_too(tmp_path: Path) -> None:
    prepared, name = engine.prepare("template", "default", [], tmp_path / "run")
    with pytest.raises(ConfigError, match="unknown stage `sftt`"):
        engine.plan(prepared, name, None, "sftt")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sft.trl.learning_rat=1e-5", "`sft.trl.learning_rat` is no option of trl.SFTConfig; near matches: learning"),
        ("grpo.trl.max_steps=3", "`grpo.trl.max_steps` must not be set: set `steps` of the section"),
        ("grpo.trl.per_device_train_batch_size=7", "must divide the"),
        ("model.path=./nowhere", "`model.path` is `./nowhere`, and there is no such folder; give a folder, a hub id"),
        ("model.path=/nowhere/at/all", "`model.path` is `/nowhere/at/all`, and there is no such folder"),
        ("model.path=tests/nowhere", "`model.path` is `tests/nowhere`, and there is no such folder"),
        ("reward.weights={acuracy=1.0}", "`reward.weights` names the unknown term `acuracy`"),
    ],
)
def test_what_would_stop_a_later_stage_is_said_before_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, override: str, message: str
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    prepared, name = engine.prepare("template", "default", [override], tmp_path / "out")
    for attempt in (engine.plan, engine.execute):
        with pytest.raises(ConfigError, match=re.escape(message)):
            attempt(prepared, name, None, None)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", ["primed", "Qwen/Qwen2.5-VL-7B-Instruct", "gpt2"])
def test_hub_ids_are_not_doubted(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    require_there(path)


def test_fewer_tasks_than_asked_for_are_said(tmp_path: Path) -> None:
    reason = "the records give no more candidate sets"
    last = run(tmp_path / "out", "tasks.train=100000", "tasks.test=1")[-1]
    assert re.search(rf"tasks kept, .*; [\d,]+ of 100,000 train tasks: {reason}", last)
    assert " test tasks" not in last
    assert reason not in "\n".join(run(tmp_path / "few", "tasks.train=2", "tasks.test=2"))


def test_priming_never_replaces_what_is_not_a_primed_model(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    prepared, _ = engine.prepare("template", "default", ["model.prime.steps=1"], tmp_path)
    with pytest.raises(RunError, match="holds no primed model; choose another folder with --out"):
        base.make(prepared.recipe, base.skills(prepared.domain), tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(RunError, match="is not empty and holds no run; choose another folder with --out"):
        run(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.tex"]


def test_a_folder_of_another_recipe_is_refused_and_left_alone(tmp_path: Path) -> None:
    run(tmp_path / "run", last="records")
    other = tmp_path / "other.toml"
    other.write_text('domain = "template"\n', encoding="utf-8")
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    prepared, name = engine.prepare("template", str(other), [], tmp_path / "run")
    with pytest.raises(RunError, match="belongs to domain `template`, recipe `default`, not to .* recipe `other`"):
        engine.execute(prepared, name, None, None)
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before


def test_from_needs_the_stages_before_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="--from tasks needs stage `records`, which is not finished; leave --from out"):
        run(tmp_path / "run", first="tasks")


def test_fewer_than_k_records_in_every_neighbourhood_is_one_message_and_records_stay(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fewer than K records in every neighbourhood of the test split: K is 20"):
        run(tmp_path / "run", "tasks.k=20")
    assert manifest(tmp_path / "run")["state"] == "interrupted"
    assert "records" in manifest(tmp_path / "run")["stages"]


def test_a_dry_run_names_recipe_stages_and_costs_and_writes_nothing(tmp_path: Path) -> None:
    prepared, name = engine.prepare("template", "default", ["grpo.steps=7"], tmp_path / "run")
    text = engine.plan(prepared, name)
    assert "steps = 7" in text
    assert all(stage.name in text for stage in STAGES)
    assert "2 trainings of 7 steps" in text
    assert not (tmp_path / "run").exists()


def test_a_finished_stage_is_skipped(tmp_path: Path) -> None:
    run(tmp_path / "run")
    written = (tmp_path / "run" / "tasks.jsonl").stat().st_mtime_ns
    assert [line.partition(": ")[2] for line in run(tmp_path / "run")] == ["finished before, skipped"] * 2
    assert (tmp_path / "run" / "tasks.jsonl").stat().st_mtime_ns == written


def test_a_changed_setting_runs_what_depends_on_it_again_and_says_so(tmp_path: Path) -> None:
    run(tmp_path / "run")
    said = run(tmp_path / "run", "tasks.k=3", accept=True)
    assert said[0].endswith("finished before, skipped")
    assert "out of date: tasks changed" in said[1]
    said = run(tmp_path / "run", "tasks.k=3", "records.visits=3", accept=True)
    assert "out of date: records changed" in said[0]
    assert any("out of date: stage records changed" in line for line in said)


def test_a_changed_setting_is_refused_and_changes_nothing_unless_accepted(tmp_path: Path) -> None:
    run(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    refusal = r"other conditions:\n  made anew: tasks \(out of date: tasks changed\)\nGive --accept-changes"
    with pytest.raises(ConfigError, match=refusal):
        run(tmp_path / "run", "tasks.k=3")
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before
    assert all("skipped" in line for line in run(tmp_path / "run"))


def test_a_changed_seed_is_refused_with_a_line_for_each_stage(tmp_path: Path) -> None:
    run(tmp_path / "run")
    with pytest.raises(ConfigError) as refused:
        run(tmp_path / "run", "seed=1")
    assert str(refused.value).split("\n")[1:-1] == [
        "  made anew: records (out of date: seed changed)",
        "  made anew: tasks (out of date: stage records changed)",
    ]


def test_other_packages_are_refused_where_something_is_still_to_do(tmp_path: Path) -> None:
    run(tmp_path / "run", last="records")
    found = manifest(tmp_path / "run")
    found["packages"]["torch"] = "1.0"
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(ConfigError, match="the packages changed, so what is still to do may differ\nGive --accept"):
        run(tmp_path / "run")
    run(tmp_path / "run", last="records")
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    assert "tasks kept" in run(tmp_path / "run", accept=True)[-1]


def test_a_file_that_was_edited_is_refused_where_something_is_still_to_do(tmp_path: Path) -> None:
    run(tmp_path / "run", last="records")
    path = tmp_path / "run" / "records" / "records.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    assert "skipped" in run(tmp_path / "run", last="records")[0]
    for _ in range(2):
        with pytest.raises(ConfigError, match="the file records\\.jsonl changed, so what is still to do may differ"):
            run(tmp_path / "run")
    run(tmp_path / "run", accept=True)
    assert all("skipped" in line for line in run(tmp_path / "run"))
    assert manifest(tmp_path / "run")["artefacts"]["records"]["sha256"] == file_digest(path)


def test_a_file_that_was_edited_is_refused_where_a_later_stage_is_made_again(tmp_path: Path) -> None:
    run(tmp_path / "run")
    path = tmp_path / "run" / "records" / "records.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:-1]), encoding="utf-8")
    with pytest.raises(ConfigError, match="the file records\\.jsonl changed, so what is still to do may differ"):
        run(tmp_path / "run", first="tasks")
    assert "skipped" not in run(tmp_path / "run", first="records")[0]


def test_another_number_of_processes_matters_only_after_something_they_did_together(tmp_path: Path) -> None:
    run(tmp_path / "run", last="records")
    found = manifest(tmp_path / "run")
    found["hardware"]["processes"] = 8
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    assert "tasks kept" in run(tmp_path / "run")[-1]
    found["stages"]["sft"] = found["stages"]["records"]
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(ConfigError, match="the processes changed, so what is still to do may differ\nGive --accept"):
        run(tmp_path / "run", last="grpo-zero")


def test_from_makes_a_finished_stage_again(tmp_path: Path) -> None:
    run(tmp_path / "run")
    said = run(tmp_path / "run", first="tasks")
    assert "skipped" in said[0]
    assert "tasks kept" in said[-1]


def test_a_stage_whose_file_was_deleted_runs_again(tmp_path: Path) -> None:
    run(tmp_path / "run")
    (tmp_path / "run" / "audit.json").unlink()
    assert "skipped" not in run(tmp_path / "run")[-1]
    assert (tmp_path / "run" / "audit.json").exists()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, f"seed={seed}")
    first, same, other = ((tmp_path / name / "tasks.jsonl").read_bytes() for name in "abc")
    assert first == same != other


def test_the_manifest_says_what_the_run_is_made_of(tmp_path: Path) -> None:
    run(tmp_path / "run")
    found = manifest(tmp_path / "run")
    assert found["state"] == "partial"
    assert found["recipe"]["tasks"]["train"] == 20
    assert {"torch", "trl", "transformers", "indirect-rlvr", "indirect-rlvr-template"} <= set(found["packages"])
    assert found["hardware"]["threads"] == 1
    assert found["stages"]["tasks"]["kept"] == 40


def test_a_recipe_without_scaffold_has_no_sft_and_no_grpo_from_it(tmp_path: Path) -> None:
    prepared, _ = engine.prepare("template", "default", ["scaffold.count=0"], tmp_path)
    assert [s.name for s in stages(prepared.recipe)] == ["records", "tasks", "base", "grpo-zero", "evaluate", "report"]
    assert list(prepared.models()) == ["base", "template-r1-zero"]


def test_a_recipe_may_leave_the_zero_row_out(tmp_path: Path) -> None:
    prepared, _ = engine.prepare("template", "default", ["grpo.from_base=false"], tmp_path)
    assert "grpo-zero" not in [stage.name for stage in stages(prepared.recipe)]
    assert list(prepared.models()) == ["base", "template-sft", "template-r1"]


def test_counts_read_as_words() -> None:
    from indirect_rlvr.types import Counts

    assert engine.summary(Counts(1200, "tasks", {"no K neighbours": 3, "duplicate": 0})) == (
        "1,200 tasks kept, 3 dropped (3 no K neighbours)"
    )
    assert engine.summary(Counts(5, "tasks", {"duplicate": 0})) == "5 tasks kept, 0 dropped"
    assert engine.summary(Counts(60, "steps")) == "60 steps"


def test_an_interrupted_stage_is_recorded_and_runs_again(tmp_path: Path) -> None:
    prepared, name = engine.prepare("template", "default", SMALL, tmp_path / "run")

    def interrupt(line: str) -> None:
        if line.startswith("[2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.execute(prepared, name, None, "tasks", interrupt)
    assert manifest(tmp_path / "run")["state"] == "interrupted"
    assert list(manifest(tmp_path / "run")["stages"]) == ["records"]
    said = run(tmp_path / "run")
    assert "skipped" in said[0]
    assert "tasks kept" in said[-1]
    assert isinstance(prepared, Run)


def test_a_full_disk_is_one_message_and_finished_stages_stay(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the same error from the same calls."""
    run(tmp_path / "run", last="records")
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "from indirect_rlvr.cli import app; app()"
    )
    arguments = ["run", "--domain", "template", "--out", str(tmp_path / "run"), "--until", "tasks"]
    overrides = [part for setting in SMALL for part in ("--set", setting)]
    command = [sys.executable, "-B", "-c", code, *arguments, *overrides]  # -B: the limit would cut bytecode short too
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "run").glob(".*")] == [".lock"]
    assert "skipped" in run(tmp_path / "run")[0]


def test_without_steps_of_grpo_a_run_ends_with_the_model_of_sft(tmp_path: Path) -> None:
    prepared, name = engine.prepare("template", "default", [*SMALL, "grpo.steps=0"], tmp_path / "run")
    names = [stage.name for stage in stages(prepared.recipe)]
    assert names == ["records", "tasks", "scaffold", "base", "sft", "evaluate", "report"]
    assert list(prepared.models()) == ["base", "template-sft"]
    assert "GRPO: left out" in engine.plan(prepared, name)
    none, _ = engine.prepare("template", "default", [*SMALL, "grpo.steps=0", "scaffold.count=0"], tmp_path / "run")
    assert list(none.models()) == ["base"]


def test_a_recipe_for_eight_processes_is_refused_on_one_before_a_training_and_not_before_its_data(
    tmp_path: Path,
) -> None:
    run(tmp_path / "run", "parallel.processes=8")
    with pytest.raises(ConfigError, match=r"made for 8 processes .* has 1"):
        run(tmp_path / "run", "parallel.processes=8", last="sft")
    assert "sft" not in manifest(tmp_path / "run")["stages"]


def test_a_dry_run_estimates_memory_prompts_and_hours(tmp_path: Path) -> None:
    prepared, name = engine.prepare("template", "default", [*SMALL, "parallel.processes=2"], tmp_path / "run")
    text = engine.plan(prepared, name)
    assert "439,968 parameters" in text and "tasks of the first" in text
    assert "memory of each of 2 x" in text and "sft, peak: " in text and "evaluate: less than a minute" in text


def test_a_dry_run_is_of_the_processes_that_were_asked_for_and_refuses_those_a_training_would(tmp_path: Path) -> None:
    any_number, name = engine.prepare("template", "default", SMALL, tmp_path / "run")
    assert "memory of each of 4 x" in engine.plan(any_number, name, count=4)
    two, _ = engine.prepare("template", "default", [*SMALL, "parallel.processes=2"], tmp_path / "run")
    with pytest.raises(ConfigError, match=r"made for 2 processes .* has 4"):
        engine.plan(two, name, count=4)
    engine.plan(two, name, last="scaffold", count=4)


def test_a_dry_run_says_of_hours_what_they_cost_together(tmp_path: Path) -> None:
    long = [*SMALL, "grpo.steps=4000000", "parallel.processes=2", "parallel.gpu=h100"]
    prepared, name = engine.prepare("template", "default", long, tmp_path / "run")
    said = engine.plan(prepared, name)
    assert "time on 2 x " in said and "sft: less than a minute" in said
    together = re.search(r"together: [\d.]+ (min|h) to ([\d.,]+) h, or [\d,]+ to ([\d,]+) GPU hours", said)
    assert together is not None, said
    hours, spent = (float(each.replace(",", "")) for each in together.group(2, 3))
    assert spent == pytest.approx(2 * hours, rel=0.06)  # two digits of the one


def test_what_this_machine_lacks_does_not_hide_what_a_dry_run_says(tmp_path: Path) -> None:
    sharded = [*SMALL, "parallel.strategy=zero3", "parallel.processes=8"]
    prepared, name = engine.prepare("template", "default", sharded, tmp_path / "run")
    assert "sft, peak: " in engine.plan(prepared, name)


def test_a_training_that_was_broken_off_knows_the_data_it_was_on(tmp_path: Path) -> None:
    (tmp_path / "tasks.jsonl").write_text("{}\n")
    prepared, _ = engine.prepare("template", "default", SMALL, tmp_path)
    before = pipeline._resume(prepared, tmp_path / "tasks.jsonl").identity
    assert pipeline._resume(prepared, tmp_path / "tasks.jsonl").identity == before
    (tmp_path / "tasks.jsonl").write_text("{ }\n")
    now = pipeline._resume(prepared, tmp_path / "tasks.jsonl").identity
    assert [name for name in now if now[name] != before[name]] == ["data"]


def test_a_file_of_answers_that_is_missing_is_left_to_whoever_reads_it(tmp_path: Path) -> None:
    prepared, _ = engine.prepare("template", "default", SMALL, tmp_path)
    assert pipeline._resume(prepared, tmp_path / "gone.jsonl").identity["data"]
