"""A teacher behind a real HTTP server: what it is told, what is kept of its answers, what it costs, how it fails."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indirect_rlvr.config import Scaffold
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.scaffolds import traces
from indirect_rlvr.scaffolds.teacher import ANSWERS, TRIAL, Asked
from indirect_rlvr.types import Counts, ProxyTask

KEY = "sk-very-secret-4711"
GOOD = "<think>The chip in front has a clear hue and one of the labelled ones has it too.</think><answer>{}</answer>"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


class Stage:
    """Runs the stage with a server as often as a test likes, in one folder."""

    def __init__(self, domain: Domain, tasks: list[ProxyTask], records: Any, views: Path, folder: Path) -> None:
        self.given, self.path = (domain, tasks, records, views), folder / ANSWERS

    def run(
        self, server: Any, count: int = 20, similarity: float = 1.0, **teacher: Any
    ) -> tuple[list[dict[str, Any]], Counts]:
        domain, tasks, records, views = self.given
        quick = {"model": "wise", "url": server.url, "retries": 1, "timeout_s": 5.0, "concurrency": 4, **teacher}
        settings = Scaffold(count=count, writer="openai-url", teacher=quick)  # type: ignore[arg-type]
        self.writer = Asked(domain, settings, records, views, self.path, 0)
        return traces.build(domain, tasks, count=count, seed=0, writer=self.writer, similarity=similarity)


@pytest.fixture
def stage(domain: Domain, make_tasks: Callable[..., Any], records: Any, views: Path, tmp_path: Path) -> Stage:
    return Stage(domain, make_tasks(60), records, views, tmp_path)


def words(body: dict[str, Any]) -> str:
    return "\n".join(part.get("text", "") for part in body["messages"][0]["content"])


def good(body: dict[str, Any]) -> str:
    return GOOD.format("ABC"[body["seed"] % 3])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("I think it is A.", "bad format"),
        ("<think>\n</think><answer>A</answer>", "bad format"),
        (GOOD.format("Z"), "names no candidate"),
        (GOOD.format("A<|im_end|>"), "control token"),
        ("<think>" + "it is so " * 10_000 + "</think><answer>A</answer>", "too long"),
        ("<think>这个芯片的颜色和另一个芯片的颜色是一样的</think><answer>A</answer>", "another language"),
        (
            "<think>La puce devant nous a une couleur vive et une des autres puces a bien la même couleur, donc je "
            "choisis cette autre puce sans aucun doute</think><answer>A</answer>",
            "another language",
        ),
        ("<think>red green blue grey</think><answer>A</answer>", "contradicted claim"),
    ],
)
def test_nonsense_is_asked_again_counted_and_in_the_end_refused(
    stage: Stage, serve: Callable[..., Any], said: str, reason: str
) -> None:
    server = serve(lambda body: said)
    with pytest.raises(DataError) as caught:
        stage.run(server, attempts=3)
    assert f"every scaffold of {TRIAL} tasks was dropped: {{'{reason}': {3 * TRIAL}}}" in str(caught.value)
    assert "the teacher `wise`" in str(caught.value)
    assert len(server.bodies) == 3 * TRIAL
    assert len({body["seed"] for body in server.bodies}) == 3 * len({str(body["messages"]) for body in server.bodies})


def test_a_teacher_that_is_cut_off_is_told_from_one_that_writes_nonsense(
    stage: Stage, serve: Callable[..., Any]
) -> None:
    with pytest.raises(DataError, match="cut off at 99 tokens"):
        stage.run(serve(lambda body: "<think>I go on and", finish="length"), max_tokens=99)


def test_what_is_dropped_is_asked_again_and_the_rest_is_kept(stage: Stage, serve: Callable[..., Any]) -> None:
    seen: dict[str, int] = {}

    def moody(body: dict[str, Any]) -> str:
        images = str(body["messages"])
        seen[images] = seen.get(images, 0) + 1
        return "hm" if seen[images] == 1 and body["seed"] % 2 else good(body)

    rows, counts = stage.run(serve(moody))
    assert counts.kept == len(rows) == len({row["task_id"] for row in rows}) == 20
    assert counts.dropped["bad format"] >= 3


def test_greedy_teachers_are_asked_once(stage: Stage, serve: Callable[..., Any]) -> None:
    server = serve(lambda body: "hm")
    with pytest.raises(DataError):
        stage.run(server, temperature=0.0, attempts=5)
    assert len(server.bodies) == TRIAL
    assert "seed" not in server.bodies[0]


def test_a_torn_image_drops_its_tasks_alone(
    domain: Domain, make_tasks: Callable[..., Any], records: Any, views: Path, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    for image in views.iterdir():
        (tmp_path / image.name).write_bytes(image.read_bytes()[: 60 if image.stem == "grey" else None])
    rows, counts = Stage(domain, make_tasks(60), records, tmp_path, tmp_path).run(serve(good), count=10)
    assert len(rows) == 10
    assert counts.dropped["unreadable image"] > 0


def test_the_student_s_prompt_and_what_all_candidates_share_is_told_and_nothing_else(
    stage: Stage, serve: Callable[..., Any]
) -> None:
    server = serve(good)
    stage.run(server, count=4)
    for body in server.bodies:
        said = words(body)
        assert "Which chip matches?" in said
        assert "- Name the colour first.\n- The box is wooden." in said
        assert "It is" not in said.partition("Notes")[2].replace("It is so", "")
        assert "right answer" not in said
        assert [part["type"] for part in body["messages"][0]["content"]].count("image_url") == 4


def test_the_answer_is_told_only_where_the_recipe_says_so(stage: Stage, serve: Callable[..., Any]) -> None:
    def obedient(body: dict[str, Any]) -> str:
        told = re.search(r"The right answer is (\w)\.", words(body))
        return GOOD.format(told[1] if told else "A")

    blind, _ = stage.run(serve(obedient))
    told, _ = stage.run(serve(obedient), shows_answer=True)
    assert 0.0 < traces.right_share(blind) < 0.8
    assert traces.right_share(told) == 1.0


def test_nothing_is_asked_twice(stage: Stage, serve: Callable[..., Any]) -> None:
    server = serve(good)
    first, counts = stage.run(server)
    asked = len(server.bodies)
    server.say = lambda body: 500
    assert stage.run(server) == (first, counts)
    assert len(server.bodies) == asked == 20


def test_a_killed_stage_goes_on_where_it_was_and_a_torn_line_is_asked_again(
    stage: Stage, serve: Callable[..., Any], tmp_path: Path
) -> None:
    whole, _ = stage.run(serve(good), count=40)
    stage.path.unlink()
    server = serve(lambda body: good(body) if len(server.bodies) <= 25 else 401)
    with pytest.raises(RunError, match="HTTP 401"):
        stage.run(server, count=40)
    kept = stage.path.read_bytes()
    lines = kept.split(b"\n")
    assert len(lines) == 26
    stage.path.write_bytes(kept[:-40])
    again = serve(good)
    rows, _ = stage.run(again, count=40)
    assert rows == whole
    assert len(again.bodies) == 40 - 24


@pytest.mark.parametrize("change", [{"temperature": 0.5}, {"model": "other"}, {"max_tokens": 77}, {"max_pixels": 400}])
def test_another_setting_of_the_teacher_is_asked_anew(
    stage: Stage, serve: Callable[..., Any], change: dict[str, Any]
) -> None:
    server = serve(good)
    stage.run(server, count=3)
    stage.run(server, count=3, **change)
    assert len(server.bodies) == 6
    stage.run(server, count=3, price_in=5.0, concurrency=2, timeout_s=9.0)
    assert len(server.bodies) == 6


def test_another_picture_under_the_same_name_is_asked_anew(
    domain: Domain, make_tasks: Callable[..., Any], records: Any, views: Path, tmp_path: Path, serve: Callable[..., Any]
) -> None:
    for image in views.iterdir():
        (tmp_path / image.name).write_bytes(image.read_bytes())
    there, server = Stage(domain, make_tasks(3), records, tmp_path, tmp_path), serve(good)
    there.run(server, count=3)
    for image in tmp_path.glob("*.png"):
        image.write_bytes((views / "red.png").read_bytes())
    there.run(server, count=3)
    assert len(server.bodies) > 3


def test_a_budget_stops_before_it_is_exceeded_and_a_higher_one_goes_on(
    stage: Stage, serve: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    prices = {"price_in": 1000.0, "price_out": 2000.0, "max_tokens": 60}  # an answer costs 0.2
    server = serve(good)
    with pytest.raises(RunError) as caught:
        stage.run(server, count=40, budget=5.0, **prices)
    assert "the budget of 5 does not pay for another answer: 24 answers" in str(caught.value)
    assert "cost 4.80; 16 of 40 traces are kept" in str(caught.value)
    assert "higher scaffold.teacher.budget" in str(caught.value)
    assert stage.writer.usage().cost(stage.writer.teacher) <= 5.0
    rows, _ = stage.run(server, count=40, budget=8.1, **prices)
    assert len(rows) == len(server.bodies) == 40
    told = capsys.readouterr().err
    assert "cost 8.00 (by the mean" not in told
    assert "ahead are about 40 answers" in told
    assert "ahead are about 24 answers, 2,400 prompt and 1,200 completion tokens, cost 4.80 (by the mean of 16)" in told


def test_tokens_that_the_server_does_not_count_are_guessed_and_said_to_be(
    stage: Stage, serve: Callable[..., Any]
) -> None:
    stage.run(serve(good, usage={"total_tokens": 3}), count=4)
    usage = stage.writer.usage()
    assert usage.guessed == usage.answers == 4
    assert usage.completion == pytest.approx(4 * len(GOOD.format("A")) / 4)
    assert 100 < usage.prompt / 4 < 400
    assert "(4 answers without the server's count are guessed)" in usage.says(stage.writer.teacher)


@pytest.mark.parametrize("status", [401, 500])
def test_a_server_that_fails_is_one_message_and_what_was_written_stays(
    stage: Stage, serve: Callable[..., Any], status: int
) -> None:
    server = serve(lambda body: good(body) if len(server.bodies) <= 10 else status)
    with pytest.raises(RunError, match=f"HTTP {status}"):
        stage.run(server)
    assert len(stage.path.read_text().splitlines()) == 10


def test_a_server_that_hangs_is_given_up(stage: Stage, serve: Callable[..., Any]) -> None:
    def hang(body: dict[str, Any]) -> str:
        time.sleep(0.5)
        return ""

    with pytest.raises(RunError, match=r"no whole reply within 0\.1 s"):
        stage.run(serve(hang), timeout_s=0.1, retries=0)


def test_the_key_is_nowhere_even_where_the_teacher_says_it(stage: Stage, serve: Callable[..., Any]) -> None:
    server = serve(lambda body: GOOD.format("A").replace("hue", KEY))
    rows, _ = stage.run(server, count=3)
    assert KEY not in stage.path.read_text()
    assert KEY not in json.dumps(rows)


def test_half_a_surrogate_pair_does_no_harm(stage: Stage, serve: Callable[..., Any]) -> None:
    rows, _ = stage.run(serve(lambda body: GOOD.format("A").replace("hue", "\ud83d")), count=3)
    assert rows[0]["completion"].encode().count(b"?") == 1


def test_near_duplicates_are_dropped_and_asked_again(stage: Stage, serve: Callable[..., Any]) -> None:
    rows, counts = stage.run(serve(good), similarity=0.8)
    assert len(rows) == 1  # they differ in a letter alone
    assert counts.dropped == {traces.ALIKE: 2 * 60 - 1 - 1}


def test_what_a_request_is_given_beside_reaches_the_server(stage: Stage, serve: Callable[..., Any]) -> None:
    server = serve(lambda body: GOOD.format("A"))
    stage.run(server, count=2, request={"seed": "", "max_completion_tokens": 5, "top_p": 0.9})
    assert {"max_completion_tokens": 5, "top_p": 0.9}.items() <= server.bodies[0].items()
    assert "seed" not in server.bodies[0]
    assert server.bodies[0]["temperature"] == 0.7
