"""The command line: mistakes end in one message and an exit code, and every command teaches by example."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from indirect_rlvr import cli, engine
from indirect_rlvr.config import Recipe
from indirect_rlvr.stopping import Terminated

COMMANDS = (
    "run", "report", "status", "doctor", "domains", "check", "rescore", "eval", "score", "benchmarks", "compare",
    "transfer-matrix", "export", "prime", "new", "reward check", "audit", "data mine", "data difficulty",
    "data prepare",
)  # fmt: skip


def rlvr(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def test_no_domain_lists_the_installed() -> None:
    result = rlvr("run")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "rlvr: which domain? give --domain NAME; installed domains: geo, template\n"


def test_an_unknown_domain_lists_the_installed() -> None:
    result = rlvr("run", "--domain", "gео")  # with a Cyrillic е
    assert result.exit_code == 2
    assert result.stderr == "rlvr: unknown domain `gео`; installed domains: geo, template\n"


def test_an_unknown_key_lists_the_known_and_starts_nothing(tmp_path: Path) -> None:
    result = rlvr("run", "--domain", "template", "--set", "grpo.stepz=5", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "unknown key `grpo.stepz`; known keys here: curriculum, from_base, group_size" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_wrong_type_names_key_and_value(tmp_path: Path) -> None:
    result = rlvr("run", "--domain", "template", "--set", "grpo.steps=many", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "`grpo.steps` is 'many': input should be a valid integer" in result.stderr


def test_an_unknown_domain_setting_lists_the_pack_s_own(tmp_path: Path) -> None:
    result = rlvr("run", "--domain", "template", "--set", "records.patient=5", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "[records] of domain `template`: unknown key `patient`; known keys here: patients, visits" in result.stderr


def test_an_unknown_stage_lists_the_stages(tmp_path: Path) -> None:
    result = rlvr("run", "--domain", "template", "--until", "training", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "unknown stage `training`; the stages in order: records, tasks, scaffold, base, sft" in result.stderr


def test_an_unknown_option_is_refused() -> None:
    assert rlvr("run", "--domian", "geo").exit_code == 2


@pytest.mark.parametrize("command", ["run", "prime"])
def test_a_domain_as_an_argument_is_answered_with_the_option(command: str) -> None:
    result = rlvr(command, "cxr")
    assert result.exit_code == 2
    assert "Got unexpected extra argument (cxr); a domain is given as --domain cxr" in result.stderr


def test_another_argument_is_refused_without_advice_on_the_domain(tmp_path: Path) -> None:
    result = rlvr("run", "--domain", "template", "records", "tasks", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "Got unexpected extra argument (records tasks)\n" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_run_has_no_report(tmp_path: Path) -> None:
    result = rlvr("report", str(tmp_path))
    assert result.exit_code == 1
    assert "holds no run" in result.stderr


def test_a_mistake_inside_a_hook_names_the_hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    result = rlvr(
        "run", "--domain", "template", "--set", "tasks.k=26", "--until", "tasks", "--out", str(tmp_path / "out")
    )
    assert result.exit_code == 1
    assert "fewer than K records in every neighbourhood" in result.stderr
    assert "Traceback" not in result.output


def test_an_interrupted_run_ends_in_one_line_and_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "execute", interrupted)
    result = rlvr("run", "--domain", "template")
    assert result.exit_code == 130
    assert result.stderr == "\nrlvr: interrupted; the same command continues where it stopped\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_told_by_the_exit_code(monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int) -> None:
    def execute(*arguments: object) -> None:
        raise Terminated(number)

    monkeypatch.setattr(engine, "execute", execute)
    assert rlvr("run", "--domain", "template").exit_code == code


def test_a_terminal_that_is_gone_ends_no_run(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    start = [sys.executable, "-c", "from indirect_rlvr.cli import app; app()"]
    with Path("/dev/full").open("w") as nobody:
        asked = [*start, "run", "--domain", "template", "--out", str(tmp_path), "--until", "tasks"]
        subprocess.run([*asked, "--set", "records.patients=40"], stdout=nobody, stderr=nobody)
    assert set(json.loads((tmp_path / "manifest.json").read_text())["stages"]) == {"records", "tasks"}


def test_a_new_domain_needs_a_name_that_is_a_word_and_free(tmp_path: Path) -> None:
    refused = {
        "Clinic": "`Clinic` cannot name a domain; use lower-case letters",
        "../x": "`../x` cannot name a domain",
        "geo": "a domain `geo` is installed already",
    }
    for name, message in refused.items():
        result = rlvr("new", name, str(tmp_path / "x"))
        assert (result.exit_code, message in result.stderr) == (2, True)
    (tmp_path / "there").mkdir()
    assert "exists already" in rlvr("new", "clinic", str(tmp_path / "there")).stderr
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "clinic"):
        said = rlvr("new", "clinic", str(place)).stderr
        assert said == f"rlvr: `{tmp_path}/file` is a file, not a folder; give another folder: rlvr new clinic FOLDER\n"


def test_a_folder_that_is_no_run_has_nothing_to_score_again(tmp_path: Path) -> None:
    result = rlvr("rescore", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("rlvr: cannot read `")


def test_an_unknown_ecosystem_lists_the_known(tmp_path: Path) -> None:
    result = rlvr("export", "openrlhf", "template", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert all(name in result.stderr for name in ("'verl'", "'ms-swift'", "'verifiers'"))


def test_an_export_needs_a_run_or_a_domain(tmp_path: Path) -> None:
    result = rlvr("export", "verl", "runs/gone", "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert result.stderr == "rlvr: unknown domain `runs/gone`; installed domains: geo, template\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example(command: str) -> None:
    result = rlvr(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"  rlvr {command}" in result.stdout


@pytest.mark.parametrize("group", ["", "data", "reward"])
def test_no_description_of_a_command_is_cut_at_80_columns(group: str) -> None:
    said = CliRunner().invoke(cli.app, [*group.split(), "--help"], terminal_width=80).stdout
    listed = said.partition("Commands:\n")[2].splitlines()
    assert listed and max(map(len, said.splitlines())) <= 80
    assert [line for line in listed if not line.endswith(".")] == []
    assert [line for line in listed if line.endswith("...")] == []


def test_the_commands_are_the_ones_tested() -> None:
    alone = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    grouped = [
        f"{group.name} {command.name}"
        for group in cli.app.registered_groups
        for command in group.typer_instance.registered_commands
    ]
    assert sorted(alone + grouped) == sorted(COMMANDS)


def test_a_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    result = rlvr("run", "--domain", "template", "--dry-run", "--set", "grpo.steps=7", "--out", str(tmp_path / "out"))
    assert result.exit_code == 0
    recipe, _, stages = result.stdout.partition("stages:")
    assert "[grpo]\nsteps = 7\n" in recipe
    assert "records    run: not finished" in stages and "7 steps" in stages
    assert not (tmp_path / "out").exists()


def test_the_printed_plan_is_a_recipe(tmp_path: Path) -> None:
    printed = rlvr("run", "--domain", "template", "--dry-run", "--out", str(tmp_path / "out")).stdout.partition(
        "stages:"
    )[0]
    path = tmp_path / "again.toml"
    path.write_text(printed)
    again = rlvr("run", "--domain", "template", "--recipe", str(path), "--dry-run", "--out", str(tmp_path / "out"))
    assert again.stdout.partition("stages:")[0] == printed
    assert isinstance(engine.prepare("template", str(path), [], tmp_path)[0].recipe, Recipe)


def test_data_stages_run_alone_and_are_skipped_the_second_time(tmp_path: Path) -> None:
    arguments = ("run", "--domain", "template", "--until", "tasks", "--out", str(tmp_path / "out"))
    first, second = rlvr(*arguments), rlvr(*arguments)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "tasks kept" in first.stdout
    assert second.stdout.count("finished before, skipped") == 2


def test_a_run_is_exported_and_an_export_replaced_and_nothing_else(tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    small = ("--set", "records.patients=40", "--set", "tasks.train=8", "--set", "tasks.test=8")
    assert rlvr("run", "--domain", "template", "--until", "tasks", "--out", str(run), *small).exit_code == 0
    for _ in range(2):
        result = rlvr("export", "ms-swift", str(run), "--out", str(out))
        assert result.exit_code == 0
        assert result.stdout == f"made {out}: 16 tasks; docs/exports.md says how ms-swift reads it\n"
    assert (out / "plugin.py").is_file()
    refused = rlvr("export", "verl", str(run), "--out", str(run))
    assert (refused.exit_code, (run / "tasks.jsonl").is_file()) == (1, True)
    refused = rlvr("rescore", str(run))
    assert "holds no rollouts to score again" in refused.stderr


def test_the_reward_of_a_domain_is_checked_on_its_tasks() -> None:
    result = rlvr("reward", "check", "template", "--rows", "4")
    assert result.exit_code == 0
    assert all(term in result.stdout for term in ("accuracy", "format", "grounded"))
    rows = json.loads(rlvr("reward", "check", "template", "--rows", "4", "--json").stdout)
    assert len(rows) + 1 == len(result.stdout.splitlines())


def test_domains_lists_hooks_and_recipes() -> None:
    result = rlvr("domains")
    assert result.exit_code == 0
    assert "template  indirect-rlvr-template 0.1.0\n          hooks: benchmarks, brief, check_facts" in result.stdout
    assert "recipes: default" in result.stdout


def test_shells_complete_the_names_of_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(
        cli.app,
        prog_name="rlvr",
        env={"_RLVR_COMPLETE": "complete_bash", "COMP_WORDS": "rlvr run --domain te", "COMP_CWORD": "3"},
    )
    assert result.stdout.strip() == "template"


def test_the_version_is_the_distribution_s() -> None:
    assert rlvr("--version").stdout == "0.1.0\n"
