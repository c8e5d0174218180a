"""RSTeller (Ge et al., arXiv 2408.14744) as a geolocation task: where in the US an aerial patch was taken.

Its records hold no coordinates; the name of the NAIP photo that a patch was cut from tells the quarter-quad. Captions
name roads and places, so none is ever read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from indirect_rlvr.errors import DataError
from indirect_rlvr.evaluation.metrics import STRICT, asked, share
from indirect_rlvr.rewards.parsing import last_answer
from indirect_rlvr.rewards.places import parse_place
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr.types import Benchmark, Example, Graded, Metric, Prompt, Response, Source
from indirect_rlvr_geo.benchmarks.distances import (
    distance_metrics,
    distance_values,
    read_coordinates,
    stated_position,
)
from indirect_rlvr_geo.benchmarks.files import photo
from indirect_rlvr_geo.benchmarks.naip import decode
from indirect_rlvr_geo.benchmarks.states import CODES, state_code, states_in
from indirect_rlvr_geo.benchmarks.truths import PHOTOS, truth_position

LEVELS_KM = (25, 200, 750, 2500)
"""Acc@1km would judge the decoder, which knows a patch's place to about 4.4 km."""
CENTROID = Coordinates(39.8283, -98.5795)
"""The geographic centre of the contiguous US (near Lebanon, Kansas; National Geodetic Survey)."""
UNKNOWN = "no quarter-quad in the image name"
PROMPT = (
    "This aerial photo shows about 270 m by 270 m somewhere in the contiguous United States, north up. Look for clues "
    "such as the pattern of fields and roads, irrigation, vegetation, soil, water, relief and buildings, and reason "
    "from them between <think> and </think>. Then answer between <answer> and </answer> in two lines:\n"
    "state: [name of the state]\n"
    "coordinates: [latitude, longitude in decimal degrees; west is negative]"
)


def benchmarks() -> list[Benchmark]:
    """All patches that lie in the folder."""
    source = Source(
        homepage="https://huggingface.co/datasets/SlytherinGe/RSTeller",
        licence="imagery public domain (USDA NAIP); captions from OpenStreetMap, ODbL",
        size="1,197,190 patches of 448 by 448 pixels in 240 tar files",
        layout="unpacked tar files below images/, a patch being <patch_id>.jpg and <patch_id>.json side by side",
        files=(PHOTOS,),
        revision="2024",
    )
    about = "state and coordinates of an aerial patch of the US, by the NAIP quarter-quad it was cut from"
    return [Benchmark("rsteller", about, source, examples, parse, judge, metrics, main="GeoScore")]


def examples(folder: Path) -> Iterator[Example]:
    """One for each JSON file below `images`, by path; the cluster is the quarter-quad. The truth is its centre and the
    states it touches. Raises DataError for a file that is no record."""
    for path in sorted((folder / PHOTOS).rglob("*.json")):
        name = path.relative_to(folder / PHOTOS).with_suffix("").as_posix()
        image = _image_name(path)
        quad = decode(image)
        view, missing = photo(folder, f"{PHOTOS}/{name}.jpg")
        flags = () if quad else (UNKNOWN,)
        truth: dict[str, Any] = {}
        if quad:
            states = states_in(quad.south, quad.north, quad.west, quad.east)
            truth |= truth_position(Coordinates(*quad.centre)) | ({"states": list(states)} if states else {})
        cluster = "_".join(image.split("_")[:3])
        yield Example(name, cluster, Prompt((view, PROMPT)), truth, missing=missing, flags=flags)


def parse(example: Example, response: Response) -> Mapping[str, Any] | None:
    """Those of "state" (a code) and "latitude" and "longitude" that the response states."""
    stated = last_answer(response.text)
    named = parse_place(response.text if stated is None else stated, ("state",)) or {}
    code = state_code(named.get("state", ""))
    place = read_coordinates(response.text)
    parsed: dict[str, Any] = {**truth_position(place)}
    return parsed | ({"state": code} if code else {}) or None


def judge(example: Example, parsed: Mapping[str, Any] | None) -> Mapping[str, float]:
    """`state`: whether it is one that the quarter-quad touches; and `distance_values`."""
    stated = parsed or {}
    values = distance_values(example, stated_position(stated))
    if _has_states(example):
        values["state"] = float(state_code(str(stated.get("state", ""))) in example.truth["states"])
    return values


def metrics(graded: Sequence[Graded]) -> Sequence[Metric]:
    """The share of right states beside the most frequent one, and distances beside the centre of the contiguous US."""
    states = [one.example.truth["states"] for one in asked(graded) if _has_states(one.example)]
    beside = {"majority": max(sum(code in there for there in states) for code in CODES) / len(states)} if states else {}
    beside |= {"chance": sum(map(len, states)) / len(states) / len(CODES)} if states else {}
    return [
        share(graded, "state", STRICT, applies=_has_states, baselines=beside),
        *distance_metrics(graded, levels_km=LEVELS_KM, constants={"centre of the contiguous US": CENTROID}),
    ]


def _has_states(example: Example) -> bool:
    return "states" in example.truth


def _image_name(path: Path) -> str:
    """The name of the NAIP photo in a record; nothing else of it is used."""
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["metadata"]["image_name"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        raise DataError(
            f"`{path}` is no record of RSTeller: {type(error).__name__}: {error}; expected metadata with an "
            "image_name; unpack its tar file again"
        ) from error
    return str(name)
