"""A planted shortcut is found and refused, one kind after the other; symmetric tasks pass."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import dist, log
from pathlib import Path
from random import Random

import pytest
from PIL import Image

from indirect_rlvr.data.audit import audit, findings, gate, wins
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.negatives import form_sets
from indirect_rlvr.data.probe import Probe
from indirect_rlvr.data.proxy import make_tasks, permuted
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.types import Neighbourhood, ProxyTask, Question, Record, Split, View

ALPHA = 0.001
K = 4
LIMIT: Mapping[Split, int] = {"train": 280, "test": 160}


def where(record: Record) -> tuple[float, float]:
    return float(record.facts["x"]), float(record.facts["y"])


PLANE = Neighbourhood(
    position=where,
    unit="m",
    cells=(40.0, 120.0, 400.0),
    r_min=2.0,
    nuisance=lambda record: float(record.facts["brightness"]),
)


class Terrain:
    """Which tile shows the place of the note? `bright`: the planted shortcut, another print of the right tile."""

    def __init__(self, bright: bool = False, text: Callable[[int], str] = lambda place: "Which tile?") -> None:
        self.bright, self.text = bright, text

    def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
        views = tuple(c.views["print" if self.bright and c.id == query.id else "tile"] for c in candidates)
        text = self.text(list(candidates).index(query))
        return Question(text=text, query=(query.views["note"],), candidates=views, facts={})


def place(number: int, modality: str, folder: Path) -> Record:
    rng = Random(number)
    views = {"note": View("note", "text", f"note {number}")}
    brightness = rng.uniform(60, 180)
    for name, extra in (("tile", 0), ("print", 30)):
        content = " ".join(rng.choice(["hill", "lake", "road", "farm"]) for _ in range(12 + extra // 10)) + f" {number}"
        if modality == "image":
            content = f"{number}-{name}.png"
            noise = rng.randbytes(3 * 16 * 16)
            level = bytes(min(255, int(brightness) + extra + byte % 40) for byte in noise)
            Image.frombytes("RGB", (16, 16), level).save(folder / content)
        views[name] = View("tile", modality, content)  # type: ignore[arg-type]
    facts = {"x": rng.uniform(0, 400), "y": rng.uniform(0, 400), "brightness": brightness}
    return Record(f"p{number}", f"c{number}", views, facts, "test" if number % 3 == 0 else "train")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records")


@pytest.fixture(scope="session")
def tiles(folder: Path) -> list[Record]:
    return [place(number, "image", folder) for number in range(1000)]


@pytest.fixture(scope="session")
def texts(folder: Path) -> list[Record]:
    return [place(number, "text", folder) for number in range(1000)]


def tasks_of(records: list[Record], domain: Terrain, neighbourhood: Neighbourhood = PLANE) -> list[ProxyTask]:
    sets, _ = form_sets(records, neighbourhood, K, seed=0)
    return make_tasks(domain, sets, records, queries_per_set=2, limit=LIMIT, seed=0)


def anchored(records: list[Record], near: Callable[[Record, Record], float]) -> list[ProxyTask]:
    """Legacy sets: an anchor, which is the answer, and the K-1 records nearest to it."""
    tasks = []
    for split, most in LIMIT.items():
        own = [record for record in records if record.split == split]
        for number, anchor in enumerate(own[:most]):
            others = sorted(
                (r for r in own if r is not anchor and dist(where(anchor), where(r)) >= 8),
                key=lambda r: near(anchor, r),
            )
            shown = others[: K - 1]
            shown.insert(number % K, anchor)
            question = Terrain().make_task(anchor, shown)
            ids = tuple(record.id for record in shown)
            name = f"{split}-{number}"
            answer = "ABCD"[number % K]
            tasks.append(ProxyTask(name, anchor.cluster, split, 0, question, tuple("ABCD"), answer, anchor.id, ids))
    return tasks


def refused(tasks: list[ProxyTask], records: list[Record], folder: Path, neighbourhood: Neighbourhood = PLANE) -> str:
    with pytest.raises(DataError) as raised:
        gate(audit(tasks, records, neighbourhood, Looks(folder), ALPHA))
    return str(raised.value)


def test_a_split_without_tasks_is_refused(texts: list[Record], folder: Path) -> None:
    train = [task for task in tasks_of(texts, Terrain()) if task.split == "train"]
    with pytest.raises(
        DataError, match=r"^the test split has no task to audit; set `tasks.test` above 0 and give more"
    ):
        audit(train, texts, PLANE, Looks(folder), ALPHA)


def test_a_brighter_right_tile_is_found(tiles: list[Record], folder: Path) -> None:
    message = refused(tasks_of(tiles, Terrain(bright=True)), tiles, folder)
    assert "probe `red` sees only nuisance and is right in 4" in message
    assert "probe `learned` sees only candidates and is right in " in message
    assert "medoid" not in message


def test_a_longer_right_text_is_found(texts: list[Record], folder: Path) -> None:
    message = refused(tasks_of(texts, Terrain(bright=True)), texts, folder)
    assert "probe `text length` sees only nuisance" in message


def test_rings_around_the_answer_are_found_by_their_middle(texts: list[Record], folder: Path) -> None:
    message = refused(anchored(texts, lambda anchor, r: dist(where(anchor), where(r))), texts, folder)
    assert "probe `medoid` sees only candidates" in message


def test_negatives_nearest_in_nuisance_are_found_by_their_median(texts: list[Record], folder: Path) -> None:
    def near(anchor: Record, record: Record) -> float:
        return abs(float(anchor.facts["brightness"]) - float(record.facts["brightness"]))

    message = refused(anchored(texts, near), texts, folder)
    assert "probe `the domain's nuisance` sees only nuisance" in message


def test_a_right_tile_in_the_middle_of_its_set_by_looks_is_found(tiles: list[Record], folder: Path) -> None:
    def near(anchor: Record, record: Record) -> float:
        apart = abs(float(anchor.facts["brightness"]) - float(record.facts["brightness"]))
        return apart if apart > 15 else 1000.0

    message = refused(anchored(tiles, near), tiles, folder, Neighbourhood())
    assert "probe `learned` sees only candidates" in message


def test_wording_that_depends_on_the_answer_is_found(texts: list[Record], folder: Path) -> None:
    leaking = Terrain(text=lambda place: "Which tile?" if place < 2 else "Which tile then?")
    message = refused(tasks_of(texts, leaking), texts, folder)
    found = re.search(r"probe `wording` sees only text and is right in ([\d.]+)% of 440 tasks, chance 25.0%", message)
    assert found and abs(float(found[1]) - 50) < 5  # it knows the two places, and takes either


def test_answers_that_prefer_a_position_are_found(texts: list[Record], folder: Path) -> None:
    tasks = tasks_of(texts, Terrain())
    moved = [permuted(task, 0) if task.answer == "D" and number % 4 else task for number, task in enumerate(tasks)]
    message = refused([task for task in moved if task.answer != "D"], texts, folder)
    assert "answer positions of train are not uniform: {'A': " in message
    assert "answer positions of test are not uniform: {'A': " in message


def test_k_that_varies_is_refused_without_a_probe(texts: list[Record], folder: Path) -> None:
    tasks = tasks_of(texts, Terrain())
    task = tasks[0]
    right = task.labels.index(task.answer)
    short = replace(
        task,
        question=replace(task.question, candidates=(task.question.candidates[right],)),
        labels=("A",),
        answer="A",
        candidate_records=(task.query_record,),
    )
    report = audit([short, *tasks[1:]], texts, PLANE, Looks(folder), ALPHA)
    assert (report["k"], report["chance"], report["probes"]) == ([1, 4], None, [])
    with pytest.raises(DataError, match=r"K varies: 1, 4"):
        gate(report)


def test_the_same_image_under_two_names_is_found(tiles: list[Record], folder: Path) -> None:
    tasks = tasks_of(tiles, Terrain())
    task = tasks[0]
    (folder / "copy.png").write_bytes((folder / task.question.candidates[1].content).read_bytes())
    views = (*task.question.candidates[:3], View("tile", "image", "copy.png"))
    message = refused([replace(task, question=replace(task.question, candidates=views)), *tasks[1:]], tiles, folder)
    assert f"task `{task.id}`: candidates B and D are identical" in message


def test_a_wrong_key_a_shared_cluster_and_a_shared_record_are_found(texts: list[Record], folder: Path) -> None:
    tasks = tasks_of(texts, Terrain())
    wrong = replace(tasks[0], answer="A" if tasks[0].answer == "B" else "B")
    train = next(task for task in tasks[1:] if task.split == "train")
    message = refused([wrong, *tasks[1:], replace(train, split="test")], texts, folder)
    assert f"task `{wrong.id}`: the answer {wrong.answer} is not the record asked for" in message
    assert f"cluster `{train.cluster}` has tasks in train and in test" in message
    assert f"record `{min(train.candidate_records)}` is a candidate in train and in test" in message


def test_candidates_closer_than_r_min_are_found(texts: list[Record], folder: Path) -> None:
    wide = replace(PLANE, r_min=50.0)
    message = refused(tasks_of(texts, Terrain()), texts, folder, wide)
    assert "two candidates are" in message
    assert "m apart, r_min is 50" in message
    assert "more problems like these" in message


def test_a_candidate_that_only_looks_like_another_is_found(tiles: list[Record], folder: Path) -> None:
    tasks = tasks_of(tiles, Terrain())
    task = tasks[0]
    with Image.open(folder / task.question.candidates[1].content) as tile:
        tile.resize((64, 64), Image.Resampling.NEAREST).save(folder / "enlarged.png")
    views = (*task.question.candidates[:3], View("tile", "image", "enlarged.png"))
    message = refused([replace(task, question=replace(task.question, candidates=views)), *tasks[1:]], tiles, folder)
    assert f"task `{task.id}`: candidates B and D look the same" in message


def test_a_wording_that_names_the_right_place_is_found(texts: list[Record], folder: Path) -> None:
    class Telling(Terrain):
        def make_task(self, query: Record, candidates: Sequence[Record]) -> Question:
            question = super().make_task(query, candidates)
            return replace(question, text=f"Which tile is of {str(query.facts['town']).upper()}?")

    named = [replace(record, facts={**record.facts, "town": f"New Ham {i}"}) for i, record in enumerate(texts)]
    message = refused(tasks_of(named, Telling()), named, folder)
    assert "probe `mentioned metadata` sees only text and metadata and is right in 100.0% of 440 tasks" in message


def test_a_query_printed_with_the_same_brightness_is_found(tiles: list[Record], folder: Path) -> None:
    seen = [
        replace(record, views={**record.views, "note": replace(record.views["print"], kind="note")}) for record in tiles
    ]
    message = refused(tasks_of(seen, Terrain()), seen, folder)
    assert "probe `likeness of pixels` sees only raw pixels" in message


def test_likeness_of_pixels_may_win_a_little_and_no_other_probe_may() -> None:
    base = {"name": "p", "sees": "raw pixels", "n": 2600, "accuracy": 0.24, "low": 0.22, "chance": 0.2, "p": 1e-6}
    report = {"alpha": ALPHA, "probes": [base]}
    assert not wins(report, base)
    assert wins(report, {**base, "sees": "nuisance"})
    assert wins(report, {**base, "low": 0.251})
    assert not wins(report, {**base, "low": 0.251, "p": 0.01})


def own_probe(values: Callable[[ProxyTask], Sequence[float]], sees: str = "nuisance") -> Probe:
    return Probe("own", sees, lambda task, folder: values(task))


def tell(task: ProxyTask) -> list[float]:
    return [float(label == task.answer) for label in task.labels]


def test_a_probe_of_the_domain_that_wins_is_found_unless_it_is_accepted(texts: list[Record], folder: Path) -> None:
    tasks = tasks_of(texts, Terrain())
    report = audit(tasks, texts, PLANE, Looks(folder), ALPHA, own_probes=[own_probe(tell)])
    assert findings(report) == [
        "probe `own` sees only nuisance and is right in 100.0% of 440 tasks, chance 25.0% (p = 1.2e-265)"
    ]
    accepted = audit(tasks, texts, PLANE, Looks(folder), ALPHA, own_probes=[own_probe(tell)], accepted=["own"])
    assert findings(accepted) == []
    with pytest.raises(
        ConfigError, match=r"^`tasks.accepted_probes` names no probe: o_wn; known: answer index, .*, own, "
    ):
        audit(tasks, texts, PLANE, Looks(folder), ALPHA, own_probes=[own_probe(tell)], accepted=["o_wn"])


def test_an_oracle_stands_apart_and_refuses_nothing(texts: list[Record], folder: Path) -> None:
    tasks = tasks_of(texts, Terrain())
    report = audit(tasks, texts, PLANE, Looks(folder), ALPHA, own_probes=[own_probe(tell, "semantics")])
    assert findings(report) == []
    assert "own" not in [probe["name"] for probe in report["probes"]]
    assert [(found["name"], found["accuracy"]) for found in report["oracle"]] == [("own", 1.0)]
    assert report["entropy"]["left"]["own"]["nats"] < 0.05
    assert {level["level"]: level["accuracy"]["own"]["accuracy"] for level in report["by_level"]} == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize(("values", "given"), [([1.0, 2.0], "[1.0, 2.0]"), ([0, 1, float("nan"), 2], "nan")])
def test_a_probe_that_gives_no_number_for_each_candidate_names_itself(
    values: list[float], given: str, texts: list[Record], folder: Path
) -> None:
    with pytest.raises(
        DataError, match=r"^probe `own` gave .*; expected 4 finite numbers, one for each candidate$"
    ) as e:
        audit(
            tasks_of(texts, Terrain()), texts, PLANE, Looks(folder), ALPHA, own_probes=[own_probe(lambda task: values)]
        )
    assert given in str(e.value)


def test_a_malformed_task_is_named(texts: list[Record], folder: Path) -> None:
    tasks = tasks_of(texts, Terrain())
    for change, said in (({"answer": "Z"}, "has the answer 'Z' and"), ({"labels": tuple("ABC")}, "has 4 candidates")):
        with pytest.raises(DataError, match=rf"^task `{tasks[0].id}` {said}"):
            audit([replace(tasks[0], **change), *tasks[1:]], texts, PLANE, Looks(folder), ALPHA)  # type: ignore[arg-type]


@pytest.mark.parametrize("modality", ["tiles", "texts"])
def test_symmetric_tasks_pass_and_leave_the_whole_entropy(
    modality: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    records = request.getfixturevalue(modality)
    report = audit(tasks_of(records, Terrain()), records, PLANE, Looks(folder), ALPHA)
    gate(report)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    names = {probe["name"] for probe in report["probes"]}
    assert {"answer index", "medoid", "spatial centre", "learned", "the domain's nuisance"} <= names
    assert ("brightness" in names, "text length" in names) == (modality == "tiles", modality == "texts")
    assert all(probe["low"] <= probe["accuracy"] <= probe["high"] for probe in report["probes"])
    assert report["splits"]["test"]["answers"] == dict.fromkeys("ABCD", 40)
    assert report["closest"] >= 2.0 * (1 - 1e-4)
    assert report["entropy"]["log_k"] == pytest.approx(log(4))
    assert all(abs(left["gap"]) < 0.02 for left in report["entropy"]["left"].values())
    assert sum(level["n"] for level in report["by_level"]) == 440


def test_tasks_without_records_are_audited_by_their_views_alone(tiles: list[Record], folder: Path) -> None:
    report = audit(tasks_of(tiles, Terrain(bright=True)), [], PLANE, Looks(folder), ALPHA)
    names = {probe["name"] for probe in report["probes"]}
    assert "brightness" in names
    assert names.isdisjoint({"medoid", "spatial centre", "the domain's nuisance", "mentioned metadata"})
    assert any(finding.startswith("probe `brightness`") for finding in findings(report))


def test_a_split_made_elsewhere_is_looked_at_again(texts: list[Record], folder: Path) -> None:
    message = refused(tasks_of(texts, Terrain()), texts, folder, replace(PLANE, buffer=30.0))
    assert "m from a test record, the buffer is 30 m" in message


def test_candidates_of_the_same_letters_leave_the_learned_probe_blind(texts: list[Record], folder: Path) -> None:
    def shuffled(record: Record) -> Record:
        letters = "abcdefghijkl"
        return replace(
            record, views={**record.views, "tile": View("tile", "text", "".join(Random(record.id).sample(letters, 12)))}
        )

    records = [shuffled(record) for record in texts]
    report = audit(tasks_of(records, Terrain()), records, PLANE, Looks(folder), ALPHA)
    gate(report)
    assert {"learned", "typicality", "text length"}.isdisjoint({probe["name"] for probe in report["probes"]})


def test_a_nuisance_that_is_not_finite_names_its_record(texts: list[Record], folder: Path) -> None:
    broken = replace(PLANE, nuisance=lambda record: float("inf"))
    with pytest.raises(DataError, match=r"^record `p[0-9]+`: nuisance is inf; expected a finite number$"):
        audit(tasks_of(texts, Terrain()), texts, broken, Looks(folder), ALPHA)
