"""Every built-in term as the battery sees it: on a task whose facts hold its gold, with answers from right to wrong."""

import json

import numpy as np

from indirect_rlvr.rewards import places, quantities, regions, shapes, terms, traces, values
from indirect_rlvr.testing.subject import ROLES, Subject, choice
from indirect_rlvr.types import ProxyTask, Question, Term, View

COUNTRY = (("country", "query.country", 0.2), ("city", "query.city", 1.0))
BOX = [10, 20, 110, 220]
PLANES = [
    {"bbox_2d": [0, 0, 10, 10], "label": "plane"},
    {"bbox_2d": [40, 0, 60, 10], "label": "plane"},
    {"bbox_2d": [0, 50, 10, 90], "label": "ship"},
]
GRID = np.zeros((6, 8), dtype=bool)
GRID[1:4, 2:6] = True
FACTS: dict[str, object] = {
    "query": {
        "name": "Mont Blanc",
        "elevation_m": 4806.0,
        "latitude": 45.8326,
        "longitude": 6.8652,
        "country": "France",
        "city": "Chamonix",
    },
    "box": BOX,
    "small": [3, 4, 4, 5],
    "boxes": PLANES,
    "nothing": [],
    "mask": shapes.runs_of(GRID),
    "seen": ["glacier", "cable car"],
    "known": ["glacier", "cable car", "palm tree", "minaret", "tram"],
}


def a_task(answer: str = "B", name: str = "set-3/q1") -> ProxyTask:
    tiles = tuple(View("overhead", "text", f"tile {label}") for label in "ABCDE")
    question = Question("Which tile?", (View("ground", "text", "a ridge"),), tiles, FACTS)
    return ProxyTask(
        name, "block-1", "train", 0, question, tuple("ABCDE"), answer, "r1", ("r0", "r1", "r2", "r3", "r4")
    )


TASK = a_task()


def core(term: Term) -> Subject:
    return choice(term, TASK, ROLES[term.name])


def about(
    term: Term,
    right: str,
    *worse: str,
    forms: tuple[str, ...] = (),
    hedges: tuple[str, ...] = (),
    padded: tuple[str, ...] = (),
) -> Subject:
    return Subject(term, TASK, "answer", right, worse, forms, hedges, padded)


def exact() -> Subject:
    return about(
        values.exact("name", "query.name"),
        "Mont Blanc",
        "Mont Blank",
        "Etna",
        forms=("mont blanc", " **Mont  Blanc.** ", "Mont\nBlanc"),
        hedges=("", "?"),
    )


def number() -> Subject:
    term = values.number("elevation", "query.elevation_m", {"": 1.0, **quantities.METRES}, 50.0, 1000.0)
    return about(
        term,
        "4806 m",
        "4700 m",
        "4.2 km",
        "12 km",
        "-4806 m",
        forms=("4,806", "4.806 km", "about 4806 metres"),
        hedges=("4806 or 5000 m", "4000-5000 m", "4806 kg", "high", "", "1e999 m", "NaN", "not 4806 m"),
    )


def coordinates(scale: str = "geoscore") -> Subject:
    term = values.coordinates("place", "query.latitude", "query.longitude", scale)  # type: ignore[arg-type]
    return about(
        term,
        "45.8326, 6.8652",
        "45.9, 6.9",
        "48.85, 2.35",
        "40.7, -74.0",
        "-45.8326, -173.1348",
        forms=("45.8326° N, 6.8652° E", "lat: 45.8326, lon: 6.8652", "(45.8326, 6.8652)"),
        hedges=("45.8", "45.8, 6.8 or 48.8, 2.3", "95, 6.8", "45.8, 190", "", "in France", "-45.8 N, 6.8 E"),
    )


def box(overlap: str = "iou") -> Subject:
    term = regions.box("box", "box", overlap)  # type: ignore[arg-type]
    return about(
        term,
        str(BOX),
        "[12, 20, 112, 220]",
        "[60, 20, 160, 220]",
        "[500, 500, 600, 600]",
        forms=('{"bbox_2d": [10, 20, 110, 220]}', "```json\n[[10, 20, 110, 220]]\n```"),
        hedges=(
            "[[10, 20, 110, 220], [0, 0, 5, 5]]",
            "[10, 20, 110]",
            "None",
            "",
            "[110, 220, NaN, 20]",
            "10, 20, 110, 220",
            '["10", "20", "110", "220"]',
        ),
    )


def small_box() -> Subject:
    return about(regions.box("box", "small", "iou"), "[3, 4, 4, 5]", "[3, 4, 5, 5]", "[9, 9, 10, 10]")


def _written(*boxes: dict[str, object]) -> str:
    return json.dumps(list(boxes))


def _shifted(by: int, *boxes: dict[str, object]) -> str:
    return _written(*({**box, "bbox_2d": [side + by for side in box["bbox_2d"]]} for box in boxes))  # type: ignore[attr-defined]


def _several(term: Term) -> Subject:
    one, two, three = PLANES
    far = {"bbox_2d": [900, 900, 950, 950], "label": "plane"}
    relabelled = [{**box, "label": "car"} for box in PLANES]
    unknown = [{"bbox_2d": [0, 0, 10, 10], "label": f"thing {number}"} for number in range(3)]
    return about(
        term,
        _written(one, two, three),
        _written(one, two, three, unknown[0]),
        _written(one, two, three, *unknown),
        _written(*PLANES, *PLANES, *PLANES),
        _written(*relabelled),
        _shifted(900, *PLANES),
        forms=(_written(three, two, one), f"```json\n{_written(one, two, three)}\n```"),
        padded=(_written(*PLANES, far), _written(*PLANES, unknown[0]), _written(*PLANES, *PLANES)),
        hedges=("", "planes", "[1, 2", '[{"bbox_2d": [0, 0, 10], "label": "plane"}]'),
    )


def box_set() -> Subject:
    return _several(regions.box_set("box-set", "boxes", "iou"))


def detection() -> Subject:
    return _several(regions.detection("detection", "boxes"))


def no_objects() -> Subject:
    return about(
        regions.detection("detection", "nothing"), "[]", _written(*PLANES), forms=("None", "none."), hedges=("",)
    )


def mask() -> Subject:
    half, nothing, off = np.zeros_like(GRID), np.zeros_like(GRID), np.zeros_like(GRID)
    half[1:4, 2:4] = True
    off[5, 7] = True
    small = shapes.runs_of(np.ones((2, 2), dtype=bool))
    texts = [json.dumps(shapes.runs_of(array)) for array in (GRID, half, ~nothing, nothing, off)]
    return about(
        regions.mask("mask", "mask"), *texts, hedges=("", json.dumps(small), '{"size": [6, 8], "counts": [-1]}')
    )


def place() -> Subject:
    term = places.place("where", COUNTRY, {"USA": "United States"})
    return about(
        term,
        "country: France\ncity: Chamonix",
        "country: France\ncity: Paris",
        "country: Peru\ncity: Chamonix",
        forms=('{"country": "France", "city": "Chamonix"}', "City: chamonix\nCountry: **France**"),
        hedges=("country: France\ncountry: Peru\ncity: Chamonix", "France", "", "country: \ncity: "),
    )


def entities() -> Subject:
    term = traces.entities("entities", "seen", "known")
    return Subject(
        term,
        TASK,
        "trace",
        "A glacier under a cable car.",
        ("Glacier, tram.", "a minaret", ""),
        hedges=("glaciers and cablecars", "cable"),
        padded=("glacier, cable car, palm tree, minaret, tram",),
    )


CORE = {
    "accuracy 0/1": core(terms.accuracy("zero-one")),
    "accuracy -1/1": core(terms.accuracy("plus-minus")),
    "accuracy -0.8/1": core(terms.accuracy("plus-0.8")),
    "format": core(terms.format_term()),
    "length": core(terms.length(1024)),
    "repetition": core(terms.repetition(6)),
    "overlong": core(terms.overlong(2048, 512)),
}
OTHERS = {
    "exact": exact(),
    "number": number(),
    "coordinates": coordinates(),
    "coordinates, linear": coordinates("linear"),
    "box": box(),
    "small box": small_box(),
    "box, giou": box("giou"),
    "box set": box_set(),
    "detection": detection(),
    "no objects": no_objects(),
    "mask": mask(),
    "place": place(),
    "entities": entities(),
    "gated": choice(terms.gated(terms.accuracy("plus-minus"), terms.format_term()), TASK, "text"),
}
ALL = {**CORE, **OTHERS}
