"""Secrets never reach a manifest, a recipe in a run folder, a report, a message or the owner of a lock."""

import json

import pytest
from typer.testing import CliRunner

from indirect_rlvr import changes, engine, lock
from indirect_rlvr import manifest as manifests
from indirect_rlvr.cli import app
from indirect_rlvr.config import Recipe, load_recipe
from indirect_rlvr.domain import recipe_path
from indirect_rlvr.redaction import is_secret, redacted, redacted_text

TOKEN = "hf_" + "a1B2" * 8
FORMS = [TOKEN, "sk-" + "a" * 24, "ghp_" + "b" * 24, "AKIA" + "C" * 16, "xoxb-" + "1" * 12, "github_pat_" + "d" * 24]


@pytest.mark.parametrize("secret", FORMS)
def test_a_key_of_a_known_form_is_taken_out_wherever_it_stands(secret: str) -> None:
    assert redacted_text(f"see {secret}, then") == "see (withheld), then"
    assert secret not in json.dumps(redacted({"notes": [{"about": f"<{secret}>"}]}))


@pytest.mark.parametrize(
    "name",
    [
        "hub_token",
        "api_key",
        "OPENAI_API_KEY",
        "password",
        "db_password",
        "client_secret",
        "token",
        "access_key_id",
        "apikey",
        "records.auth_token",
    ],
)
def test_the_value_of_a_key_named_like_a_secret_is_taken_out(name: str) -> None:
    assert redacted({name: "x9"}) == {name: "(withheld)"}
    assert (
        redacted_text(f"rlvr run --set grpo.trl.{name}=x9 -d geo")
        == f"rlvr run --set grpo.trl.{name}=(withheld) -d geo"
    )


def test_lists_and_whole_numbers_under_a_secret_s_name_are_taken_out() -> None:
    assert redacted({"api_key": 12345678, "hub_token": ["x9", 7, ["y"]]}) == {
        "api_key": "(withheld)",
        "hub_token": ["(withheld)", "(withheld)", ["(withheld)"]],
    }


def test_switches_and_weights_under_a_secret_s_name_stay() -> None:
    held = {"password": True, "token": 0.5, "api_key": "", "secret": None, "hub_token": {"n": 3}, "bearer": []}
    assert redacted(held) == held


def test_a_recipe_with_a_reward_term_named_like_a_secret_is_read_back() -> None:
    recipe = load_recipe(recipe_path("template", "default"), ["reward.weights.token=1"])
    assert Recipe.model_validate(redacted(recipe.model_dump())) == recipe


@pytest.mark.parametrize(
    "name", ["eos_token", "pad_token", "max_completion_tokens", "tokens", "passes", "keys", "secretion"]
)
def test_other_keys_keep_their_values(name: str) -> None:
    assert not is_secret(name)
    assert redacted({name: "x9", "n": 3, "none": None}) == {name: "x9", "n": 3, "none": None}


def test_credentials_in_an_address_are_taken_out() -> None:
    assert redacted_text("https://me:pass@host.org/a") == "https://(withheld)@host.org/a"
    assert redacted_text("https://host.org/a@b and me@host.org") == "https://host.org/a@b and me@host.org"


def test_the_value_of_a_known_variable_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef")
    assert redacted_text("logged in with 0123456789abcdef") == "logged in with (withheld)"


def test_a_long_text_is_redacted_in_linear_time() -> None:
    assert redacted_text("://" * 200_000) and redacted_text("a" * 600_000) and redacted_text("a=" * 200_000)


@pytest.fixture
def prepared(tmp_path):
    overrides = [f"grpo.trl.hub_token={TOKEN}", "sft.trl.run_name=https://me:pass@host.org/kept"]
    return engine.prepare("template", "default", overrides, tmp_path / "run")


def test_manifest_and_plan_hold_no_secret(prepared) -> None:
    run, name = prepared
    manifest = manifests.open_manifest(run.folder, run.recipe, name)
    manifests.describe(manifest, run.recipe, name, "indirect-rlvr-template")
    manifest["stopped"] = f"cannot log in with {TOKEN}"
    manifests.save(run.folder, manifest)
    for text in ((run.folder / "manifest.json").read_text(), engine.plan(run, name)):
        assert TOKEN not in text and "me:pass" not in text and "kept" in text


def test_another_token_makes_no_stage_anew(prepared, tmp_path) -> None:
    run, _ = prepared
    overrides = ["grpo.trl.hub_token=other", "sft.trl.run_name=https://you@host.org/kept"]
    other, _ = engine.prepare("template", "default", overrides, tmp_path / "run")
    assert [changes.parts(run, stage) for stage in engine.stages(run.recipe)] == [
        changes.parts(other, stage) for stage in engine.stages(other.recipe)
    ]


def test_a_run_folder_holds_no_secret(tmp_path) -> None:
    folder = tmp_path / "run"
    small = ["records.patients=24", "tasks.train=12", "tasks.test=8", f"grpo.trl.hub_token={TOKEN}"]
    run, name = engine.prepare("template", "default", small, folder, allow_leaks=True)
    engine.execute(run, name, None, "records", lambda line: None)
    written = [path for path in folder.rglob("*") if path.is_file()]
    assert any(path.name == "recipe.toml" for path in written)
    assert [path.name for path in written if TOKEN.encode() in path.read_bytes()] == []


def test_the_owner_of_a_lock_is_named_without_secrets(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["rlvr", "run", "--set", f"grpo.trl.hub_token={TOKEN}"])
    with lock.held(tmp_path):
        assert "(withheld)" in lock.owner(tmp_path) and TOKEN not in lock.owner(tmp_path)


def test_a_message_on_the_terminal_holds_no_secret(tmp_path) -> None:
    made = CliRunner().invoke(
        app, ["run", "--domain", "template", "--set", f"seed={TOKEN}", "--out", str(tmp_path / "r")]
    )
    assert made.exit_code == 2 and TOKEN not in made.output and "(withheld)" in made.output
