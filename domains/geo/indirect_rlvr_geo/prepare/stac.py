"""STAC item collections as rows of a table: position and time of each item, and its two images among the assets."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from indirect_rlvr.errors import DataError
from indirect_rlvr_geo.benchmarks.files import json_file

VIEWS = ("ground", "overhead")


def rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """One row for each item of a collection (a GeoJSON FeatureCollection whose features are STAC items).

    The images are the assets whose key or one of whose roles is "ground" and "overhead". The whole file is read at
    once. Raises DataError that names the item.
    """
    collection = json_file(path)
    items = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(items, list):
        raise DataError(f"`{path}` has no list `features`; expected a STAC item collection")
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise DataError(f"`{path}` item {number} is {type(item).__name__}; expected a STAC item")
        yield _row(f"`{path}` item {item.get('id', number)!r}", item)


def _row(where: str, item: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = item.get("properties")
    known: Mapping[str, Any] = properties if isinstance(properties, dict) else {}
    longitude, latitude = _centre(where, item)
    images = {view: _image(where, item, view) for view in VIEWS}
    return {**known, **images, "id": item.get("id"), "lat": latitude, "lon": longitude, "time": known.get("datetime")}


def _centre(where: str, item: Mapping[str, Any]) -> tuple[float, float]:
    """Longitude and latitude of a point, or of the middle of the bounding box."""
    geometry = item.get("geometry")
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        numbers = _numbers(geometry.get("coordinates"))
        if len(numbers) >= 2:
            return numbers[0], numbers[1]
    box = _numbers(item.get("bbox"))
    if len(box) not in (4, 6):
        raise DataError(f"{where} has neither a point as `geometry` nor a `bbox`; give one of them")
    west, south, east, north = box[0], box[1], box[len(box) // 2], box[len(box) // 2 + 1]
    middle = (west + east + (360.0 if west > east else 0.0)) / 2  # a box whose west is greater crosses the antimeridian
    return middle - (360.0 if middle > 180 else 0.0), (south + north) / 2


def _numbers(value: Any) -> list[float]:
    whole = isinstance(value, list) and all(isinstance(each, (int, float)) for each in value)
    return [float(each) for each in value] if whole else []


def _image(where: str, item: Mapping[str, Any], view: str) -> str:
    assets = item.get("assets")
    found = [
        asset.get("href")
        for key, asset in (assets.items() if isinstance(assets, dict) else ())
        if isinstance(asset, dict) and (key == view or view in (asset.get("roles") or ()))
    ]
    if len(found) != 1 or not isinstance(found[0], str):
        raise DataError(f"{where} has {len(found)} assets with the key or role {view!r}; expected one with an `href`")
    link = urlsplit(found[0])
    if link.scheme not in ("", "file") or link.netloc:
        raise DataError(f"{where} has its {view} image at {found[0]!r}; download it and name the file")
    return PurePosixPath(unquote(link.path)).as_posix()
