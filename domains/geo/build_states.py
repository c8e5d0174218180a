"""Makes `indirect_rlvr_geo/data/states.png`, the states of the contiguous US as a raster. Run by hand, in a folder with

    npm pack us-atlas@3.0.1 && tar xzf us-atlas-3.0.1.tgz

as `python build_states.py package/states-10m.json`. What it is made from is listed in `data/LICENCES.md`.
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from indirect_rlvr_geo.benchmarks.states import CELLS_PER_DEGREE, CODES, NAMES, NORTH, RASTER, WEST

SIZE = (int(58.5 * CELLS_PER_DEGREE), int(25.5 * CELLS_PER_DEGREE))


def raster(path: Path) -> Image.Image:
    """One pixel for each cell: the number of the state at its centre in `CODES`, from 1; 0 outside."""
    atlas = json.loads(path.read_text(encoding="utf-8"))
    scale, shift = (np.array(atlas["transform"][key]) for key in ("scale", "translate"))
    arcs = [np.cumsum(arc, axis=0) * scale + shift for arc in atlas["arcs"]]
    picture = Image.new("L", SIZE)
    for shape in atlas["objects"]["states"]["geometries"]:
        code = NAMES.get(shape["properties"]["name"].casefold())
        if code not in CODES:
            continue
        parts = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
        for outer, *_ in parts:
            ring = np.concatenate([arcs[i] if i >= 0 else arcs[~i][::-1] for i in outer])
            cells = np.column_stack([ring[:, 0] - WEST, NORTH - ring[:, 1]]) * CELLS_PER_DEGREE - 0.5
            ImageDraw.Draw(picture).polygon([tuple(cell) for cell in cells], fill=CODES.index(code) + 1)
    return picture


if __name__ == "__main__":
    raster(Path(sys.argv[1])).save(RASTER, optimize=True)
