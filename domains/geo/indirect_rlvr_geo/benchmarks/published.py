"""Turns predictions that others published into prediction lines for `rlvr score`: GeoEstimation's tables for Im2GPS and
IM2GPS3k, and IMAGEO-Bench's JSON lines.

    python -m indirect_rlvr_geo.benchmarks.published RESULTS.csv OUT.jsonl
    python -m indirect_rlvr_geo.benchmarks.published dataset3_MODEL.jsonl OUT.jsonl
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.rewards.quantities import Coordinates
from indirect_rlvr.run import read_jsonl, write_jsonl
from indirect_rlvr_geo.benchmarks.alone import command
from indirect_rlvr_geo.benchmarks.truths import photo_key, truth_position

COLUMNS = ["img_id", "gt_lat", "predicted_lat", "gt_long", "predicted_long", "great_circle_distance"]


@dataclass(frozen=True, slots=True)
class Guess:
    """One prediction of GeoEstimation; `km` is the distance as it is printed, rounded to two digits."""

    id: str
    truth: Coordinates
    guess: Coordinates
    km: float


@dataclass(frozen=True, slots=True)
class Published:
    """A table of GeoEstimation: its guesses, and what the authors' summary says of them, as it is printed."""

    guesses: tuple[Guess, ...]
    accuracies: tuple[str, ...]
    mean_km: str


def read_published(path: Path) -> Published:
    """A table of GeoEstimation without the blank line, the header and the summary that end it.

    Read as data, those would add an example. Raises DataError where the file ends otherwise.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"`{path}` cannot be read as CSV: {error}; download it again") from error
    if len(rows) < 4 or rows[0] != COLUMNS or rows[-3] or len(rows[-2]) != 6 or len(rows[-1]) != 6:
        raise DataError(
            f"`{path}` is no result file of GeoEstimation: expected the header {','.join(COLUMNS)}, and at the end a "
            "blank line, a header and a summary; use the file as it was published"
        )
    try:
        guesses = tuple(_guess(row) for row in rows[1:-3])
    except ValueError as error:
        raise DataError(f"`{path}` has a row that is no prediction: {error}; download it again") from error
    return Published(guesses, tuple(rows[-1][:5]), rows[-1][5])


def read_imageo(path: Path) -> Iterator[tuple[str, str]]:
    """(image_id, raw response) of each line of a result file of IMAGEO-Bench, "" where the model gave none."""
    for number, row in enumerate(read_jsonl(path), 1):
        name = row.get("image_file") if isinstance(row, dict) else None
        if not isinstance(name, str):
            raise DataError(f"`{path}` line {number} names no `image_file`; use the file as it was published")
        yield photo_key(name), str(row.get("raw_response") or "")


def main(arguments: Sequence[str]) -> int:
    """Write prediction lines, and return their number; raises ConfigError for other arguments."""
    if len(arguments) != 2:
        raise ConfigError(f"{len(arguments)} arguments were given; expected a published file and the file to write")
    source, out = map(Path, arguments)
    if source.suffix == ".csv":
        guesses = read_published(source).guesses
        return write_jsonl(out, [{"id": each.id, "parsed": truth_position(each.guess)} for each in guesses])
    return write_jsonl(out, [{"id": name, "response": said} for name, said in read_imageo(source)])


def _guess(row: list[str]) -> Guess:
    name, *numbers = row
    latitude, guessed_latitude, longitude, guessed_longitude, km = map(float, numbers)
    return Guess(name, Coordinates(latitude, longitude), Coordinates(guessed_latitude, guessed_longitude), km)


if __name__ == "__main__":
    command(main, "lines written")
