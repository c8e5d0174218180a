import json
from dataclasses import replace

import pytest

from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.evaluation.asking import Policy
from indirect_rlvr.evaluation.backends.answers import Answer
from indirect_rlvr.evaluation.choice import choice_benchmark, choice_example
from indirect_rlvr.evaluation.measure import measure
from indirect_rlvr.evaluation.predictions import score
from indirect_rlvr.evaluation.suite import Place, Ready, place, ready
from indirect_rlvr.types import Prompt, Source, View

SOURCE = Source("https://example.org", "CC0", "12 photos", "truth.csv", ("truth.csv",), "v1")


def examples(folder):
    return [
        choice_example(
            f"n{n}", f"c{n}", Prompt((View("photo", "image", f"{n}.png"), f"?{n}")), ("A", "B"), "AB"[n % 2],
            missing=("11.png",) if n == 11 else (), flags=("train city",) if n < 3 else (),
        )
        for n in range(12)
    ]  # fmt: skip


SEA = choice_benchmark("sea", "a sea", examples, source=SOURCE)


class Eyes:
    """A policy that reads the answer off the name of the photo, and breaks after so many answers."""

    def __init__(self, after=10**9):
        self.after, self.asked, self.loads = after, [], 0
        self.policy = Policy("eyes", "weights", self._load)

    def _load(self):
        self.loads += 1
        return self._say

    def _say(self, prompts, views, skip=()):
        for index, prompt in enumerate(prompts):
            if index in skip:
                continue
            if len(self.asked) == self.after:
                raise KeyboardInterrupt
            self.asked.append(prompt)
            seen = [part.content for part in prompt.parts if isinstance(part, View)]
            letter = "AB"[int(seen[0].removesuffix(".png")) % 2] if seen else "A"
            yield index, Answer(f"<answer>{letter}</answer>", 5, index != 0, ((8, 8),))


@pytest.fixture
def sea(tmp_path):
    folder = tmp_path / "data" / "sea"
    folder.mkdir(parents=True)
    (folder / "truth.csv").touch()
    return ready(place(SEA, tmp_path / "data"), None, 0)


def test_another_model_in_the_same_folder_is_refused(tmp_path, sea):
    measure(Eyes().policy, [sea], [], tmp_path / "out", {})
    with pytest.raises(RunError, match="holds the answers of .*weights.*choose another folder with --out"):
        measure(replace(Eyes().policy, fingerprint="other"), [sea], [], tmp_path / "out", {})


def test_interrupted_and_continued_it_asks_everything_once_and_gives_the_same_results(tmp_path, sea):
    whole = measure(Eyes().policy, [sea], [], tmp_path / "whole", {}, ("blind", "shuffled"))
    asked = []
    for after in (4, 9, 3):
        eyes = Eyes(after)
        with pytest.raises(KeyboardInterrupt):
            measure(eyes.policy, [sea], [], tmp_path / "out", {}, ("blind", "shuffled"))
        asked += eyes.asked
        assert not (tmp_path / "out" / "results.json").exists()
    last = Eyes()
    again = measure(last.policy, [sea], [], tmp_path / "out", {}, ("blind", "shuffled"))
    assert len(asked) + len(last.asked) == 3 * 11  # the twelfth has no photo
    for name in ("metrics", "controls", "flags", "missing_media"):
        assert again["benchmarks"][0][name] == whole["benchmarks"][0][name]
    silent = Eyes()
    assert measure(silent.policy, [sea], [], tmp_path / "out", {}, ("blind", "shuffled")) == again
    assert (silent.loads, silent.asked) == (0, [])


def test_results_are_typed_and_controls_stand_beside_them(tmp_path, sea):
    found = measure(Eyes().policy, [sea], [], tmp_path, {"suite": "all"}, ("blind", "shuffled"))
    (one,) = found["benchmarks"]
    (metric,) = one["metrics"]
    assert (metric["value"], metric["n"], metric["n_parsed"], metric["n_missing_media"]) == (1.0, 11, 11, 1)
    assert (metric["convention"], metric["unit"]) == ("strict", "share")
    assert metric["baselines"] == {"chance": 0.5, "majority": pytest.approx(6 / 11)}
    assert (one["data_revision"], one["parser_version"], one["main"], one["n_unfinished"]) == ("v1", "1", "correct", 1)
    assert one["missing_media"] == {"n": 1, "first": ["n11"]}
    assert one["flags"]["train city"]["n"] == 3
    assert one["controls"]["blind"]["metrics"][0]["value"] == pytest.approx(6 / 11)
    assert one["controls"]["shuffled"]["metrics"][0]["value"] < 1.0
    assert found["suite"] == "all"
    assert json.loads((tmp_path / "results.json").read_text()) == json.loads(json.dumps(found))


def test_raw_answers_score_to_the_same_results(tmp_path, sea):
    (one,) = measure(Eyes().policy, [sea], [], tmp_path, {})["benchmarks"]
    again = score(sea.place, tmp_path / "answers" / "sea.jsonl")
    assert again["faults"] == {}
    assert {name: again[name] for name in ("metrics", "flags", "missing_media", "prompt_hash")} == {
        name: one[name] for name in ("metrics", "flags", "missing_media", "prompt_hash")
    }


def test_each_example_s_value_is_kept_for_paired_comparisons(tmp_path, sea):
    measure(Eyes().policy, [sea], [], tmp_path, {})
    rows = [json.loads(line) for line in (tmp_path / "items" / "sea.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"n{n}" for n in range(12)]
    assert (rows[0]["values"], rows[0]["flags"], rows[11]["missing"]) == ({"correct": 1.0}, ["train city"], True)


def test_what_was_not_asked_stands_there_in_full(tmp_path, sea):
    bad = Ready(sea.place, fault="are the columns swapped?")
    found = measure(Eyes().policy, [bad], [place(SEA, None)], tmp_path, {})
    assert [(row["name"], row["why"], row["fault"]) for row in found["not_asked"]] == [
        ("sea", "its files are not here", False),
        ("sea", "are the columns swapped?", True),
    ]
    assert "into: DATA_ROOT/sea/" in found["not_asked"][0]["get"]


def test_what_no_model_can_be_asked_is_only_scored(tmp_path):
    ranked = choice_benchmark("ranks", "", lambda folder: [choice_example("q", "c", Prompt(()), ("A", "B"), "A")])
    eyes = Eyes()
    found = measure(eyes.policy, [ready(Place(ranked, tmp_path, ""), None, 0)], [], tmp_path, {})
    assert (found["benchmarks"], eyes.loads) == ([], 0)
    assert "scored from predictions alone" in found["not_asked"][0]["why"] and not found["not_asked"][0]["fault"]


def test_without_any_photo_nothing_is_asked_and_it_says_so(tmp_path, sea):
    lost = replace(sea, examples=[replace(each, missing=("all.png",)) for each in sea.examples])
    eyes = Eyes()
    found = measure(eyes.policy, [lost], [], tmp_path, {})
    assert (found["benchmarks"], eyes.loads) == ([], 0)
    assert found["not_asked"][0]["why"] == "the media of all 12 examples are absent, first `all.png`"


def test_a_smaller_limit_costs_no_answers(tmp_path, sea):
    measure(Eyes().policy, [sea], [], tmp_path, {})
    measure(Eyes().policy, [ready(sea.place, 3, 0)], [], tmp_path, {})
    eyes = Eyes()
    measure(eyes.policy, [sea], [], tmp_path, {})
    assert eyes.asked == []


def test_a_broken_photo_is_missing_and_the_rest_is_asked(tmp_path, sea):
    def strict(prompts, views, skip=()):
        for index, prompt in enumerate(prompts):
            if index in skip:
                continue
            if not (views / prompt.parts[0].content).exists():
                raise DataError(f"image `{prompt.parts[0].content}` is not readable")
            yield index, Answer("<answer>A</answer>", 1, True)

    from PIL import Image

    for n in range(5):
        Image.new("RGB", (8, 8)).save(sea.place.folder / f"{n}.png")
    found = measure(Policy("strict", "w", lambda: strict), [sea], [], tmp_path / "out", {})
    assert found["benchmarks"][0]["metrics"][0]["n"] == 5
    assert found["benchmarks"][0]["missing_media"]["n"] == 7


def test_a_held_out_place_asks_in_its_own_folder(tmp_path):
    seen = []

    def say(prompts, views, skip=()):
        seen.append(views)
        yield from ((index, Answer("<answer>A</answer>", 1, True)) for index, _ in enumerate(prompts))

    hill = choice_benchmark("hill", "", lambda folder: examples(folder)[:2])
    where = Place(hill, tmp_path / "records", "digest of the records")
    found = measure(Policy("p", "w", lambda: say), [ready(where, None, 0)], [], tmp_path, {})
    assert seen == [tmp_path / "records"]
    assert found["benchmarks"][0]["data_revision"] == "digest of the records"
