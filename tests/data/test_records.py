"""Records are refused with one message that names record, field and value; copies are dropped and counted."""

import math
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indirect_rlvr.data import records as module
from indirect_rlvr.data.records import image_path, load, open_image, read, save
from indirect_rlvr.errors import DataError
from indirect_rlvr.types import Record, View

STEADY = settings(deadline=None, derandomize=True, max_examples=50)


def note(name: str = "a", text: str | None = None, **changes: object) -> Record:
    fields = {
        "id": name,
        "cluster": "c",
        "views": {"note": View("note", "text", name if text is None else text)},
        "facts": {"age": 3},
    }
    return Record(**{**fields, **changes})  # type: ignore[arg-type]


def picture(content: str, name: str = "a") -> Record:
    return note(name, views={"photo": View("photo", "image", content)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "records").mkdir()
    Image.new("RGB", (4, 3), (10, 20, 30)).save(tmp_path / "records" / "ok.png")
    Image.new("RGB", (4, 3)).save(tmp_path / "outside.png")
    return tmp_path / "records"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (note(""), "record `` (number 0): `id` is ''; expected non-empty printable text"),
        (note(id=7), "record `7` (number 0): `id` is 7; expected non-empty printable text"),
        (note("a\nb", "t"), "record `a\nb` (number 0): `id` is 'a\\nb'; expected non-empty printable text"),
        (note(cluster=" "), "record `a` (number 0): `cluster` is ' '; expected non-empty printable text"),
        (note(split="dev"), "record `a`: `split` is 'dev'; expected 'train', 'test' or ''"),
        (note(views={}), "record `a` has no view; give it at least one, or do not give the record"),
        (
            note(facts={"h": math.nan}),
            "record `a`: fact `h` is nan; expected a finite number; leave the fact out where it is not known",
        ),
        (
            note(facts={"h": -math.inf}),
            "record `a`: fact `h` is -inf; expected a finite number; leave the fact out where it is not known",
        ),
        (
            note(facts={"h": None}),
            "record `a`: fact `h` is None of type NoneType; expected text, a number or a boolean of Python",
        ),
        (
            note(facts={"h": "\ud800"}),
            "record `a`: fact `h` is '\\ud800'; expected text that UTF-8 can hold; decode the source with its right "
            "encoding",
        ),
        (
            note(text=""),
            "record `a`: view `note` has the content ''; expected non-empty text that UTF-8 can hold",
        ),
        (
            note(text="\udcff"),
            "record `a`: view `note` has the content '\\udcff'; expected non-empty text that UTF-8 can hold",
        ),
        (
            note(views={"note": "text"}),
            "record `a`: view `note` is 'text'; expected a View whose modality is 'image' or 'text'",
        ),
    ],
)
def test_an_unusable_record_is_refused_by_name(record: Record, message: str, folder: Path) -> None:
    with pytest.raises(DataError) as raised:
        load([record], folder)
    assert str(raised.value) == message


def test_what_is_no_record_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"^`load_records` gave a dict as number 1; expected a Record$"):
        load([note(), {"id": "b"}], folder)  # type: ignore[list-item]


def test_an_id_that_comes_twice_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"^record `a` comes twice \(again as number 1\); give each an id of its own$"):
        load([note("a"), note("a", "other text")], folder)


def test_no_records_at_all_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"^`load_records` gave no record; check the paths and filters in \[records\]$"):
        load([], folder)


@pytest.mark.parametrize("content", ["../outside.png", "sub/../../outside.png", "/etc/hostname", "."])
def test_an_image_path_out_of_the_folder_is_refused(content: str, folder: Path) -> None:
    with pytest.raises(DataError, match=r"^record `a`: view `photo`: image path .* is not a relative path inside"):
        load([picture(content)], folder)


def test_a_link_that_leads_out_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "up").symlink_to(folder.parent)
    for content in ("link.png", "up/outside.png"):
        with pytest.raises(DataError, match=r"leads outside the records folder"):
            load([picture(content)], folder)


def test_a_link_within_the_folder_is_followed(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder / "ok.png")
    assert image_path(folder, "link.png") == (folder / "ok.png").resolve()


@pytest.mark.parametrize("content", ["missing.png", "nul\0.png", "x" * 5000])
def test_an_image_that_is_not_there_is_refused(content: str, folder: Path) -> None:
    with pytest.raises(DataError, match=r"^record `a`: view `photo`: image"):
        load([picture(content)], folder)


def test_a_link_to_itself_and_a_pipe_are_refused(folder: Path) -> None:
    (folder / "loop.png").symlink_to(folder / "loop.png")
    os.mkfifo(folder / "pipe.png")
    for content in ("loop.png", "pipe.png"):
        with pytest.raises(DataError, match=r"^record `a`: view `photo`: image"):
            load([picture(content)], folder)


def test_a_torn_image_is_refused(folder: Path) -> None:
    Image.effect_noise((64, 64), 50).save(folder / "noise.jpg")
    whole = (folder / "noise.jpg").read_bytes()
    (folder / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"image 'torn.jpg' does not decode"):
        load([picture("torn.jpg")], folder)


@STEADY
@given(junk=st.binary(max_size=200))
def test_random_bytes_are_never_an_image(junk: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("junk")
    (folder / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + junk)
    with pytest.raises(DataError, match=r"does not decode"):
        open_image(folder, "x.png")


def test_a_program_in_postscript_is_not_opened(folder: Path) -> None:
    Image.new("RGB", (2, 2)).save(folder / "x.eps")
    with pytest.raises(DataError, match=r"image 'x.eps' does not decode"):
        open_image(folder, "x.eps")


@pytest.mark.parametrize("side", [7_100, 10_000, 60_000])
def test_a_decompression_bomb_is_refused_by_its_header(side: int, folder: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (folder / "bomb.png").write_bytes(bomb)
    with pytest.raises(DataError, match=r"more than 50000000|DecompressionBombError"):
        load([picture("bomb.png")], folder)


def test_a_palette_with_transparency_decodes_to_rgb_without_a_warning(folder: Path) -> None:
    Image.new("P", (2, 2)).save(folder / "p.png", transparency=b"\x00\x80")
    assert open_image(folder, "p.png").mode == "RGB"


def test_copies_are_dropped_and_counted_whatever_their_file_is_called(folder: Path) -> None:
    (folder / "copy.png").write_bytes((folder / "ok.png").read_bytes())
    kept, dropped = load([picture("ok.png", "a"), picture("copy.png", "b"), note("c", "t"), note("d", "t")], folder)
    assert [record.id for record in kept] == ["a", "c"]
    assert dropped == {module.DUPLICATE: 2}


def test_records_that_share_only_some_views_are_no_copies(folder: Path) -> None:
    tile = View("tile", "image", "ok.png")
    both = [note(name, views={"note": View("note", "text", name), "tile": tile}) for name in "ab"]
    kept, dropped = load(both, folder)
    assert (kept, dropped) == (both, {module.DUPLICATE: 0})


def test_a_damaged_file_of_records_is_named_with_its_line(tmp_path: Path) -> None:
    save(tmp_path / "records.jsonl", [note("a")])
    with (tmp_path / "records.jsonl").open("a") as stream:
        stream.write('{"id": "b"}\n')
    with pytest.raises(DataError, match=r"records.jsonl` line 2 is not a record: KeyError: 'facts'; mend it"):
        read(tmp_path / "records.jsonl")


scalars = st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))


@STEADY
@given(facts=st.dictionaries(st.text(), scalars, max_size=4), text=st.text(min_size=1))
def test_records_come_back_as_they_were(
    facts: dict[str, str | int | float], text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("kept") / "records.jsonl"
    before = [note("a", text, facts=facts, split="test")]
    assert save(path, before) == 1
    assert read(path) == before
