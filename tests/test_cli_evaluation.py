"""`rlvr eval`, `rlvr score` and `rlvr benchmarks` on the template domain, the model being a server in this process."""

import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from indirect_rlvr import cli, lock
from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation.session import folder_name

REPLY = json.dumps({"choices": [{"message": {"content": "<answer>A</answer>"}, "finish_reason": "stop"}]}).encode()


class Handler(BaseHTTPRequestHandler):
    """Always says A, and counts how often it was asked."""

    asked = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(REPLY)))
        self.end_headers()
        self.wfile.write(REPLY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}/v1"
        found.shutdown()
        thread.join()


def rlvr(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, list(arguments))


def evaluate(url: str, out: Path, *more: str) -> Result:
    return rlvr(
        "eval", "--domain", "template", "--model", "toy", "--backend", "openai-url", "--url", url, "--limit", "10",
        "--out", str(out), *more,
    )  # fmt: skip


def test_a_benchmark_that_no_domain_has_is_refused(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").touch()
    for result in (
        rlvr("benchmarks", "puls"),
        rlvr("score", "--benchmark", "puls", "--predictions", str(tmp_path / "said.jsonl")),
    ):
        assert result.exit_code == 2
        assert result.stderr.startswith("rlvr: benchmark `puls` is one of no installed domain; `rlvr benchmarks` lists")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--suite", "puls"), "unknown benchmark or suite `puls`; suites: all; benchmarks: pulse"),
        (("--controls", "deaf"), "unknown control `deaf`; there are: blind, shuffled"),
        (("--recipe", "full"), "domain `template` has no recipe `full`; it has: default"),
    ],
)
def test_unknown_names_list_the_known_and_ask_nothing(tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    result = evaluate("http://127.0.0.1:9/v1", tmp_path / "out", *more)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_server_without_its_url_is_refused(tmp_path: Path) -> None:
    result = rlvr(
        "eval", "--domain", "template", "--model", "m", "--backend", "openai-url", "--out", str(tmp_path / "out")
    )
    assert result.exit_code == 2
    assert "--backend openai-url needs --url" in result.stderr


def test_a_model_that_cannot_be_loaded_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for model, said in (
        (str(tmp_path / "empty"), "holds no model: there is no config.json"),
        ("runs/geo/grop", "is no model folder"),
        ("nomodel/nope", "is no folder here, and no hub id to be had"),
    ):
        result = rlvr("eval", "--domain", "template", "--model", model, "--out", str(tmp_path / "out"))
        assert (result.exit_code, said in result.stderr) == (2, True), result.output
        assert not (tmp_path / "out").exists()


def test_a_data_root_that_is_a_file_is_refused_and_one_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    wrong = rlvr("benchmarks", "--domain", "template", "--data-root", str(tmp_path / "file"))
    assert (wrong.exit_code, "is no folder; give the one that holds" in wrong.stderr) == (2, True)
    gone = rlvr("benchmarks", "--domain", "template", "--data-root", str(tmp_path / "gone"))
    assert (gone.exit_code, gone.stderr.startswith(f"there is no folder `{tmp_path / 'gone'}`")) == (0, True)


def test_an_unknown_benchmark_or_one_without_its_run_cannot_be_scored(tmp_path: Path) -> None:
    (tmp_path / "said.jsonl").touch()
    arguments = ("score", "--domain", "template", "--predictions", str(tmp_path / "said.jsonl"))
    unknown = rlvr(*arguments, "--benchmark", "puls")
    assert (unknown.exit_code, "unknown benchmark `puls`; benchmarks: pulse" in unknown.stderr) == (2, True)
    without = rlvr(*arguments, "--benchmark", "pulse", "--truth", str(tmp_path))
    assert without.exit_code == 2
    assert "`pulse` is made from held-out records: give --truth RUN" in without.stderr


def test_a_second_evaluation_into_one_folder_is_refused_with_the_first_one_s_name(tmp_path: Path, server: str) -> None:
    with lock.held(tmp_path / "out"):
        second = evaluate(server, tmp_path / "out")
    assert second.exit_code == RunError.exit_code
    assert f"is in use by process {os.getpid()} on " in second.stderr
    assert Handler.asked == 0


def test_an_evaluation_is_written_printed_and_never_asked_twice(tmp_path: Path, server: str) -> None:
    first = evaluate(server, tmp_path / "out", "--controls", "blind")
    assert first.exit_code == 0, first.output
    assert Handler.asked == 10
    assert "pulse: 10 examples" in first.stderr
    assert first.stdout.splitlines()[1].split()[:2] == ["pulse", "accuracy"]
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    (pulse,) = results["benchmarks"]
    assert pulse["metrics"][0]["n"] == pulse["metrics"][0]["n_parsed"] == 10
    assert pulse["controls"]["blind"] == {"n_examples": 0, "metrics": []}
    assert results["settings"] == {"backend": "openai-url", "url": server, "max_tokens": 2048}
    again = evaluate(server, tmp_path / "out", "--controls", "blind", "--json")
    assert (again.exit_code, Handler.asked) == (0, 10)
    assert json.loads(again.stdout) == results


def test_another_limit_on_tokens_needs_another_folder(tmp_path: Path, server: str) -> None:
    evaluate(server, tmp_path / "out")
    other = evaluate(server, tmp_path / "out", "--max-tokens", "5")
    assert other.exit_code == 1
    assert "choose another folder with --out" in other.stderr


def test_answers_to_targets_are_scored_against_the_records_of_their_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = ("--set", "records.patients=20", "--until", "records")
    assert rlvr("run", "--domain", "template", "--out", str(run), *short).exit_code == 0
    rows = [json.loads(line) for line in (run / "records" / "records.jsonl").read_text().splitlines()]
    visits = [row["id"] for row in rows if row["split"] == "test"]
    said = tmp_path / "said.jsonl"
    said.write_text(
        "".join(json.dumps({"id": f"pulse-{v}", "response": "<answer>A</answer>"}) + "\n" for v in visits[1:])
    )
    arguments = ("score", "-d", "template", "-b", "pulse", "-p", str(said), "--truth", str(run))
    found = json.loads(rlvr(*arguments, "--json").stdout)
    assert found["metrics"][0]["n"] == len(visits) and found["metrics"][0]["n_parsed"] == len(visits) - 1
    lacking = {"n": 1, "first": [f"pulse-{visits[0]}"]}
    assert found["faults"] == {"no line for an example (counts as no answer)": lacking}
    assert f"no line for an example (counts as no answer): 1 (pulse-{visits[0]})" in rlvr(*arguments).stdout


def test_a_target_that_the_records_of_a_run_do_not_make_is_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    short = ("--set", "records.patients=20", "--set", "evaluation.targets=0", "--until", "records")
    assert rlvr("run", "--domain", "template", "--out", str(run), *short).exit_code == 0
    (tmp_path / "said.jsonl").write_text('{"id": "pulse-1", "response": "A"}\n')
    arguments = ("score", "-d", "template", "-b", "pulse", "-p", str(tmp_path / "said.jsonl"))
    refused = rlvr(*arguments, "--truth", str(run))
    assert (refused.exit_code, "make no `pulse`; they make: none" in refused.stderr) == (2, True)


def test_benchmarks_are_listed_and_shown_in_full() -> None:
    assert "pulse" in rlvr("benchmarks", "--domain", "template").stdout
    everything = rlvr("benchmarks").stdout
    assert "pulse" in everything and "geochain" in everything
    assert rlvr("benchmarks", "pulse").stdout == rlvr("benchmarks", "pulse", "--domain", "template").stdout
    shown = rlvr("benchmarks", "pulse", "--domain", "template").stdout
    assert shown.startswith("pulse: is the pulse low, normal or high\ncompared by: correct\n")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("runs/geo/grpo", "geo-grpo"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen-Qwen2.5-VL-7B-Instruct"),
        ("../..", "model"),
        ("gpt 4", "gpt-4"),
    ],
)
def test_a_model_names_its_folder(model: str, expected: str) -> None:
    assert folder_name(model) == expected
