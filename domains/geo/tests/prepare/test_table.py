"""Plain tables, GeoParquet, STAC item collections and TorchGeo datasets as records; real photos and GeoTIFFs too."""

import csv
import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.prepare import torchgeo

Made = Callable[..., dict[str, Any]]
Call = Callable[..., Path]

SHARED = Path(__file__).parents[5] / "shared" / "data"
STREETS, NAIP = SHARED / "global_streetscapes_sample", SHARED / "naip_sample"


def rows(out: Path) -> list[dict[str, Any]]:
    return pa.concat_tables([pq.read_table(path) for path in sorted((out / "records").glob("*.parquet"))]).to_pylist()


def places(root: Path, picture: Call, count: int = 12) -> list[dict[str, Any]]:
    """Rows with images, in two cities."""
    found = []
    for number in range(count):
        city, latitude, longitude = (("Singapore", 1.31, 103.81), ("Stuttgart", 48.77, 9.17))[number % 2]
        row = {"id": f"p{number:02d}", "lat": latitude + number * 2e-3, "lon": longitude, "city": city}
        row |= {"time": f"2024-07-{number + 1:02d}", "ground": f"g/{number}.jpg", "overhead": f"o/{number}.png"}
        picture(root / str(row["ground"]), "g", number, size=(112, 56))
        picture(root / str(row["overhead"]), "o", number)
        found.append(row)
    return found


def as_csv(path: Path, table: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def wkb(row: Mapping[str, Any]) -> bytes:
    return b"\x01\x01\x00\x00\x00" + struct.pack("<dd", row["lon"], row["lat"])


def as_geoparquet(path: Path, table: list[dict[str, Any]]) -> None:
    bare = [{k: v for k, v in row.items() if k not in ("lat", "lon")} | {"geometry": wkb(row)} for row in table]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": {"encoding": "WKB"}}}
    pq.write_table(pa.Table.from_pylist(bare).replace_schema_metadata({"geo": json.dumps(geo)}), path)


def as_stac(path: Path, table: list[dict[str, Any]]) -> None:
    items = [
        {
            "type": "Feature", "stac_version": "1.0.0", "id": row["id"],
            "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
            "properties": {"datetime": row["time"], "city": row["city"]},
            "assets": {"photo": {"href": row["ground"], "roles": ["ground"]}, "overhead": {"href": row["overhead"]}},
        }
        for row in table
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))


WRITERS = {
    "t.csv": as_csv,
    "t.parquet": lambda path, table: pq.write_table(pa.Table.from_pylist(table), path),
    "t.geoparquet": as_geoparquet,
    "t.json": as_stac,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_table_gives_the_same_records(tmp_path: Path, made: Made, picture: Call, name: str) -> None:
    table = places(tmp_path, picture)
    WRITERS[name](tmp_path / name, table)
    as_csv(tmp_path / "plain.csv", table)
    kept = made("table", tmp_path, tmp_path / "out", table=name, test_cities="Singapore")
    made("table", tmp_path, tmp_path / "want", table="plain.csv", test_cities="Singapore")
    assert rows(tmp_path / "out") == rows(tmp_path / "want")
    assert kept["cities"] == {"Singapore": {"test": 6}, "Stuttgart": {"train": 6}}
    assert rows(tmp_path / "out")[0]["captured"] == "2024-07-01"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lat": ""}, "row 3 has latitude '' .*: fill in `lat`, or say .* --set columns=lat:COLUMN"),
        ({"lat": 103.8, "lon": 1.3}, "row 3 has latitude '103.8' .*: the two look swapped"),
        ({"lat": "north"}, "row 3 has latitude 'north' .*: correct the row"),
        ({"lat": "", "lon": ""}, "pair `p02` has no position, those before have one"),
        ({"ground": "../../etc/passwd"}, "row 3 has '../../etc/passwd' as `ground`"),
        ({"ground": "/etc/passwd"}, "row 3 has '/etc/passwd' as `ground`"),
        ({"overhead": ""}, "row 3 has '' as `overhead`"),
        ({"time": "last summer"}, "row 3 has the time 'last summer'; expected ISO 8601"),
        ({"split": "dev"}, "row 3 has the split 'dev'"),
    ],
)
def test_a_cell_that_makes_no_sense_is_named_before_anything_is_read(
    tmp_path: Path, made: Made, picture: Call, change: dict[str, Any], message: str
) -> None:
    table = [{**row, "split": "train"} for row in places(tmp_path, picture, 4)]
    table[2] |= change
    as_csv(tmp_path / "t.csv", table)
    with pytest.raises(DataError, match=message):
        made("table", tmp_path, tmp_path / "out", table="t.csv")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "lists no pair"),
        ("id,ground,overhead\na,b\n", "row 1 has another number of cells"),
        ("id,photo,overhead\na,b,c\n", "no column `ground`, only id, photo, overhead; .* columns=ground:COLUMN"),
        ("\x00\xff", "cannot read|no column"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, made: Made, data: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(data, encoding="latin-1")
    with pytest.raises(DataError, match=message):
        made("table", tmp_path, tmp_path / "out", table="t.csv")


def test_columns_may_have_other_names(tmp_path: Path, made: Made, picture: Call) -> None:
    names = {"lat": "latitude", "ground": "photo"}
    as_csv(tmp_path / "t.csv", [{names.get(k, k): v for k, v in row.items()} for row in places(tmp_path, picture)])
    made(
        "table", tmp_path, tmp_path / "out", table="t.csv", test_cities="Singapore",
        columns="lat:latitude,ground:photo",
    )  # fmt: skip
    assert rows(tmp_path / "out")[0]["latitude"] == pytest.approx(1.31)


def test_without_cities_whole_blocks_are_held_out(tmp_path: Path, made: Made, picture: Call) -> None:
    table = places(tmp_path, picture, 30)
    for number, row in enumerate(table):
        row |= {"lat": 40 + number % 10 * 0.2, "lon": 10.0 + number * 1e-3, "city": ""}
    as_csv(tmp_path / "t.csv", table)
    kept = made("table", tmp_path, tmp_path / "out", table="t.csv", test_share=0.4)
    sides: dict[str, set[str]] = {}
    for row in rows(tmp_path / "out"):
        sides.setdefault(row["cluster"], set()).add(row["split"])
    assert len(sides) == 10
    assert all(len(own) == 1 for own in sides.values())
    assert min(kept["records"].values()) > 0


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"assets": {}}, "has 0 assets with the key or role 'ground'"),
        ({"assets": {"ground": {"href": "https://there.example/g.jpg"}, "overhead": {"href": "o"}}}, "download it"),
        ({"geometry": None}, "neither a point as `geometry` nor a `bbox`"),
    ],
)
def test_a_stac_item_that_cannot_be_a_pair_is_named(
    tmp_path: Path, made: Made, item: dict[str, Any], message: str
) -> None:
    whole = {
        "id": "it-7",
        "geometry": {"type": "Point", "coordinates": [1.0, 2.0]},
        "properties": {},
        "assets": {"ground": {"href": "g.jpg"}, "overhead": {"href": "o.jpg"}},
    }
    (tmp_path / "t.json").write_text(json.dumps({"features": [whole | item]}))
    with pytest.raises(DataError, match=f"item 'it-7' .*{message}|item 'it-7' {message}"):
        made("table", tmp_path, tmp_path / "out", table="t.json")


def test_the_middle_of_a_box_across_the_antimeridian_lies_on_it(tmp_path: Path) -> None:
    from indirect_rlvr_geo.prepare import stac

    assets = {"ground": {"href": "g"}, "overhead": {"href": "o"}}
    (tmp_path / "t.json").write_text(json.dumps({"features": [{"bbox": [179.0, -2.0, -177.0, 0.0], "assets": assets}]}))
    row = next(stac.rows(tmp_path / "t.json"))
    assert (row["lon"], row["lat"]) == (-179.0, -1.0)


class Crs:
    def __init__(self, code: int) -> None:
        self.code = code

    def to_epsg(self) -> int:
        return self.code


class Rasters:
    """A dataset as TorchGeo documents one: bounds of slices, indexed by slices of x and y, `image` in bands first."""

    def __init__(self, code: int = 4326) -> None:
        self.crs = Crs(code)
        self.asked: list[tuple[slice, slice]] = []
        self.bounds = (slice(103.7, 103.9, 1e-5), slice(1.2, 1.4, 1e-5), slice(None, None))

    def __getitem__(self, index: tuple[slice, slice]) -> dict[str, Any]:
        self.asked.append(index)
        x, y = index
        colour = np.array([(x.start - 103.7) / 0.2, (y.start - 1.2) / 0.2, 0.5, 0.9])
        shade = np.linspace(0, 0.1, 64 * 64).reshape(64, 64)
        return {"image": (colour[:, None, None] * 0.9 + shade) * 1000.0, "crs": self.crs}


def test_chips_of_a_torchgeo_dataset_lie_around_the_photos_inside_it(tmp_path: Path, made: Made, picture: Call) -> None:
    table = [{k: v for k, v in row.items() if k != "overhead"} for row in places(tmp_path, picture)]
    as_csv(tmp_path / "photos.csv", table)
    assert torchgeo.cut(Rasters(), tmp_path / "photos.csv", tmp_path, highest=1000.0) == (6, 6)
    with (tmp_path / "pairs.csv").open() as stream:
        pairs = list(csv.DictReader(stream))
    assert {row["city"] for row in pairs} == {"Singapore"}
    with Image.open(tmp_path / pairs[0]["overhead"]) as chip:
        red = np.asarray(chip, dtype=float)[..., 0].mean() / 255
    want = ((float(pairs[0]["lon"]) - 60 / 111_195 - 103.7) / 0.2) * 0.9 + 0.05
    assert red == pytest.approx(want, abs=0.01)
    for number, row in enumerate(pairs):
        row["split"] = ("train", "test")[number % 2]
        row["cluster"] = row["id"]
    as_csv(tmp_path / "pairs.csv", pairs)
    assert made("table", tmp_path, tmp_path / "out", table="pairs.csv")["records"] == {"train": 3, "test": 3}


def test_a_chip_is_as_wide_as_it_is_high_in_metres_far_north_too(tmp_path: Path, picture: Call) -> None:
    dataset = Rasters()
    dataset.bounds = (slice(-180.0, 180.0), slice(-90.0, 90.0), slice(None, None))
    row = {k: v for k, v in places(tmp_path, picture, 1)[0].items() if k != "overhead"}
    as_csv(tmp_path / "photos.csv", [row | {"lat": 60.0, "lon": 10.0}])
    torchgeo.cut(dataset, tmp_path / "photos.csv", tmp_path, side_m=200.0)
    ((x, y),) = dataset.asked
    assert (y.stop - y.start) * 111_195 == pytest.approx(200.0, rel=1e-3)
    assert (x.stop - x.start) * 111_195 / 2 == pytest.approx(200.0, rel=1e-3)


def test_a_torchgeo_dataset_in_metres_or_elsewhere_is_refused(tmp_path: Path, picture: Call) -> None:
    table = places(tmp_path, picture, 2)
    as_csv(tmp_path / "photos.csv", [table[1]])
    with pytest.raises(DataError, match="in EPSG:32648; expected EPSG:4326"):
        torchgeo.cut(Rasters(32648), tmp_path / "photos.csv", tmp_path)
    with pytest.raises(DataError, match="none of the 1 photos"):
        torchgeo.cut(Rasters(), tmp_path / "photos.csv", tmp_path)


@pytest.mark.skipif(not STREETS.is_dir() or not NAIP.is_dir(), reason="../shared/data is not there")
def test_real_photos_and_geotiffs_become_records(tmp_path: Path, made: Made) -> None:
    from indirect_rlvr.data import records as store
    from indirect_rlvr_geo import prepared
    from indirect_rlvr_geo.settings import Settings

    with (STREETS / "meta" / "02_metadata_common_attributes.csv").open() as stream:
        known = {row["uuid"]: row for row in csv.DictReader(stream)}
    with (STREETS / "meta" / "01_simplemaps.csv").open() as stream:
        city = {row["uuid"]: row["city"] for row in csv.DictReader(stream)}
    tiles = sorted(NAIP.glob("*.tif"))
    photos = [path for path in sorted((STREETS / "images").iterdir()) if path.stem in known]
    table = [
        {
            "id": photo.stem, "lat": known[photo.stem]["lat"], "lon": known[photo.stem]["lon"],
            "time": known[photo.stem]["datetime_local"], "heading_deg": known[photo.stem]["heading"],
            "city": city[photo.stem], "ground": photo.relative_to(SHARED).as_posix(),
            "overhead": tiles[number % 3].relative_to(SHARED).as_posix(),
        }
        for number, photo in enumerate(photos)
    ]  # fmt: skip
    as_csv(tmp_path / "t.csv", table)
    (tmp_path / STREETS.name).symlink_to(STREETS)
    (tmp_path / NAIP.name).symlink_to(NAIP)
    out = tmp_path / "out"
    kept = made("table", tmp_path, out, table="t.csv", test_cities="Singapore", max_pixels=262_144)
    assert kept["records"] == {
        "train": sum(row["city"] == "Stuttgart" for row in table),
        "test": sum(row["city"] == "Singapore" for row in table),
    }
    assert kept["dropped"] == {}
    (tmp_path / "run").mkdir()
    records, duplicates = store.load(prepared.load(Settings(prepared=str(out)), tmp_path / "run"), tmp_path / "run")
    assert (len(records), duplicates) == (len(photos), {"duplicate content": 0})
    for record in records:
        assert "captured_utc" in record.facts
        for view in record.views.values():
            image = store.open_image(tmp_path / "run", view.content)
            assert image.width * image.height <= 262_144
    shapes = {image["overhead_width"] / image["overhead_height"] for image in rows(out)}
    assert [shape == pytest.approx(934 / 724, rel=0.01) for shape in shapes]
