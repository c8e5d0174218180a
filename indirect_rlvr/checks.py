"""What every domain must satisfy, on a small sample of its own world, without a model and in seconds.

Statistics of the whole data set (shortcuts, entropy) are the audit's, at stage `tasks` of a run.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from indirect_rlvr.config import Recipe, load_recipe
from indirect_rlvr.data import negatives, proxy, records, splits
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.domain import Domain, load_domain, recipe_path
from indirect_rlvr.errors import DomainError
from indirect_rlvr.evaluation.grade import grade, metrics
from indirect_rlvr.evaluation.suite import check_names
from indirect_rlvr.rewards.composite import build, known_terms, outcome
from indirect_rlvr.rewards.parsing import has_format, parse_answer
from indirect_rlvr.run import keyed_rng, plain
from indirect_rlvr.scaffolds.asking import Briefs
from indirect_rlvr.scaffolds.faults import CONTROL_TOKEN
from indirect_rlvr.testing.battery import cases, whole_cases
from indirect_rlvr.testing.composites import assert_group_invariants
from indirect_rlvr.testing.growth import LONG, steep
from indirect_rlvr.testing.subject import GROUP_ROLES
from indirect_rlvr.types import Completion, GroupTerm, Prompt, ProxyTask, Record, Response, Term, View

RECORDS = 2000
"""Records read at most; a pack should give neighbours early."""
TASKS = 20
"""Tasks of each split that are looked at."""
COMPLETIONS = 30
"""Random completions for each reward term and task."""
HOSTILE = (
    "<think>",
    "A: ",
    "((((",
    "\x00",
    "\u0301",
    "1",
    "-",
    "NaN ",
    "9" * 50 + " ",
    "e9",
    "</answer>",
    "A: 1e999\n",
    "é",
)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check: `detail` is what was seen, or what is wrong and what to do."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class World:
    """A domain, how its pictures look, and what a small sample of it became; records carry their splits."""

    recipe: Recipe
    domain: Domain
    folder: Path
    looks: Looks
    records: list[Record]
    tasks: list[ProxyTask]


def check(name: str, recipe: str = "default") -> list[CheckResult]:
    """Every check of a domain under one recipe, in pipeline order; where a world cannot be made, the checks of what is
    made of it are left out.

    Raises DomainError for an unknown domain.
    """
    path = recipe_path(name, recipe)
    results: list[CheckResult] = []
    with TemporaryDirectory() as folder:
        with _entry(results, "loads") as seen:
            world = _loaded(name, path, Path(folder))
            seen.append(f"implements {', '.join(world.domain.hooks)}")
        for label, make in MAKERS:
            if not all(result.ok for result in results):
                return results
            with _entry(results, label) as seen:
                world = make(world, seen)
        if all(result.ok for result in results):
            for label, look in CHECKS:
                with _entry(results, label) as seen:
                    seen.append(look(world))
    return results


def sample(name: str, folder: Path, recipe: str = "default", tasks: int = TASKS, records_read: int = RECORDS) -> World:
    """A domain and a small sample of its world, made in `folder` of at most so many records, with at most so many
    `tasks` of each split; raises RlvrError where there is none."""
    world = _loaded(name, recipe_path(name, recipe), folder)
    return sampled(world.domain, world.recipe, folder, tasks, records_read)


def sampled(domain: Domain, recipe: Recipe, folder: Path, tasks: int, records_read: int) -> World:
    """As `sample`, of a domain and a recipe that are loaded already; raises RlvrError where there is no task."""
    return _form(_load(_empty(domain, recipe, folder), [], records_read), [], tasks)


def _loaded(name: str, path: Path, folder: Path) -> World:
    resolved = load_recipe(path, [])
    return _empty(load_domain(name, resolved.records), resolved, folder)


def _empty(domain: Domain, recipe: Recipe, folder: Path) -> World:
    views = folder / "records"
    return World(recipe, domain, views, Looks(views), [], [])


@contextmanager
def _entry(results: list[CheckResult], name: str) -> Iterator[list[str]]:
    """Note the block's outcome: this is a list of verdicts, so here an error is a finding."""
    seen: list[str] = []
    try:
        yield seen
    except Exception as error:
        notes = getattr(error, "__notes__", [])
        results.append(CheckResult(name, False, "; ".join([f"{type(error).__name__}: {error}", *notes])))
    else:
        results.append(CheckResult(name, True, "; ".join(seen)))


def _load(world: World, seen: list[str], limit: int = RECORDS) -> World:
    world.folder.mkdir()
    rows = islice(world.domain.load_records(world.folder, world.recipe.seed), limit)
    found, dropped = records.load(rows, world.folder)
    near = world.domain.neighbourhood()
    split, buffered = splits.assign(found, near, world.recipe.seed, looks=world.looks)
    seen.append(f"{len(split)} records in {len({record.cluster for record in split})} clusters")
    seen += [f"{count} dropped: {why}" for why, count in (dropped | buffered).items() if count]
    return replace(world, records=split)


def _form(world: World, seen: list[str], limit: int = TASKS) -> World:
    recipe = world.recipe
    near = world.domain.neighbourhood()
    sets, _ = negatives.form_sets(world.records, near, recipe.tasks.k, recipe.seed, looks=world.looks)
    tasks = proxy.make_tasks(
        world.domain,
        sets,
        world.records,
        queries_per_set=recipe.tasks.queries_per_set,
        limit={"train": limit, "test": limit},
        seed=recipe.seed,
    )
    seen.append(f"{len(sets)} candidate sets of {recipe.tasks.k}, {len(tasks)} tasks looked at")
    return replace(world, tasks=tasks)


MAKERS: tuple[tuple[str, Callable[[World, list[str]], World]], ...] = (("records", _load), ("tasks", _form))


def _settings(world: World) -> str:
    settings = world.domain.settings
    model = type(settings)
    _require(bool(model.model_config.get("frozen")), f"`{model.__name__}` can be changed; add frozen=True to the class")
    forbids = model.model_config.get("extra") == "forbid"
    _require(forbids, f'`{model.__name__}` takes unknown keys; add extra="forbid" to the class')
    return ", ".join(model.model_fields) or "none"


def _same_seed(world: World) -> str:
    """The same seed gives the same records: facts, texts and the bytes of images."""
    count = min(20, len(world.records))
    with TemporaryDirectory() as folder:
        again = [
            _shown(r, Path(folder)) for r in islice(world.domain.load_records(Path(folder), world.recipe.seed), count)
        ]
    known = {record.id: _shown(replace(record, split=""), world.folder) for record in world.records}
    for name, *rest in again:
        _require(
            name not in known or known[name][1:] == tuple(rest),
            f"record `{name}` differs the second time; use keyed_rng",
        )
    return f"the first {count} came again"


def _shown(record: Record, folder: Path) -> tuple[object, ...]:
    content = [(folder / v.content).read_bytes() if v.modality == "image" else v.content for v in record.views.values()]
    return record.id, record.cluster, plain(record.facts), tuple(record.views), content


def _wording(world: World) -> str:
    """The wording does not depend on where the answer stands."""
    by_id = {record.id: record for record in world.records}
    for task in world.tasks:
        moved = proxy.permuted(task, world.recipe.seed)
        one, other = (
            world.domain.make_task(by_id[t.query_record], [by_id[c] for c in t.candidate_records])
            for t in (task, moved)
        )
        _require(
            one.text == other.text and one.query == other.query, f"task `{task.id}`: `make_task` words it by the order"
        )
        _require(
            _words(world, task) == _words(world, moved),
            f"task `{task.id}`: `render` words it by where the answer stands",
        )
    return "the same with the answer moved"


def _words(world: World, task: ProxyTask) -> list[str]:
    """The rendered text without the candidates' own."""
    shown = {view.content for view in task.question.candidates}
    return [part for part in _texts(world.domain.render(task)) if part not in shown]


def _texts(prompt: Prompt) -> list[str]:
    return [part if isinstance(part, str) else part.content for part in prompt.parts]


def _prompt(world: World) -> str:
    """Every candidate stands in the prompt once, the query goes when it is taken out."""
    for task in world.tasks:
        bare = world.domain.render(proxy.without_query(task))
        for prompt in (world.domain.render(task), bare):
            views = [part for part in prompt.parts if isinstance(part, View)]
            counts = [views.count(view) for view in task.question.candidates]
            _require(
                counts == [1] * len(task.labels),
                f"task `{task.id}`: candidates stand {counts} times in the prompt, not once",
            )
        left = [view.content for view in task.question.query if view.content in _texts(bare)]
        _require(
            not left, f"task `{task.id}`: without its query the prompt still shows {left}; render `task.question.query`"
        )
    return f"{len(task.labels)} candidates each, also without the query"


def _scaffold(world: World) -> str:
    """Traces keep the format, name one label and state no wrong fact; the answer is not theirs to know."""
    traces = [
        (task, world.domain.scaffold(task, keyed_rng(world.recipe.seed, "check", task.id))) for task in world.tasks
    ]
    claims = right = 0
    for task, text in traces:
        if text is None:
            continue
        _require(
            has_format(text), f"task `{task.id}`: the trace is not <think>…</think><answer>…</answer>: {text[:200]!r}"
        )
        answer = parse_answer(text, task.labels)
        _require(answer is not None, f"task `{task.id}`: the trace's answer names none of {', '.join(task.labels)}")
        verdicts = world.domain.check_facts(task, text)
        wrong = [verdict.claim for verdict in verdicts if verdict.status == "contradicted"]
        _require(not wrong, f"task `{task.id}`: the trace states what metadata contradicts: {'; '.join(wrong)}")
        claims, right = claims + len(verdicts), right + (answer == task.answer)
    written = sum(text is not None for _, text in traces)
    return (
        f"{written} traces, {claims} claims, none contradicted; {right} end in the right answer"
        if written
        else "no scaffold"
    )


def _brief(world: World) -> str:
    """What a teacher is told is the same whichever candidate is the answer, in whatever order they stand."""
    by_id = {record.id: record for record in world.records}
    sentences = 0
    for task in world.tasks:
        for name in task.candidate_records:
            once, again = world.domain.brief(by_id[name]), world.domain.brief(by_id[name])
            _require(
                once == again, f"record `{name}`: `brief` says something else the second time; use the record alone"
            )
            _require(not any(map(CONTROL_TOKEN.search, once)), f"record `{name}`: `brief` holds a control token")
        told = Briefs(world.domain, by_id).told(task)
        for moved in (proxy.permuted(task, world.recipe.seed), replace(task, answer=task.labels[0])):
            _require(
                Briefs(world.domain, by_id).told(moved) == told,
                f"task `{task.id}`: what a teacher is told depends on where the answer stands; use the record alone",
            )
        sentences += len(told)
    return f"{sentences / len(world.tasks):.3g} sentences told of a task"


def _facts(world: World) -> str:
    """`check_facts` survives any text, in time that grows with its length only."""
    task = world.tasks[0]
    for piece in HOSTILE:
        found = steep(lambda text: world.domain.check_facts(task, text), piece)
        _require(found is None, f"`check_facts` {found}; make it linear")
    return f"{len(HOSTILE)} hostile texts of up to {LONG:,} characters"


def _rewards(world: World) -> str:
    """Own reward terms keep their ranges on the domain's own traces; they and the recipe's whole reward keep the
    invariants of `testing/`, in the battery's quick form."""
    terms = world.domain.rewards()
    known_terms(world.recipe.reward, terms)
    alone = [term for term in terms if isinstance(term, Term)]
    grouped = [term for term in terms if isinstance(term, GroupTerm)]
    count = 0
    for count, case in enumerate(cases(alone, world.tasks[:2], examples=COMPLETIONS), 1):  # noqa: B007
        case.run()
    for task in world.tasks:
        trace = world.domain.scaffold(task, keyed_rng(world.recipe.seed, "check", task.id)) or ""
        for term in alone:
            outcome(term, task, Completion(trace))
    for group_term in grouped:
        assert_group_invariants(group_term, world.tasks[0], GROUP_ROLES.get(group_term.name, "any"))
    whole = list(whole_cases(build(world.recipe.reward, terms), world.tasks[:1]))
    held = [case for case in whole if not case.unheld]
    for case in held:
        case.run()
    shown = ", ".join(f"{term.name} [{term.low:g}, {term.high:g}]" for term in terms)
    said = [f"{shown or 'none of its own'}; {count + len(grouped) + len(held)} invariants hold"]
    said += [f"`{term.name}` is declared to break {', '.join(term.breaks)}" for term in alone if term.breaks]
    said += [f"the whole reward of this recipe is not looked at: {case.unheld}" for case in whole if case.unheld]
    return "; ".join(said)


def _benchmarks(world: World) -> str:
    """Target tasks use held-out clusters only, and survive hostile answers."""
    held_out = [record for record in world.records if record.split == "test"]
    clusters = {record.cluster for record in held_out}
    found = world.domain.benchmarks(held_out, TASKS, world.recipe.seed)
    for benchmark in found:
        place = f"benchmark `{benchmark.name}`"
        examples = list(benchmark.examples(world.folder))
        _require(bool(examples), f"{place} has no example; give more held-out records or drop it")
        _require(len(examples) <= TASKS, f"{place} has more than the {TASKS} examples asked for")
        ids = [example.id for example in examples]
        _require(len(set(ids)) == len(ids), f"{place}: an example id comes twice")
        for example in examples:
            inside = example.cluster in clusters
            _require(
                inside, f"{place}: example `{example.id}` is of cluster `{example.cluster}`, which is not held out"
            )
        for text in HOSTILE:
            graded = grade(benchmark, examples, {name: Response(text) for name in ids})
            _require(bool(metrics(benchmark, graded)), f"{place}: `metrics` gives nothing")
    _require(
        [b.name for b in world.domain.benchmarks([], TASKS, world.recipe.seed)] == [b.name for b in found],
        "`benchmarks` without records must give the same names, without examples",
    )
    published = world.domain.suite()
    check_names("benchmark", [benchmark.name for benchmark in [*found, *published]])
    said = ", ".join(benchmark.name for benchmark in found) or "none: the run can only measure the proxy task"
    return f"{said}; {len(published)} published ones"


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise DomainError(message)


CHECKS: tuple[tuple[str, Callable[[World], str]], ...] = (
    ("settings", _settings),
    ("same seed, same records", _same_seed),
    ("wording", _wording),
    ("prompt", _prompt),
    ("scaffold", _scaffold),
    ("brief", _brief),
    ("facts", _facts),
    ("rewards", _rewards),
    ("benchmarks", _benchmarks),
)
