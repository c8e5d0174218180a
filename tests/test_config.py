"""Recipes: what is refused and with which words, and what overrides do."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from indirect_rlvr.config import Recipe, load_recipe
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.validation import validate


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "short.toml"
    path.write_text('domain = "toy"\n[grpo]\nsteps = 5\ntrl = { learning_rate = 1e-5 }\n')
    return path


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read recipe `.*none\.toml`: No such file or directory"):
        load_recipe(tmp_path / "none.toml", [])


@pytest.mark.parametrize("content", [b"domain = ", b"\xff\xfe", b"[grpo]\n[grpo]\n"])
def test_a_recipe_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe `.*bad\.toml` is not TOML: "):
        load_recipe(path, [])


def test_an_unknown_key_lists_the_keys_of_its_own_section(recipe: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_recipe(recipe, ["grpo.stepz=5"])
    known = "curriculum, from_base, group_size, keep_checkpoints, max_completion_tokens"
    assert f"unknown key `grpo.stepz`; known keys here: {known}" in str(refused.value)


def test_an_unknown_section_lists_the_sections(recipe: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key `grp`; known keys here: domain, evaluation, grpo"):
        load_recipe(recipe, ["grp.steps=5"])


def test_every_mistake_is_told_at_once(recipe: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load_recipe(recipe, ["grpo.steps=many", "tasks.k=1", "sft.stepz=3"])
    for part in ("`grpo.steps` is 'many'", "`tasks.k` is 1: input should be greater than or equal to 2", "`sft.stepz`"):
        assert part in str(refused.value)


def test_a_wrong_override_is_blamed_on_the_command_line_and_the_rest_on_the_recipe(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"^`--set grpo.steps=many`: `grpo.steps` is 'many': .*integer[^;]*$"):
        load_recipe(recipe, ["seed=3", "grpo.steps=many"])
    with pytest.raises(ConfigError, match=r"^`--set grp.x=1`: unknown key `grp`; known keys here: domain, "):
        load_recipe(recipe, ["grp.x=1"])
    recipe.write_text('domain = "toy"\n[tasks]\nk = 1\n')
    with pytest.raises(ConfigError, match=r"^`--set seed=-1`: `seed` is -1: .*; recipe `.*toml`: `tasks.k` is 1: "):
        load_recipe(recipe, ["seed=-1"])


def test_a_recipe_needs_a_domain() -> None:
    with pytest.raises(ConfigError, match=r"`domain` is .*field required"):
        validate(Recipe, {}, "recipe `x`")


@pytest.mark.parametrize("override", ["grpo.steps", "=3", " = 3"])
def test_an_override_without_key_or_value_shows_the_form(recipe: Path, override: str) -> None:
    with pytest.raises(ConfigError, match=r"is not of the form section.key=value, for example grpo.steps=50"):
        load_recipe(recipe, [override])


def test_an_override_cannot_make_a_value_a_section(recipe: Path) -> None:
    with pytest.raises(ConfigError, match=r"override `domain.name=x`: `domain` is a value, not a section"):
        load_recipe(recipe, ["domain.name=x"])


def test_overrides_are_toml_and_a_bare_word_is_text(recipe: Path) -> None:
    changed = load_recipe(
        recipe,
        ["grpo.steps=7", "model.path=some/model", 'grpo.trl.loss_type="dapo"', "records.sizes=[1, 2]", "seed = 3"],
    )
    assert (changed.grpo.steps, changed.model.path, changed.seed) == (7, "some/model", 3)
    assert changed.grpo.trl == {"learning_rate": 1e-5, "loss_type": "dapo"}
    assert changed.records == {"sizes": [1, 2]}


def test_what_a_recipe_leaves_out_has_its_default(recipe: Path) -> None:
    assert load_recipe(recipe, []) == Recipe(domain="toy", grpo={"steps": 5, "trl": {"learning_rate": 1e-5}})


def test_a_recipe_cannot_be_changed(recipe: Path) -> None:
    loaded = load_recipe(recipe, [])
    with pytest.raises(ValueError, match="frozen"):
        loaded.seed = 1


def _fields(model: type[BaseModel]) -> list[tuple[str, str | None]]:
    found = []
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += _fields(field.annotation)
        else:
            found.append((f"{model.__name__}.{name}", field.description))
    return found


def test_every_setting_has_its_sentence() -> None:
    without = [name for name, sentence in _fields(Recipe) if not sentence]
    assert without == ["Recipe.records"] or without == []


def test_of_a_section_that_contradicts_itself_only_the_contradiction_is_shown(recipe: Path) -> None:
    said = "`grpo`: save_steps is 10; expected a multiple of trl.num_iterations (3), for example 9, because a training"
    with pytest.raises(ConfigError, match=re.escape(f"`--set grpo.trl.num_iterations=3`: {said}")):
        load_recipe(recipe, ["grpo.trl.num_iterations=3"])


def test_a_message_quotes_only_the_beginning_of_a_long_override(recipe: Path) -> None:
    for override in ("sft.steps.x=" + "x" * 9000, "sft.steps=" + "x" * 9000, "x" * 9000):
        with pytest.raises(ConfigError) as refused:
            load_recipe(recipe, [override])
        assert len(str(refused.value)) < 1000


def test_a_recipe_may_begin_with_the_mark_that_editors_put_before_utf_8(recipe: Path) -> None:
    plain = load_recipe(recipe, [])
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes().replace(b"\n", b"\r\n"))
    assert load_recipe(recipe, []) == plain


def test_a_text_that_no_file_can_be_named_is_refused(recipe: Path) -> None:
    with pytest.raises(ConfigError, match="`model.path` is 'a\\\\x00b'; expected text"):
        load_recipe(recipe, ['model.path="a\\u0000b"'])
