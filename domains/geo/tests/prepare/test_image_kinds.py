"""Kinds of images that real collections hold: one behaviour each, the same in preparation, records and training."""

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from indirect_rlvr.data import records as store
from indirect_rlvr.errors import DataError
from indirect_rlvr.training.images import KnownImage
from indirect_rlvr.types import Record, View
from indirect_rlvr_geo.prepare import images
from indirect_rlvr_geo.prepare.images import look, shrink

Array = NDArray[Any]
RNG = np.random.default_rng(0)
EIGHT: Array = RNG.integers(0, 256, (40, 60, 5), dtype=np.uint8)
SIXTEEN: Array = RNG.integers(0, 65536, (40, 60, 5), dtype=np.uint16)


def tiff(path: Path, pixels: Array, *, extra: Sequence[int] = (), by_band: bool = False, colour: int = 2) -> Path:
    """An uncompressed little-endian TIFF as a satellite's tools write it; `extra` says what the further bands are."""
    height, width, bands = pixels.shape
    pixels, strips = (pixels.transpose(2, 0, 1), bands) if by_band else (pixels, 1)
    each = pixels.nbytes // strips
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [pixels.itemsize * 8] * bands), 259: ("H", [1]),
        262: ("H", [colour]), 273: ("I", [0] * strips), 277: ("H", [bands]), 278: ("I", [height]),
        279: ("I", [each] * strips), 284: ("H", [2 if by_band else 1]),
    }  # fmt: skip
    tags |= {338: ("H", list(extra))} if extra else {}
    tags |= {339: ("H", [3] * bands)} if pixels.dtype.kind == "f" else {}
    outside = sum(struct.calcsize(f"{len(v)}{t}") for t, v in tags.values() if struct.calcsize(f"{len(v)}{t}") > 4)
    start = 8 + 2 + 12 * len(tags) + 4
    tags[273] = ("I", [start + outside + number * each for number in range(strips)])
    entries, beyond = b"", b""
    for tag, (kind, values) in tags.items():
        packed = struct.pack(f"<{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, beyond = struct.pack("<I", start + len(beyond)), beyond + packed
        entries += struct.pack("<HHI", tag, {"H": 3, "I": 4}[kind], len(values)) + packed.ljust(4, b"\0")
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    path.write_bytes(head + entries + bytes(4) + beyond + np.ascontiguousarray(pixels).tobytes())
    return path


def deep_png(path: Path, pixels: Array) -> Path:
    """A PNG of 16 bits a channel, which Pillow reads and does not write."""
    height, width, channels = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def of_record(path: Path) -> Record:
    return Record("r", "c", {"overhead": View("overhead", "image", path.name)}, {})


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: tiff(folder / "it.tif", SIXTEEN[..., :3]),
        lambda folder: tiff(folder / "it.tif", SIXTEEN[..., :4], extra=[0]),
        lambda folder: tiff(folder / "it.tif", SIXTEEN[..., :1], colour=1),
        lambda folder: tiff(folder / "it.tif", EIGHT[..., :1].astype(np.float32), colour=1),
        lambda folder: deep_png(folder / "it.png", SIXTEEN[..., :1]),
        lambda folder: deep_png(folder / "it.png", SIXTEEN[..., :3]),
        lambda folder: deep_png(folder / "it.png", SIXTEEN[..., :4]),
    ],
    ids=["colour TIFF", "infrared TIFF", "grey TIFF", "float TIFF", "grey PNG", "colour PNG", "PNG with alpha"],
)
def test_more_than_eight_bits_a_channel_are_refused_by_preparation_and_by_the_records_stage(
    tmp_path: Path, write: Callable[[Path], Path]
) -> None:
    path = write(tmp_path)
    assert look(path).reason == images.DEEP
    with pytest.raises(DataError, match=r"record `r`: view `overhead`: image 'it\..*' has more than 8 bits a channel"):
        store.load([of_record(path)], tmp_path)


@pytest.mark.parametrize(
    ("pixels", "how"),
    [
        (EIGHT[..., :4], {"extra": [0], "by_band": True}),
        (EIGHT[..., :4], {"extra": [0, 0, 0], "colour": 1}),
    ],
    ids=["band by band", "four greys"],
)
def test_bands_that_cannot_be_read_are_told_apart_from_a_torn_file(
    tmp_path: Path, pixels: Array, how: dict[str, Any]
) -> None:
    path = tiff(tmp_path / "it.tif", pixels, **how)
    assert look(path).reason == images.BANDS
    path.write_bytes(path.read_bytes()[:-10])
    assert look(path).reason == images.NO_IMAGE


@pytest.mark.parametrize(
    ("bands", "how"),
    [(3, {}), (3, {"by_band": True}), (4, {}), (4, {"extra": [0]}), (4, {"extra": [2]}), (5, {"extra": [0, 0]})],
    ids=["colour", "colour band by band", "fourth unsaid", "fourth unspecified", "fourth as alpha", "five bands"],
)
def test_of_a_tiff_with_infrared_the_colours_are_shown_and_nothing_else(
    tmp_path: Path, bands: int, how: dict[str, Any]
) -> None:
    path = tiff(tmp_path / "it.tif", EIGHT[..., :bands], **how)
    assert look(path).reason == ""
    assert np.array_equal(np.asarray(store.open_image(tmp_path, path.name)), EIGHT[..., :3])
    assert np.array_equal(np.asarray(KnownImage(str(path))), EIGHT[..., :3])


@pytest.mark.parametrize(("orientation", "sides"), [(1, (60, 40)), (3, (60, 40)), (6, (40, 60)), (8, (40, 60))])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
def test_a_turned_photo_is_upright_in_its_copy_in_records_and_in_training(
    tmp_path: Path, picture: Callable[..., Path], orientation: int, sides: tuple[int, int], suffix: str
) -> None:
    path = picture(tmp_path / f"it.{suffix}", size=(60, 40))
    with Image.open(path) as opened:
        flat, exif = opened.convert("RGB"), Image.Exif()
    exif[0x0112] = orientation
    flat.save(path, exif=exif)
    with Image.open(path) as opened:
        upright = ImageOps.exif_transpose(opened).convert("RGB")
    seen = look(path)
    assert (seen.reason, seen.width, seen.height) == ("", *sides)
    assert upright.size == sides
    assert np.array_equal(np.asarray(store.open_image(tmp_path, path.name)), np.asarray(upright))
    assert np.array_equal(np.asarray(KnownImage(str(path))), np.asarray(upright))
    copy = tmp_path / images.suffix(path.name).replace(".", "copy.")
    reason, width, height = shrink(path, copy, 600)
    small = Image.open(copy)
    assert (reason, (width, height), small.getexif().get(0x0112)) == ("", small.size, None)
    want = np.asarray(upright.resize(small.size, Image.Resampling.LANCZOS), dtype=float)
    assert np.abs(np.asarray(small, dtype=float) - want).mean() < 12


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")  # `check_parts` does, for all its threads
@pytest.mark.parametrize("kind", ["palette", "palette with a transparent colour", "CMYK", "grey", "grey with alpha"])
def test_other_colour_models_pass_and_are_shown_as_red_green_and_blue(
    tmp_path: Path, picture: Callable[..., Path], kind: str
) -> None:
    with Image.open(picture(tmp_path / "plain.png", size=(60, 40))) as plain:
        plain.load()
    match kind:
        case "palette":
            plain.quantize(64).save(path := tmp_path / "it.png")
        case "palette with a transparent colour":
            plain.quantize(64).save(path := tmp_path / "it.png", transparency=bytes(range(64)))
        case "CMYK":
            plain.convert("CMYK").save(path := tmp_path / "it.jpg", quality=95)
        case "grey":
            plain.convert("L").save(path := tmp_path / "it.png")
        case _:
            plain.convert("LA").save(path := tmp_path / "it.png")
    assert look(path).reason == ""
    shown = store.open_image(tmp_path, path.name)
    assert shown.mode == "RGB"
    near = plain.convert("L").convert("RGB") if kind.startswith("grey") else plain
    assert np.abs(np.asarray(shown, dtype=float) - np.asarray(near, dtype=float)).mean() < 20
    assert np.array_equal(np.asarray(KnownImage(str(path))), np.asarray(shown))
    assert shrink(path, tmp_path / f"copy{path.suffix}", 600)[0] == ""


def test_a_collection_of_deep_tiles_is_refused_with_what_to_do(
    tmp_path: Path, picture: Callable[..., Path], made: Callable[..., dict[str, Any]]
) -> None:
    rows = ["ground,overhead,split"]
    for number in range(4):
        picture(tmp_path / f"{number}.jpg")
        tiff(tmp_path / f"{number}.tif", SIXTEEN[..., :4], extra=[0])
        rows.append(f"{number}.jpg,{number}.tif,{('train', 'test')[number % 2]}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match="4 of the first 4 pairs .* bits a channel, to be scaled to 8") as refused:
        made("table", tmp_path, tmp_path / "out", table="pairs.csv")
    assert "`0.jpg`" in str(refused.value)
    assert json.loads((tmp_path / "out" / "dropped.jsonl").read_text().splitlines()[0])["overhead"] == "0.tif"
