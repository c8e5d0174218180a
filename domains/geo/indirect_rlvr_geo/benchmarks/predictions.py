"""Turns what other programs write into prediction lines for `rlvr score`: similarity matrices, and masks as images.

    python -m indirect_rlvr_geo.benchmarks.predictions vigor-same-area DATA_ROOT OUT.jsonl SCORES.npy
    python -m indirect_rlvr_geo.benchmarks.predictions earthreason-test DATA_ROOT OUT.jsonl FOLDER_OF_MASKS

A line is {"id": …, "parsed": {"ranks": {item: position}}} or {"id": …, "parsed": {"mask": {"size", "counts"}}}.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.run import write_jsonl
from indirect_rlvr.types import Example
from indirect_rlvr_geo.benchmarks import earthreason, geobench_boxes, retrieval, rrsis
from indirect_rlvr_geo.benchmarks.alone import command
from indirect_rlvr_geo.benchmarks.masks import runs_of_file

SUFFIX = ".png"
Line = dict[str, Any]


def of_scores(examples: Sequence[Example], galleries: Sequence[Sequence[str]], files: Sequence[Path]) -> Iterator[Line]:
    """The positions of the items that matter to each query, from one matrix (queries, gallery) for each gallery.

    Larger is more similar. Rows and columns are in the order of the split files. An item as similar as one that matters
    counts as before it, so that a matrix of equal numbers finds nothing. Files are NumPy arrays without pickles.
    Raises DataError for another shape, a NaN, or a file that is none.
    """
    by_task = [list(queries) for _, queries in groupby(examples, key=lambda example: example.task)]
    if not len(files) == len(galleries) == len(by_task):
        raise DataError(f"{len(files)} matrices were given; expected {len(galleries)}, one for each gallery of the set")
    for queries, gallery, file in zip(by_task, galleries, files, strict=True):
        scores_QG = _matrix(file, (len(queries), len(gallery)))
        column = {item: number for number, item in enumerate(gallery)}
        for row, example in zip(scores_QG, queries, strict=True):
            items = [*example.truth["positives"], *example.truth["semi"]]
            yield {"id": example.id, "parsed": {"ranks": _places(np.asarray(row), items, column, file)}}


def of_images(examples: Sequence[Example], folder: Path) -> Iterator[Line]:
    """The masks in `folder`, one `<id>.png` for each example, in which every pixel that is not black is meant.

    An example without a file gets no line, and so counts as unanswered.
    """
    for example in examples:
        if (folder / f"{example.id}{SUFFIX}").is_file():
            yield {"id": example.id, "parsed": {"mask": runs_of_file(folder, f"{example.id}{SUFFIX}")}}


def main(arguments: Sequence[str]) -> int:
    """Write the lines of one benchmark; returns how many. Raises ConfigError for arguments that name none."""
    if len(arguments) < 4:
        raise ConfigError(f"expected benchmark, DATA_ROOT, OUT.jsonl and matrices or a folder, got {list(arguments)}")
    name, root, out, *given = arguments
    with_masks = {each.name: each for module in (earthreason, rrsis, geobench_boxes) for each in module.benchmarks()}
    folder = Path(root) / name
    if name in retrieval.POOLS:
        pools = list(retrieval.POOLS[name](folder))
        examples = list(retrieval.examples(folder, retrieval.POOLS[name]))
        lines = of_scores(examples, [pool.gallery for pool in pools], [Path(each) for each in given])
    elif name in with_masks:
        lines = of_images(list(with_masks[name].examples(folder)), Path(given[0]))
    else:
        raise ConfigError(f"`{name}` has no rankings and no masks; expected one of {[*retrieval.POOLS, *with_masks]}")
    return write_jsonl(Path(out), lines)


def _matrix(file: Path, shape: tuple[int, int]) -> NDArray[np.floating[Any]]:
    try:
        scores = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read `{file}`: {error}; expected a NumPy array without pickled objects") from error
    if scores.shape != shape or not np.issubdtype(scores.dtype, np.floating):
        raise DataError(f"`{file}` holds {scores.dtype} of shape {scores.shape}; expected floats of shape {shape}")
    found: NDArray[np.floating[Any]] = scores
    return found


def _places(row: NDArray[np.floating[Any]], items: Sequence[str], column: dict[str, int], file: Path) -> dict[str, int]:
    """The position of each item: behind all that are more similar, and behind those just as similar."""
    if np.isnan(row).any():
        raise DataError(f"`{file}` holds NaN; a score must be a number")
    mine = np.sort(row[[column[item] for item in items]])[::-1]
    places: dict[str, int] = {}
    for item in sorted(items, key=lambda each: -row[column[each]]):
        equal_others = int((row == row[column[item]]).sum() - (mine == row[column[item]]).sum())
        before = int((row > row[column[item]]).sum())
        same = sum(row[column[other]] == row[column[item]] for other in places)
        places[item] = before + equal_others + int(same) + 1
    return places


if __name__ == "__main__":
    command(main, "lines written")
