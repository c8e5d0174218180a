"""GeoChain: 21 questions about one street photo, from "do you see a boat" to its coordinates (arXiv 2506.00785).

The release has no scoring code and no prompts; ours are one question per call, closed options listed, the answer
between tags. The key is made anew from the released tables (`geochain_key`).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.rewards.parsing import parse_choice
from indirect_rlvr.types import Benchmark, Example, Prompt, Response, Source, View
from indirect_rlvr_geo.benchmarks import geochain_answers as read
from indirect_rlvr_geo.benchmarks.cv_cities import CITIES as CV_CITIES
from indirect_rlvr_geo.benchmarks.cv_cities import TRAIN_CITY, city_id
from indirect_rlvr_geo.benchmarks.distances import distance_values, read_coordinates, stated_position
from indirect_rlvr_geo.benchmarks.files import photo
from indirect_rlvr_geo.benchmarks.geochain_answers import CITY, COORDINATES, COUNTRY, DIVISION, LANGUAGES
from indirect_rlvr_geo.benchmarks.geochain_images import CROPPED
from indirect_rlvr_geo.benchmarks.geochain_key import CITIES, COLUMNS, OPTIONS, QUESTIONS, answers
from indirect_rlvr_geo.benchmarks.geochain_metrics import CORRECT, RAW, SAME_SET, metrics, task
from indirect_rlvr_geo.benchmarks.short_answers import stated
from indirect_rlvr_geo.benchmarks.truths import distinct, position, read_rows, truth_position

ROWS, CONSTANTS, TEXTS = "test_samples.csv", "per_city_answers.csv", "questions.csv"
TRAINED = frozenset(city for city in CITIES if (known := city_id(city)) and CV_CITIES[known].trained_on)
"""Cities that are also among the ten training cities of CV-Cities."""
_ASKED = {
    COUNTRY: "the name of the country", LANGUAGES: "the language, or the languages separated by commas",
    DIVISION: "the name of the state or province", CITY: "the name of the city",
    COORDINATES: "latitude and longitude in decimal degrees, separated by a comma",
}  # fmt: skip

SOURCE = Source(
    homepage="https://github.com/sahitiy/geochain",
    licence="CC BY-NC-SA 4.0; images: Mapillary Street-level Sequences, own terms",
    size="2,100 images, 21 questions each",
    layout=(
        "test_samples.csv, per_city_answers.csv and questions.csv from the repository's data/; the images of the 24 "
        "cities of Mapillary Street-level Sequences as CITY/SUB_FOLDER/images/KEY.jpg; then `python -m "
        "indirect_rlvr_geo.benchmarks.geochain_images DATA_ROOT/geochain` cuts the mark off their bottom rows"
    ),
    files=(ROWS, CONSTANTS, TEXTS),
    revision="mini-test of 2,100, commit 89f0d2f",
)


def benchmarks() -> list[Benchmark]:
    """GeoChain's mini-test; a question is a sub-task, and the coordinates count as right within 25 km."""
    return [
        Benchmark(
            name="geochain",
            description="21 questions about one street photo: what it shows, region, climate, country, coordinates",
            source=SOURCE,
            examples=examples,
            parse=parse,
            judge=judge,
            metrics=metrics,
            main=CORRECT,
            tasks=tuple(task(question) for question in range(1, QUESTIONS + 1)),
        )
    ]


def examples(folder: Path) -> Iterator[Example]:
    """21 examples for each row of the mini-test. Raises DataError that names the file and the row for a bad one."""
    constants = {
        row["City"].casefold(): row for row in read_rows(folder / CONSTANTS, ["City"], *([c] for c in COLUMNS))
    }
    texts = _texts(folder / TEXTS)
    needed = (["key"], ["lat"], ["lon"], ["city"], ["sub_folder"], ["class_mapping"])
    seen: Counter[str] = Counter()
    for number, row in enumerate(read_rows(folder / ROWS, *needed), 2):
        try:
            key = _key(row, constants)
        except DataError as error:
            raise DataError(f"`{folder / ROWS}` line {number}: {error}") from error
        view, missing, flags = _view(folder, row)
        name, repeated = distinct(row["key"], seen)
        for question, answer in enumerate(key, 1):
            yield Example(
                id=f"{name}-{task(question)}",
                cluster=row["city"],
                prompt=_prompt(view, question, texts[question]),
                truth=_truth(question, answer, row),
                task=task(question),
                missing=missing,
                flags=flags + repeated,
            )


def parse(example: Example, response: Response) -> dict[str, Any] | None:
    """{"label": …} in canonical form and {"text": …} as written; {"languages": […]}; or latitude and longitude."""
    question = example.truth["question"]
    if question == COORDINATES:
        place = read_coordinates(response.text)
        return truth_position(place) or None
    text = stated(response.text)
    if text is None:
        return None
    if question == LANGUAGES:
        found = sorted(read.languages(text))
        return {"languages": found} if found else None
    label = parse_choice(text, OPTIONS[question]) if question in OPTIONS else read.label(question, text)
    return None if label is None else {"label": label, "text": text.strip()[: read.LONGEST]}


def judge(example: Example, parsed: Mapping[str, Any] | None) -> dict[str, float]:
    """ "correct" for every question; beside it "raw" for names without tables of other names, "same set" for languages,
    kilometres and the rest of `distance_values` for coordinates."""
    truth = example.truth
    if truth["question"] == COORDINATES:
        values = distance_values(example, stated_position(parsed))
        return {CORRECT: values["Acc@25km"], **values}
    if truth["question"] == LANGUAGES:
        found, gold = frozenset(parsed["languages"] if parsed else ()), frozenset(truth["languages"])
        right = not found.isdisjoint(gold) and not read.contradicted(found, gold, truth["country"])
        return {CORRECT: float(right), SAME_SET: float(found == gold)}
    values = {CORRECT: float(parsed is not None and parsed["label"] == truth["label"])}
    if truth["question"] not in OPTIONS:
        values[RAW] = float(parsed is not None and read.folded(parsed["text"]) == read.folded(truth["answer"]))
    return values


def _texts(path: Path) -> dict[int, str]:
    rows = {row["Rank"]: row["Question"] for row in read_rows(path, ["Rank"], ["Question"])}
    if set(rows) != {str(question) for question in range(1, QUESTIONS + 1)}:
        raise DataError(f"`{path}` numbers its questions {sorted(rows)}; expected 1 to {QUESTIONS}: download it again")
    return {int(rank): text for rank, text in rows.items()}


def _key(row: Mapping[str, str], constants: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    place = position(row["lat"], row["lon"])
    if place is None:
        raise DataError(f"lat {row['lat']!r}, lon {row['lon']!r} is no position; download the file again")
    try:
        classes = json.loads(row["class_mapping"])
    except (ValueError, RecursionError) as error:
        raise DataError(f"class_mapping is cut off or no JSON: {error}; download the file again") from error
    if not isinstance(classes, dict):
        raise DataError(f"class_mapping holds {type(classes).__name__}; expected names and shares of classes")
    key = answers(*place, classes.keys(), constants)
    if row["city"] not in CITIES or CITIES[row["city"]].name != key[CITY - 1]:
        raise DataError(f"city {row['city']!r}, but ({place[0]}, {place[1]}) is in {key[CITY - 1]}")
    return key


def _view(folder: Path, row: Mapping[str, str]) -> tuple[View, tuple[str, ...], tuple[str, ...]]:
    path = f"{row['city']}/{row['sub_folder']}/images/{row['key']}.jpg"
    flags: tuple[str, ...] = (TRAIN_CITY,) if row["city"] in TRAINED else ()
    view, missing = photo(folder, f"{CROPPED}/{path}", "ground")
    if missing:
        view, missing = photo(folder, path, "ground")
        flags += ("watermark not cropped",)
    return view, missing, flags


def _prompt(view: View, question: int, text: str) -> Prompt:
    wanted = f"one of: {', '.join(OPTIONS[question])}" if question in OPTIONS else _ASKED[question]
    instruction = f"Reason between <think> and </think>, then give only {wanted}, between <answer> and </answer>."
    return Prompt(("Street photo:", view, f" {text} {instruction}"))


def _truth(question: int, answer: str, row: Mapping[str, str]) -> dict[str, Any]:
    truth: dict[str, Any] = {"question": question, "answer": answer, "label": answer}
    if question == COORDINATES:
        return truth | {"latitude": float(row["lat"]), "longitude": float(row["lon"])}
    if question == LANGUAGES:
        return truth | {"languages": sorted(read.languages(answer)), "country": CITIES[row["city"]].country}
    if question not in OPTIONS:
        truth["label"] = read.label(question, answer)
    return truth
