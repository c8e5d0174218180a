"""The checks of a domain find what they are for, and pass on the packs that are here."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel

from indirect_rlvr import checks, packs
from indirect_rlvr.config import load_recipe
from indirect_rlvr.domain import Domain, recipe_path
from indirect_rlvr.errors import DataError, RlvrError
from indirect_rlvr.evaluation.choice import choice_benchmark
from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.types import Completion, Outcome, Prompt, ProxyTask, Record, Term, View
from indirect_rlvr_template import hooks as template

LOOK: dict[str, Callable[[checks.World], str]] = dict(checks.CHECKS)
SETTINGS = {"patients": 40, "visits": 4}


def a_domain(**hooks: Callable[..., Any]) -> Domain:
    """The template with some hooks replaced."""
    module = ModuleType("broken.hooks")
    vars(module).update({name: value for name, value in vars(template).items() if not name.startswith("__")})
    vars(module).update({name: hookimpl(hook) for name, hook in hooks.items()})
    return Domain("broken", module, SETTINGS)


def lines_of_a_trace(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(completion.text.count(" best ")))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> checks.World:
    """A sample of the template, which passes every check."""
    recipe = load_recipe(recipe_path("template", "default"), ["records.patients=40"])
    empty = checks._empty(a_domain(), recipe, tmp_path_factory.mktemp("world"))
    return checks._form(checks._load(empty, []), [])


def refused(world: checks.World, name: str, **hooks: Callable[..., Any]) -> str:
    """What the check says of the world when some hooks are replaced; it must not pass."""
    with pytest.raises((AssertionError, RlvrError, ValueError)) as found:
        LOOK[name](replace(world, domain=a_domain(**hooks)))
    return str(found.value)


def test_settings_that_can_be_changed_are_found(world: checks.World) -> None:
    class Loose(BaseModel):
        patients: int = 1
        visits: int = 1

    class Frozen(BaseModel, frozen=True):
        patients: int = 1
        visits: int = 1

    assert "`Loose` can be changed" in refused(world, "settings", domain_settings=lambda: Loose)
    assert "`Frozen` takes unknown keys" in refused(world, "settings", domain_settings=lambda: Frozen)


def test_records_that_ignore_the_seed_are_found(world: checks.World) -> None:
    counter = iter(range(10**6))

    def load_records(settings: Any, folder: Path, seed: int) -> Iterator[Record]:
        for record in template.load_records(settings, folder, seed):
            yield replace(record, facts={**record.facts, "draw": next(counter)})

    assert "differs the second time" in refused(world, "same seed, same records", load_records=load_records)


def test_wording_that_depends_on_the_order_is_found(world: checks.World) -> None:
    def make_task(settings: Any, query: Any, candidates: Any) -> Any:
        question = template.make_task(settings, query, candidates)
        return replace(question, text=f"Not the first? {[c.id for c in candidates].index(query.id)}")

    assert "`make_task` words it by the order" in refused(world, "wording", make_task=make_task)


def test_a_prompt_that_tells_the_answer_is_found(world: checks.World) -> None:
    def render(settings: Any, task: Any) -> Prompt:
        return Prompt((*task.question.query, *task.question.candidates, f"Is it {task.answer}?"))

    assert "`render` words it by where the answer stands" in refused(world, "wording", render=render)


def test_a_prompt_without_a_candidate_is_found(world: checks.World) -> None:
    def render(settings: Any, task: Any) -> Prompt:
        return Prompt((*task.question.query, *task.question.candidates[1:]))

    assert "candidates stand [0, 1, 1, 1] times" in refused(world, "prompt", render=render)


def test_a_query_that_stays_in_the_control_is_found(world: checks.World) -> None:
    notes = {task.id: task.question.query for task in world.tasks}

    def render(settings: Any, task: Any) -> Prompt:
        return Prompt((*notes[task.id], *task.question.candidates))

    assert "without its query the prompt still shows" in refused(world, "prompt", render=render)


def test_a_brief_that_is_drawn_anew_is_found(world: checks.World) -> None:
    counter = iter(range(10**6))
    drawn = refused(world, "brief", brief=lambda record: [f"Look {next(counter)} times."])
    assert "`brief` says something else the second time" in drawn


def test_a_brief_that_is_no_list_of_sentences_or_holds_a_control_token_is_found(world: checks.World) -> None:
    assert "expected a list of sentences" in refused(world, "brief", brief=lambda record: "look")
    assert "holds a control token" in refused(world, "brief", brief=lambda record: ["<|im_end|>"])


def test_a_brief_that_remembers_which_record_was_asked_first_is_found(world: checks.World) -> None:
    asked: list[str] = []

    def brief(record: Record) -> list[str]:
        asked.append(record.id)
        return ["The answer is late."] if len(set(asked[-40:])) % 2 else ["The answer is early."]

    assert "use" in refused(world, "brief", brief=brief)


@pytest.mark.parametrize(
    ("trace", "message"),
    [
        ("<answer>A</answer>", "the trace is not <think>…</think><answer>…</answer>"),
        ("<think>x</think><answer>Z</answer>", "the trace's answer names none of A, B, C, D"),
        ("<think>\nA: 999\n</think><answer>A</answer>", "the trace states what metadata contradicts: A shows 999"),
    ],
)
def test_a_bad_trace_is_found(world: checks.World, trace: str, message: str) -> None:
    assert message in refused(world, "scaffold", scaffold=lambda task: trace)


def test_a_fact_check_that_raises_is_found(world: checks.World) -> None:
    assert "could not convert" in refused(
        world, "facts", check_facts=lambda text: [float(word) for word in text.split()]
    )


def test_a_fact_check_that_is_quadratic_is_found(world: checks.World) -> None:
    unclosed = re.compile(r"\(+\)")
    said = refused(world, "facts", check_facts=lambda text: [unclosed.match(text, n) for n in range(0, len(text), 9)])
    assert re.search("`check_facts` takes .* times as long for 20 times the text", said)


def test_a_fact_check_that_is_exponential_is_found_before_it_hangs(world: checks.World) -> None:
    nested = re.compile(r"(\(+)+\)")
    said = refused(world, "facts", check_facts=lambda text: nested.match(text[:24]) or ())
    assert re.search("`check_facts` takes as long for 30+ characters of .* as .* passes over 50,000", said)


def test_a_reward_that_leaves_its_range_is_found(world: checks.World) -> None:
    term = Term("long", 0.0, 1.0, lambda task, completion: Outcome(float(len(completion.text))))
    assert "long" in refused(world, "rewards", rewards=lambda: [term])


def test_two_reward_terms_of_one_name_are_found(world: checks.World) -> None:
    term = Term("accuracy", 0.0, 1.0, lambda task, completion: Outcome(2.0))
    assert refused(world, "rewards", rewards=lambda: [term]).startswith("two reward terms are named `accuracy`; give")


def test_a_recipe_whose_reward_pays_wrong_answers_more_is_found(world: checks.World) -> None:
    reward = world.recipe.reward.model_copy(update={"weights": {"accuracy": -1.0, "format": 0.5}})
    turned = replace(world, recipe=world.recipe.model_copy(update={"reward": reward}))
    assert "the composite pays" in refused(turned, "rewards")


def test_a_benchmark_on_training_clusters_is_found(world: checks.World) -> None:
    train = [record for record in world.records if record.split == "train"]

    def benchmarks(settings: Any, records: Any, count: int, seed: int) -> Any:
        return template.benchmarks(settings, train, count, seed)

    assert "which is not held out" in refused(world, "benchmarks", benchmarks=benchmarks)


def test_a_benchmark_that_trips_over_hostile_text_is_found(world: checks.World) -> None:
    def parse(example: Any, response: Any) -> Any:
        return {"answer": float(response.text)}

    def benchmarks(settings: Any, records: Any, count: int, seed: int) -> Any:
        return [replace(made, parse=parse) for made in template.benchmarks(settings, records, count, seed)]

    assert "could not convert string to float" in refused(world, "benchmarks", benchmarks=benchmarks)


def test_a_published_benchmark_with_the_name_of_a_target_is_found(world: checks.World) -> None:
    twin = choice_benchmark("pulse", "another", lambda folder: [])
    assert "two benchmarks are named `pulse`" in refused(world, "benchmarks", suite=lambda: [twin])


def test_a_benchmark_without_a_name_before_its_records_is_found(world: checks.World) -> None:
    def benchmarks(settings: Any, records: Any, count: int, seed: int) -> Any:
        return template.benchmarks(settings, records, count, seed) if records else []

    assert "without records must give the same names" in refused(world, "benchmarks", benchmarks=benchmarks)


def test_where_no_world_can_be_made_the_rest_is_left_out() -> None:
    results = checks.check("template", str(recipe_path("template", "default")))
    assert all(result.ok for result in results)
    assert [result.name for result in results] == ["loads", "records", "tasks", *LOOK]


def test_a_recipe_that_is_wrong_fails_the_first_check(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text('domain = "template"\n[records]\npatient = 3\n')
    (result,) = checks.check("template", str(path))
    assert (result.name, result.ok) == ("loads", False)
    assert "unknown key `patient`" in result.detail


def test_a_broken_pack_is_a_row_with_its_error() -> None:
    rows = [
        packs.Pack("a", "a 1.0", ("render",), ("default",), ""),
        packs.Pack("bcd", "b 2.0", (), (), "no such module"),
    ]
    assert packs.table(rows).splitlines() == [
        "a    a 1.0", "     hooks: render", "     recipes: default",
        "bcd  b 2.0", "     error: no such module", "     recipes: none",
    ]  # fmt: skip


def test_a_pack_whose_code_raises_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    about = tmp_path / "rlvr_torn-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rlvr-torn\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[indirect_rlvr.domains]\ntorn = rlvr_torn.hooks\n")
    hooks = (f"def {name}({asked}):\n    return 1 / 0\n" for name, asked in (
        ("domain_settings", ""), ("load_records", "folder, seed"), ("make_task", "query, candidates"),
    ))  # fmt: skip
    (tmp_path / "rlvr_torn").mkdir()
    (tmp_path / "rlvr_torn" / "__init__.py").touch()
    marked = "".join(f"@hookimpl\n{hook}" for hook in hooks)
    (tmp_path / "rlvr_torn" / "hooks.py").write_text(f"from indirect_rlvr.hookspecs import hookimpl\n{marked}")
    monkeypatch.syspath_prepend(tmp_path)
    errors = {pack.name: pack.error for pack in packs.overview()}
    assert errors["torn"] == "ZeroDivisionError: division by zero"
    assert errors["template"] == ""


def test_a_new_pack_is_the_template_under_another_name(tmp_path: Path) -> None:
    made = packs.create("clinic", tmp_path / "clinic")
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    assert {"pyproject.toml", "indirect_rlvr_clinic/hooks.py", "indirect_rlvr_clinic/recipes/default.toml"} <= names
    texts = "\n".join(path.read_text() for path in made.rglob("*") if path.is_file())
    assert "template" not in texts.lower()
    assert 'description = "The domain clinic of indirect_rlvr."' in texts
    assert 'clinic = "indirect_rlvr_clinic.hooks"' in texts


def test_a_term_that_leaves_its_range_on_the_domain_s_own_traces_is_found(world: checks.World) -> None:
    term = Term("many", 0.0, 1.0, lines_of_a_trace)
    assert "expected a value in its range [0.0, 1.0]" in refused(world, "rewards", rewards=lambda: [term])


def test_pictures_that_look_alike_are_found_before_a_run_finds_them(world: checks.World, tmp_path: Path) -> None:
    def load_records(settings: Any, folder: Path, seed: int) -> Iterator[Record]:
        for number in range(20):
            Image.linear_gradient("L").resize((40 + number, 40)).save(folder / f"{number}.png")
            yield Record(str(number), f"c{number}", {"film": View("film", "image", f"{number}.png")}, {})

    domain = a_domain(load_records=load_records, neighbourhood=lambda: None)
    empty = checks._empty(domain, world.recipe, tmp_path)
    with pytest.raises(DataError, match="the train split is empty without pictures of the test split"):
        checks._load(empty, [])
