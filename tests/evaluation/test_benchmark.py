import json
from dataclasses import replace

import pytest

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.evaluation.benchmark import conditions, evaluate, results
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.types import Prompt, ProxyTask, Question, View

LABELS = ("A", "B", "C", "D")


def task(number):
    views = tuple(View("code", "text", f"code {number} {label}") for label in LABELS)
    answer = LABELS[number % 4]
    question = Question("Which code?", (View("note", "text", f"note {number}: code {number} {answer}"),), views, {})
    members = tuple(f"{number}-{label}" for label in LABELS)
    return ProxyTask(
        f"task-{number}", f"place-{number // 2}", "test", 0, question, LABELS, answer, f"{number}-{answer}", members
    )


def render(shown):
    parts = list(shown.question.query)
    for label, view in zip(shown.labels, shown.question.candidates, strict=True):
        parts += [label, view]
    return Prompt((*parts, shown.question.text))


TASKS = [task(number) for number in range(24)]
ASKED = conditions(TASKS, TASKS[:16], seed=0)
EVEN = [
    choice_example(f"n{n}", f"c{n}", Prompt((f"even? {n}",)), ("yes", "no"), ("yes", "no")[n % 2]) for n in range(20)
]
TARGET = choice_benchmark("parity", "is the number even", lambda _: EVEN)


def reader(prompt):
    """Looks the code of the note up among the candidates; without a note it says A; knows what is even."""
    if isinstance(prompt.parts[0], str) and prompt.parts[0].startswith("even"):
        return "yes" if int(prompt.parts[0].split()[1]) % 2 == 0 else "no"
    views = [part for part in prompt.parts if isinstance(part, View)]
    if views[0].kind != "note":
        return "A"
    wanted = views[0].content.partition(": ")[2]
    shown = [getattr(part, "content", None) for part in prompt.parts]
    return prompt.parts[shown.index(wanted) - 1] if wanted in shown else "A"


def guesser(prompt):
    return "no" if isinstance(prompt.parts[0], str) and prompt.parts[0].startswith("even") else "A"


class Counting:
    """A policy that remembers how often it was loaded and asked."""

    def __init__(self, model, choose, fingerprint="weights"):
        self.loads, self.prompts = 0, 0
        self.policy = Policy(model, fingerprint, self._load)
        self._choose = choose

    def _load(self):
        self.loads += 1
        return self._generate

    def _generate(self, prompts, views, skip=()):
        for index, prompt in enumerate(prompts):
            if index in skip:
                continue
            self.prompts += 1
            yield index, Answer(f"<think>x</think><answer>{self._choose(prompt)}</answer>", 3, True)


def measured(folder, *choosers):
    rows = [Counting(f"row-{index}", choose) for index, choose in enumerate(choosers)]
    return rows, evaluate([row.policy for row in rows], ASKED, [TARGET], render, folder, folder, "records")


@pytest.mark.parametrize("name", ["../base", "a/b", "", ".hidden", "zwei wörter"])
def test_a_row_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="must be made of letters, digits"):
        evaluate(
            [Counting(name, guesser).policy, Counting("b", guesser).policy], ASKED, [], render, tmp_path, tmp_path, ""
        )


def test_two_rows_or_two_targets_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two rows are named `same`"):
        evaluate([Counting("same", guesser).policy] * 2, ASKED, [], render, tmp_path, tmp_path, "")
    rows = [Counting("a", guesser).policy, Counting("b", guesser).policy]
    with pytest.raises(DataError, match="two target tasks are named `parity`"):
        evaluate(rows, ASKED, [TARGET, TARGET], render, tmp_path, tmp_path, "")


def test_one_row_is_not_a_comparison(tmp_path):
    with pytest.raises(DataError, match="results need held-out tasks and two rows"):
        measured(tmp_path, reader)


def test_a_torn_answer_file_is_mended(tmp_path):
    _, before = measured(tmp_path, guesser, reader)
    path = tmp_path / "row-0" / "proxy.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    rows, after = measured(tmp_path, guesser, reader)
    assert [row.prompts for row in rows] == [1, 0]
    assert after == before


def test_a_policy_that_reads_wins_and_falls_to_chance_without_the_query(tmp_path):
    _, found = measured(tmp_path, guesser, reader)
    guess, read = found["rows"]
    assert (guess["model"], guess["accuracy"], read["accuracy"], found["chance"]) == ("row-0", 0.25, 1.0, 0.25)
    assert read["controls"]["no_query"]["accuracy"] == read["controls"]["other_query"]["accuracy"] == 0.25
    permuted = {name: read["controls"]["permuted"][name] for name in ("accuracy", "n")}
    assert permuted == {"accuracy": 1.0, "n": 16}
    assert read["controls"]["permuted"]["answered"]["n"] == 16
    assert read["mean_completion_tokens"] == 3.0 and read["format_rate"] == 1.0 and read["unparsable"] == 0
    assert guess["answer_histogram"] == {"A": 24, "B": 0, "C": 0, "D": 0, "none": 0}
    assert found["answer_key"] == {"A": 6, "B": 6, "C": 6, "D": 6}


def test_a_target_without_examples_is_left_out_and_said(tmp_path, caplog):
    rows = [Counting("base", guesser), Counting("tuned", reader)]
    none = choice_benchmark("odd", "is the number odd", lambda _: [])
    found = evaluate([row.policy for row in rows], ASKED, [none, TARGET], render, tmp_path, tmp_path, "data")
    assert [target["name"] for target in found["targets"]] == ["parity"]
    assert "target task `odd` is left out: the held-out records gave no example of it" in caplog.text


def test_targets_compare_the_first_row_with_the_last(tmp_path):
    rows, found = measured(tmp_path, guesser, guesser, reader)
    (target,) = found["targets"]
    assert (target["name"], target["n"], target["row_0"], target["row_2"]) == ("parity", 20, 0.5, 1.0)
    assert target["p_value"] == pytest.approx(2 / 2**10)
    assert (target["gain"], target["direction"]) == (0.5, "rose")
    assert set(target["ci95"]) == {"row_0", "row_2"}
    assert target["answer_histogram"]["row_0"] == {"yes": 0, "no": 20, "none": 0}
    assert target["answer_histogram"]["row_2"] == {"yes": 10, "no": 10, "none": 0}
    assert [row.prompts for row in rows] == [24 + 3 * 16 + 20, 24 + 3 * 16, 24 + 3 * 16 + 20]


def test_answers_on_disk_are_not_asked_for_again(tmp_path):
    _, before = measured(tmp_path, guesser, reader)
    (tmp_path / "row-1" / "no_query.jsonl").unlink()
    rows, after = measured(tmp_path, guesser, reader)
    assert [(row.loads, row.prompts) for row in rows] == [(0, 0), (1, 16)]
    assert after == before


def test_other_records_are_asked_about_anew(tmp_path):
    measured(tmp_path, guesser, reader)
    rows = [Counting("row-0", guesser), Counting("row-1", reader)]
    evaluate([row.policy for row in rows], ASKED, [TARGET], render, tmp_path, tmp_path, "other records")
    assert [row.prompts for row in rows] == [24 + 3 * 16 + 20] * 2


def test_fewer_tasks_leave_no_answers_of_others(tmp_path):
    measured(tmp_path, guesser, reader)
    fewer = conditions(TASKS[:12], TASKS[:12], seed=0)
    rows = [Counting("row-0", guesser), Counting("row-1", reader)]
    found = evaluate([row.policy for row in rows], fewer, [], render, tmp_path, tmp_path, "records")
    # among fewer tasks two borrow the query of another one
    assert ([row.prompts for row in rows], found["rows"][0]["n"]) == ([2, 2], 12)


def test_a_target_that_is_not_right_or_wrong_is_refused(tmp_path):
    halves = replace(TARGET, judge=lambda example, parsed: {"correct": 0.5})
    with pytest.raises(DataError, match="target task `parity`, example `n0`: `correct` is 0.5"):
        evaluate(
            [Counting("a", guesser).policy, Counting("b", guesser).policy],
            ASKED,
            [halves],
            render,
            tmp_path,
            tmp_path,
            "",
        )


def test_results_are_plain_json_and_need_no_model(tmp_path):
    _, found = measured(tmp_path, guesser, reader)
    assert results(["row-0", "row-1"], ASKED, [TARGET], tmp_path) == found == json.loads(json.dumps(found))


def test_the_permuted_control_moves_candidates_and_the_key_together():
    for before, after in zip(ASKED["proxy"], ASKED["permuted"], strict=False):
        assert after.question.candidates != before.question.candidates
        assert after.candidate_records[LABELS.index(after.answer)] == before.query_record
