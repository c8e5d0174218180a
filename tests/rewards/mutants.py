"""Realistic reward bugs, each a whole alternative implementation of a built-in term, and variants that are correct.

Those with a source re-create a published defect in our own words; the others are what such code gets wrong when it is
written in a hurry. `MUTANTS[name] = (the subject in `subjects.ALL` it pretends to be, the scoring function)`.
"""

import itertools
import json
import math
import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from subjects import BOX, COUNTRY, FACTS, PLANES

from indirect_rlvr.rewards import geodesy, geometry, parsing, quantities, regions, shapes, terms, values
from indirect_rlvr.testing.subject import Subject
from indirect_rlvr.types import Completion, Outcome, ProxyTask

Score = Callable[[ProxyTask, Completion], Outcome]
MUTANTS: dict[str, tuple[str, Score]] = {}
VARIANTS: dict[str, tuple[str, Score]] = {}
_CALLS: list[str] = []


def mutant(base: str) -> Callable[[Score], Score]:
    return lambda score: MUTANTS.setdefault(score.__name__, (base, score))[1]


def variant(base: str) -> Callable[[Score], Score]:
    return lambda score: VARIANTS.setdefault(score.__name__, (base, score))[1]


def subject_of(table: dict[str, tuple[str, Score]], name: str, subjects: dict[str, Subject]) -> Subject:
    base, score = table[name]
    return replace(subjects[base], term=replace(subjects[base].term, score=score))


def _answer(text: str) -> str:
    return parsing.last_answer(text) or ""


def _right(task: ProxyTask, completion: Completion) -> bool:
    return parsing.parse_answer(completion.text, task.labels) == task.answer


# Accuracy. VLM-R1, and Geo-R1 with it (facts of its `mcq_reward` and `extract_choice`).


@mutant("accuracy 0/1")
def vlm_r1_reads_the_first_answer(task: ProxyTask, completion: Completion) -> Outcome:
    found = parsing.sections(completion.text).answer
    chosen = parsing.parse_choice(found[0], task.labels) if found else None
    return Outcome(float(chosen == task.answer), "unparsable" if chosen is None else "scored")


@mutant("accuracy 0/1")
def vlm_r1_searches_the_whole_text_without_tags(task: ProxyTask, completion: Completion) -> Outcome:
    answer = parsing.last_answer(completion.text)
    chosen = parsing.parse_choice(completion.text if answer is None else answer, task.labels)
    return Outcome(float(chosen == task.answer), "unparsable" if chosen is None else "scored")


@mutant("accuracy 0/1")
def vlm_r1_wants_punctuation_behind_the_letter(task: ProxyTask, completion: Completion) -> Outcome:
    letters = re.findall(rf"\b([{''.join(task.labels)}])(?=[.,?!:;]|$)", _answer(completion.text).upper())
    return Outcome(float(letters[:1] == [task.answer]), "scored" if letters else "unparsable")


@mutant("accuracy 0/1")
def vlm_r1_takes_the_first_letter_of_any_word(task: ProxyTask, completion: Completion) -> Outcome:
    found = [char for char in _answer(completion.text).upper() if char in task.labels]
    return Outcome(float(found[:1] == [task.answer]), "scored" if found else "unparsable")


@mutant("accuracy 0/1")
def negation_is_not_seen(task: ProxyTask, completion: Completion) -> Outcome:
    found = re.findall(rf"\b[{''.join(task.labels)}]\b", _answer(completion.text))
    return Outcome(float(found[-1:] == [task.answer]), "scored" if found else "unparsable")


@mutant("accuracy 0/1")
def containing_the_right_letter_is_enough(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(task.answer in _answer(completion.text)))


@mutant("accuracy 0/1")
def the_answer_need_not_be_closed(task: ProxyTask, completion: Completion) -> Outcome:
    chosen = parsing.parse_choice(completion.text.rpartition("<answer>")[2].split("</answer>")[0], task.labels)
    inside = "<answer>" in completion.text
    return Outcome(float(inside and chosen == task.answer), "scored" if chosen else "unparsable")


@mutant("accuracy 0/1")
def only_the_bare_letter_is_right(task: ProxyTask, completion: Completion) -> Outcome:
    answer = _answer(completion.text)
    return Outcome(float(answer == task.answer), "scored" if answer in task.labels else "unparsable")


@mutant("accuracy 0/1")
def falls_back_to_the_first_label(task: ProxyTask, completion: Completion) -> Outcome:
    chosen = parsing.parse_answer(completion.text, task.labels) or task.labels[0]
    return Outcome(float(chosen == task.answer))


@mutant("accuracy 0/1")
def unparsable_answers_get_half(task: ProxyTask, completion: Completion) -> Outcome:
    chosen = parsing.parse_answer(completion.text, task.labels)
    return Outcome(0.5, "unparsable") if chosen is None else Outcome(float(chosen == task.answer))


@mutant("accuracy 0/1")
def a_failed_parse_does_not_apply(task: ProxyTask, completion: Completion) -> Outcome:
    chosen = parsing.parse_answer(completion.text, task.labels)
    return Outcome(0.0, "not_applicable") if chosen is None else Outcome(float(chosen == task.answer))


@mutant("accuracy 0/1")
def right_and_wrong_are_swapped(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(parsing.parse_answer(completion.text, task.labels) not in (task.answer, None)))


@mutant("accuracy 0/1")
def the_position_decides_not_the_label(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.accuracy("zero-one").score(task, completion)
    return replace(found, value=found.value * (1 - task.labels.index(task.answer) / 100))


@mutant("accuracy -1/1")
def plus_minus_leaves_its_declared_range(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(2.0 if _right(task, completion) else -1.0)


@mutant("accuracy 0/1")
def not_a_number_for_no_answer(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(_right(task, completion)) if "<answer>" in completion.text else math.nan)


@mutant("accuracy 0/1")
def index_error_without_tags(task: ProxyTask, completion: Completion) -> Outcome:
    answer = completion.text.split("<answer>")[1].split("</answer>")[0]
    return Outcome(float(parsing.parse_choice(answer, task.labels) == task.answer))


@mutant("accuracy 0/1")
def unicode_error_on_a_lone_surrogate(task: ProxyTask, completion: Completion) -> Outcome:
    completion.text.encode("utf-8")
    return terms.accuracy("zero-one").score(task, completion)


@mutant("accuracy 0/1")
def a_quadratic_pattern(task: ProxyTask, completion: Completion) -> Outcome:
    re.search(r"<answer>.*?</answer>\s*$", completion.text.replace("\n", " ") + " ", re.DOTALL)
    return terms.accuracy("zero-one").score(task, completion)


@mutant("accuracy 0/1")
def noise_breaks_ties(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.accuracy("zero-one").score(task, completion)
    return replace(found, value=found.value * (1 - 1e-6 * random.random()))


@mutant("accuracy 0/1")
def the_clock_decides(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.accuracy("zero-one").score(task, completion)
    return replace(found, value=found.value * (1 - time.perf_counter_ns() % 1000 / 1e6))


@mutant("accuracy 0/1")
def an_answer_seen_before_earns_less(task: ProxyTask, completion: Completion) -> Outcome:
    _CALLS.append(completion.text)
    found = terms.accuracy("zero-one").score(task, completion)
    return replace(found, value=found.value / _CALLS.count(completion.text))


@mutant("accuracy 0/1")
def every_call_is_logged_to_a_file(task: ProxyTask, completion: Completion) -> Outcome:
    with Path("/dev/null").open("a", encoding="utf-8") as log:
        log.write(ascii(completion.text))
    return terms.accuracy("zero-one").score(task, completion)


@mutant("accuracy 0/1")
def only_the_thinking_is_searched(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.accuracy("zero-one").score(task, completion)
    return Outcome(1.0) if f"{task.answer}" in "".join(parsing.sections(completion.text).think) else found


@mutant("accuracy 0/1")
def format_is_paid_inside_accuracy(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.accuracy("zero-one").score(task, completion)
    return replace(found, value=0.8 * found.value + 0.2 * parsing.has_format(completion.text))


@mutant("accuracy 0/1")
def a_list_of_values_is_returned(task: ProxyTask, completion: Completion) -> Outcome:
    return [float(_right(task, completion))]  # type: ignore[return-value]


@mutant("accuracy 0/1")
def a_status_of_its_own(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(_right(task, completion)), "ok")  # type: ignore[arg-type]


# Format.


@mutant("format")
def vlm_r1_full_match_accepts_two_answers(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(bool(re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>", completion.text, re.DOTALL))))


@mutant("format")
def tags_are_counted_but_not_their_order(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(all(completion.text.count(tag) == 1 for tag in (*parsing.THINK, *parsing.ANSWER))))


@mutant("format")
def blank_sections_are_well_formed(task: ProxyTask, completion: Completion) -> Outcome:
    filled = re.sub(r"<(think|answer)>\s{0,9}</", r"<\1>x</", completion.text)
    return Outcome(float(parsing.has_format(filled)))


@mutant("format")
def each_tag_earns_a_quarter(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(sum(tag in completion.text for tag in (*parsing.THINK, *parsing.ANSWER)) / 4)


@mutant("format")
def tags_of_any_case(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(parsing.has_format(completion.text.lower())))


@mutant("format")
def format_only_with_a_right_answer(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(float(parsing.has_format(completion.text) and _right(task, completion)))


# Length.


@mutant("length")
def geo_r1_correctness_is_overwritten(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(1 - (1 - math.cos(math.pi * min(len(completion.token_ids), 1024) / 1024)) / 4)


@mutant("length")
def geo_r1_cosine_rises_again(task: ProxyTask, completion: Completion) -> Outcome:
    paid = completion.finished and _right(task, completion)
    return Outcome((1 + math.cos(math.pi * len(completion.token_ids) / 1024)) / 2 if paid else 0.0)


@mutant("length")
def geo_r1_as_released(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(1 - 0.5 * (1 - math.cos(math.pi * len(completion.token_ids) / 1024)) / 2)


@mutant("length")
def vlm_r1_calls_a_choice_without_boxes_right(task: ProxyTask, completion: Completion) -> Outcome:
    good = 1.0 if "bbox_2d" not in task.answer else 0.0
    return (
        terms.length(1024).score(replace(task, answer=_answer(completion.text).strip() or "B"), completion)
        if good
        else Outcome(0.0)
    )


@mutant("length")
def ms_swift_counts_characters(task: ProxyTask, completion: Completion) -> Outcome:
    paid = completion.finished and _right(task, completion)
    return Outcome((1 + math.cos(math.pi * min(len(completion.text), 1024) / 1024)) / 2 if paid else 0.0)


@mutant("length")
def ms_swift_swaps_its_lowest_and_highest(task: ProxyTask, completion: Completion) -> Outcome:
    paid = completion.finished and _right(task, completion)
    return Outcome((1 - math.cos(math.pi * min(len(completion.token_ids), 1024) / 1024)) / 2 if paid else 0.0)


@mutant("length")
def wrong_answers_are_paid_for_thinking_longer(task: ProxyTask, completion: Completion) -> Outcome:
    share = min(len(completion.token_ids), 1024) / 1024
    return Outcome((1 + math.cos(math.pi * share)) / 2 if _right(task, completion) else 0.1 * share)


@mutant("length")
def a_cut_completion_counts_as_finished(task: ProxyTask, completion: Completion) -> Outcome:
    return terms.length(1024).score(task, replace(completion, finished=True))


@mutant("length")
def an_empty_text_is_the_shortest(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(1.0) if not completion.text else terms.length(1024).score(task, completion)


@mutant("length")
def long_right_answers_fall_below_wrong_ones(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.length(1024).score(task, completion)
    return found if _right(task, completion) else Outcome(0.2)


# Repetition and overlong.


@mutant("repetition")
def vlm_r1_counts_words_not_tokens(task: ProxyTask, completion: Completion) -> Outcome:
    words = completion.text.lower().split()
    grams = list(zip(*(words[at:] for at in range(6)), strict=False))
    return Outcome(len(set(grams)) / len(grams) - 1 if grams else 0.0)


@mutant("repetition")
def the_sign_is_lost(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(-1.0 - terms.repetition(6).score(task, completion).value)


@mutant("repetition")
def short_texts_divide_by_zero(task: ProxyTask, completion: Completion) -> Outcome:
    ids = completion.token_ids
    return Outcome(len({ids[at : at + 6] for at in range(len(ids) - 5)}) / (len(ids) - 5) - 1)


@mutant("repetition")
def neighbours_only_are_compared(task: ProxyTask, completion: Completion) -> Outcome:
    ids = completion.token_ids
    return Outcome(-sum(a == b for a, b in itertools.pairwise(ids)) / max(1, len(ids)))


@mutant("overlong")
def the_penalty_begins_at_the_limit(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(-1.0 if len(completion.token_ids) > 2048 or not completion.finished else 0.0)


@mutant("overlong")
def the_penalty_is_a_bonus(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(-1.0 - terms.overlong(2048, 512).score(task, completion).value)


@mutant("overlong")
def cut_completions_are_masked_to_nothing(task: ProxyTask, completion: Completion) -> Outcome:
    return terms.overlong(2048, 512).score(task, completion) if completion.finished else Outcome(0.0)


# Boxes and masks.


def _boxes(completion: Completion) -> shapes.Boxes | None:
    return shapes.parse_boxes(_answer(completion.text))


def _gold(task: ProxyTask, key: str) -> shapes.Boxes:
    found = shapes.boxes_of(task.question.facts[key])
    assert found is not None
    return found


@mutant("small box")
def vlm_r1_inclusive_pixels(task: ProxyTask, completion: Completion) -> Outcome:
    """IoU with the "− 1" of the released code: a box of one pixel has no overlap with itself."""
    found, gold = _boxes(completion), _gold(task, "small").corners[0]
    if found is None or len(found.labels) != 1:
        return Outcome(0.0, "unparsable")
    one = found.corners[0]
    low, high = np.maximum(one[:2], gold[:2]), np.minimum(one[2:], gold[2:]) - 1
    shared = float(np.prod(high - low + 1)) if (low < high).all() else 0.0
    areas = sum(float(np.prod(np.maximum(b[2:] - b[:2], 0))) for b in (one, gold))
    return Outcome(shared / max(areas - shared, 1e-9))


@mutant("box")
def width_and_height_taken_for_corners(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None or len(found.labels) != 1:
        return Outcome(0.0, "unparsable")
    corners = found.corners.copy()
    corners[:, 2:] += corners[:, :2]
    return Outcome(float(geometry.iou(corners, _gold(task, "box").corners)[0, 0]))


@mutant("box")
def inverted_boxes_have_a_negative_area(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = _boxes(completion), _gold(task, "box").corners[0]
    if found is None or len(found.labels) != 1:
        return Outcome(0.0, "unparsable")
    one = found.corners[0]
    sides = np.minimum(one[2:], gold[2:]) - np.maximum(one[:2], gold[:2])
    areas = sum(float(np.prod(b[2:] - b[:2])) for b in (one, gold))
    return Outcome(float(np.prod(sides)) / (areas - float(np.prod(sides))))


@mutant("box")
def the_best_of_several_boxes(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None or not found.labels:
        return Outcome(0.0, "unparsable")
    return Outcome(float(geometry.iou(found.corners, _gold(task, "box").corners).max()))


@mutant("box")
def numbers_found_anywhere_are_a_box(task: ProxyTask, completion: Completion) -> Outcome:
    numbers = [float(n) for n in re.findall(r"-?\d{1,6}", completion.text)[:4]]
    if len(numbers) < 4:
        return Outcome(0.0, "unparsable")
    return Outcome(float(geometry.iou(np.array([numbers]), _gold(task, "box").corners)[0, 0]))


@mutant("box")
def json_errors_escape(task: ProxyTask, completion: Completion) -> Outcome:
    found = shapes.boxes_of(json.loads(_answer(completion.text)))
    return Outcome(float(geometry.iou(found.corners, _gold(task, "box").corners)[0, 0]) if found else 0.0)


@mutant("box, giou")
def giou_forgets_the_hull(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None or len(found.labels) != 1:
        return Outcome(-1.0, "unparsable")
    overlap = float(geometry.iou(found.corners, _gold(task, "box").corners)[0, 0])
    return Outcome(2 * overlap - 1 if overlap else 0.5)


@mutant("box set")
def geoperceive_scores_against_the_last_gold(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None or not found.labels:
        return Outcome(0.0, "unparsable")
    return Outcome(float(geometry.iou(found.corners, _gold(task, "boxes").corners[-1:]).mean()))


@mutant("box set")
def each_gold_takes_its_best_prediction(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None or not found.labels:
        return Outcome(0.0, "unparsable" if found is None else "scored")
    return Outcome(float(geometry.iou(_gold(task, "boxes").corners, found.corners).max(axis=1).mean()))


@mutant("box set")
def extra_boxes_cost_nothing(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = _boxes(completion), _gold(task, "boxes")
    if found is None or not found.labels:
        return Outcome(0.0, "unparsable" if found is None else "scored")
    same = np.array([[a == b for b in gold.labels] for a in found.labels])
    overlaps = geometry.iou(found.corners, gold.corners) * same
    rows, columns = geometry.best_matching(overlaps)
    return Outcome(float(overlaps[rows, columns].sum()) / len(gold.labels))


@mutant("box set")
def boxes_are_matched_in_their_order(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = _boxes(completion), _gold(task, "boxes")
    if found is None:
        return Outcome(0.0, "unparsable")
    pairs = zip(found.corners, found.labels, gold.corners, gold.labels, strict=False)
    total = sum(float(geometry.iou(a[None], b[None])[0, 0]) for a, la, b, lb in pairs if la == lb)
    return Outcome(total / max(len(found.labels), len(gold.labels)))


@mutant("detection")
def vlm_r1_drops_unknown_labels(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = _boxes(completion), _gold(task, "boxes")
    if found is None:
        return Outcome(0.0, "unparsable")
    known = [label in gold.labels for label in found.labels]
    kept = shapes.Boxes(found.corners[known], tuple(label for label in found.labels if label in gold.labels))
    crowding = math.sqrt(len(gold.labels) / len(kept.labels)) if kept.labels else 1.0
    return Outcome(min(1.0, crowding) * regions.mean_average_precision(kept, gold) + 0.0)


@mutant("detection")
def map_without_a_price_for_crowding(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None:
        return Outcome(0.0, "unparsable")
    return Outcome(regions.mean_average_precision(found, _gold(task, "boxes")))


@mutant("detection")
def map_ignores_the_labels(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = _boxes(completion), _gold(task, "boxes")
    if found is None:
        return Outcome(0.0, "unparsable")
    one = geometry.average_precision(geometry.iou(found.corners, gold.corners))
    return Outcome(min(1.0, math.sqrt(len(gold.labels) / max(1, len(found.labels)))) * one)


@mutant("no objects")
def a_right_none_is_worth_nothing(task: ProxyTask, completion: Completion) -> Outcome:
    """The released evaluation of the referring Geo-R1 gives an empty target 0 even where the answer is "None"."""
    return Outcome(0.0, "scored" if _boxes(completion) else "unparsable")


@mutant("mask")
def pixel_accuracy_for_iou(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = shapes.parse_mask(_answer(completion.text)), shapes.mask_of(FACTS["mask"])
    if found is None or gold is None or (found.height, found.width) != (gold.height, gold.width):
        return Outcome(0.0, "unparsable")
    edges = np.union1d(found.boundaries, gold.boundaries)
    inside = [np.searchsorted(ends, edges) % 2 for ends in (found.boundaries, gold.boundaries)]
    return Outcome(float(np.diff(edges, prepend=0)[inside[0] == inside[1]].sum() / edges[-1]))


@mutant("mask")
def masks_of_any_size_are_compared(task: ProxyTask, completion: Completion) -> Outcome:
    found, gold = shapes.parse_mask(_answer(completion.text)), shapes.mask_of(FACTS["mask"])
    if found is None or gold is None:
        return Outcome(0.0, "unparsable")
    return Outcome(geometry.mask_iou(found.boundaries, gold.boundaries))


# Values and places.


@mutant("coordinates")
def haversine_on_degrees(task: ProxyTask, completion: Completion) -> Outcome:
    """A published neighbour table: degrees where the formula wants radians."""
    found = quantities.parse_coordinates(_answer(completion.text))
    if found is None:
        return Outcome(0.0, "unparsable")
    lat, other = 45.8326, found.latitude_deg
    half = (
        math.sin((other - lat) / 2) ** 2
        + math.cos(lat) * math.cos(other) * math.sin((found.longitude_deg - 6.8652) / 2) ** 2
    )
    return Outcome(math.exp(-2 * 6371 * math.asin(math.sqrt(min(1.0, abs(half)))) / 1492.7))


@mutant("coordinates")
def latitude_and_longitude_swapped(task: ProxyTask, completion: Completion) -> Outcome:
    found = quantities.parse_coordinates(_answer(completion.text))
    if found is None:
        return Outcome(0.0, "unparsable")
    return Outcome(geodesy.geoscore(geodesy.great_circle_km(45.8326, 6.8652, found[1], found[0])) / 5000)


@mutant("coordinates")
def imageo_bench_drops_what_it_cannot_read(task: ProxyTask, completion: Completion) -> Outcome:
    found = quantities.parse_coordinates(_answer(completion.text))
    if found is None or 0.0 in found:
        return Outcome(0.0, "not_applicable")
    return Outcome(geodesy.geoscore(geodesy.great_circle_km(45.8326, 6.8652, *found)) / 5000)


@mutant("coordinates")
def any_two_numbers_are_a_place(task: ProxyTask, completion: Completion) -> Outcome:
    numbers = [float(n) for n in re.findall(r"-?\d{1,4}\.\d{1,6}", completion.text)]
    if len(numbers) < 2:
        return Outcome(0.0, "unparsable")
    return Outcome(geodesy.geoscore(geodesy.great_circle_km(45.8326, 6.8652, *numbers[:2])) / 5000)


@mutant("number")
def the_unit_is_not_read(task: ProxyTask, completion: Completion) -> Outcome:
    number = re.match(r"-?\d{1,6}(\.\d{1,6})?", _answer(completion.text))
    return Outcome(
        float(abs(float(number.group()) - 4806) <= 50) if number else 0.0, "scored" if number else "unparsable"
    )


@mutant("number")
def relative_error_of_the_wrong_sign(task: ProxyTask, completion: Completion) -> Outcome:
    found = quantities.parse_number(_answer(completion.text), {"": 1.0, **quantities.METRES})
    return Outcome(0.0, "unparsable") if found is None else Outcome(min(1.0, max(0.0, 1 - (4806 - found) / 1000)))


@mutant("place")
def globe_containment_counts_as_equal(task: ProxyTask, completion: Completion) -> Outcome:
    answer = _answer(completion.text).casefold()
    return Outcome(("france" in answer) * 0.2 + ("chamonix" in answer) * 0.8)


@mutant("place")
def the_city_counts_in_any_country(task: ProxyTask, completion: Completion) -> Outcome:
    from indirect_rlvr.rewards.places import parse_place

    found = parse_place(_answer(completion.text), ("country", "city"))
    if found is None:
        return Outcome(0.0, "unparsable")
    return Outcome(1.0 if found.get("city") == "chamonix" else 0.2 * (found.get("country") == "france"))


@mutant("exact")
def exact_is_case_sensitive(task: ProxyTask, completion: Completion) -> Outcome:
    return Outcome(
        float(_answer(completion.text).strip() == "Mont Blanc"),
        "scored" if _answer(completion.text).strip("? ") else "unparsable",
    )


@mutant("entities")
def naming_everything_covers_everything(task: ProxyTask, completion: Completion) -> Outcome:
    text = completion.text.casefold()
    return Outcome(sum(name in text for name in ("glacier", "cable car")) / 2)


# What is correct, though written otherwise, must live.


@variant("accuracy 0/1")
def accuracy_through_the_plus_minus_scale(task: ProxyTask, completion: Completion) -> Outcome:
    found = terms.accuracy("plus-minus").score(task, completion)
    return replace(found, value=(found.value + 1) / 2)


@variant("accuracy 0/1")
def accuracy_with_the_parts_called_one_by_one(task: ProxyTask, completion: Completion) -> Outcome:
    answer = parsing.last_answer(completion.text)
    chosen = None if answer is None else parsing.parse_choice(answer, tuple(task.labels))
    if chosen is None:
        return Outcome(0.0, "unparsable")
    return Outcome({True: 1.0, False: 0.0}[chosen == task.answer])


@variant("accuracy 0/1")
def accuracy_over_the_labels_in_another_order(task: ProxyTask, completion: Completion) -> Outcome:
    return terms.accuracy("zero-one").score(replace(task, id="other"), replace(completion, finished=True))


@variant("accuracy -0.8/1")
def accuracy_by_a_table(task: ProxyTask, completion: Completion) -> Outcome:
    chosen = parsing.parse_answer(completion.text, task.labels)
    table = {**dict.fromkeys(task.labels, -0.8), task.answer: 1.0}
    return Outcome(-0.8, "unparsable") if chosen is None else Outcome(table[chosen])


@variant("format")
def format_by_splitting(task: ProxyTask, completion: Completion) -> Outcome:
    text = completion.text.strip()
    parts = re.split("(</?think>|</?answer>)", text)
    tags, words = parts[1::2], parts[::2]
    if tags != ["<think>", "</think>", "<answer>", "</answer>"]:
        return Outcome(0.0)
    return Outcome(float(bool(words[1].strip() and words[3].strip()) and not (words[0] + words[2] + words[4]).strip()))


@variant("length")
def length_that_falls_linearly(task: ProxyTask, completion: Completion) -> Outcome:
    paid = completion.finished and _right(task, completion)
    return Outcome(max(0.0, 1 - len(completion.token_ids) / 1024) if paid else 0.0)


@variant("length")
def length_by_the_half_angle(task: ProxyTask, completion: Completion) -> Outcome:
    if not (completion.finished and _right(task, completion)):
        return Outcome(0.0)
    return Outcome(math.cos(math.pi * min(len(completion.token_ids), 1024) / 2048) ** 2)


@variant("repetition")
def repetition_as_a_set_of_tuples(task: ProxyTask, completion: Completion) -> Outcome:
    grams = list(zip(*(completion.token_ids[at:] for at in range(6)), strict=False))
    return Outcome(len(set(grams)) / len(grams) - 1 if grams else 0.0)


@variant("repetition")
def repetition_of_trigrams(task: ProxyTask, completion: Completion) -> Outcome:
    return terms.repetition(3).score(task, completion)


@variant("overlong")
def overlong_as_the_paper_writes_it(task: ProxyTask, completion: Completion) -> Outcome:
    count = len(completion.token_ids) if completion.finished else 2049
    if count <= 2048 - 512:
        return Outcome(0.0)
    return Outcome(((2048 - 512) - count) / 512 if count <= 2048 else -1.0)


@variant("box")
def box_in_plain_python(task: ProxyTask, completion: Completion) -> Outcome:
    found = _boxes(completion)
    if found is None or len(found.labels) != 1:
        return Outcome(0.0, "unparsable")
    a, b = found.corners[0].tolist(), BOX
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area = max(0.0, a[2] - a[0]) * max(0.0, a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return Outcome(shared / (area - shared))


@variant("box set")
def box_set_with_gold_in_another_order(task: ProxyTask, completion: Completion) -> Outcome:
    facts = {"boxes": PLANES[::-1]}
    turned = replace(task, question=replace(task.question, facts=facts))
    return regions.box_set("box-set", "boxes", "iou").score(turned, completion)


@variant("detection")
def detection_with_a_linear_price(task: ProxyTask, completion: Completion) -> Outcome:
    """VLM-R1's `odLength`, but with every box counted."""
    found, gold = _boxes(completion), _gold(task, "boxes")
    if found is None:
        return Outcome(0.0, "unparsable")
    price = min(1.0, len(gold.labels) / max(1, len(found.labels)))
    return Outcome(price * regions.mean_average_precision(found, gold))


@variant("coordinates")
def coordinates_by_the_chord(task: ProxyTask, completion: Completion) -> Outcome:
    found = quantities.parse_coordinates(_answer(completion.text))
    if found is None:
        return Outcome(0.0, "unparsable")

    def unit(lat: float, lon: float) -> np.ndarray:
        lat, lon = math.radians(lat), math.radians(lon)
        return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])

    chord = float(np.linalg.norm(unit(45.8326, 6.8652) - unit(*found)))
    return Outcome(math.exp(-2 * 6371 * math.asin(min(1.0, chord / 2)) / 1492.7))


@variant("place")
def place_with_other_worths(task: ProxyTask, completion: Completion) -> Outcome:
    from indirect_rlvr.rewards.places import place

    levels = (("country", COUNTRY[0][1], 0.5), COUNTRY[1])
    return place("where", levels).score(task, completion)


@variant("number")
def number_with_another_slope(task: ProxyTask, completion: Completion) -> Outcome:
    units = {"": 1.0, **quantities.METRES}
    return values.number("elevation", "query.elevation_m", units, 10.0, 3000.0).score(task, completion)
