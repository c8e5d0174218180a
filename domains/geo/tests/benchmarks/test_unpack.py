"""Parquet files of the hub on disk, and reading them back: broken files, images, lists written as Python."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from struct import pack

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.types import View
from indirect_rlvr_geo.benchmarks.unpack import main, unpack
from indirect_rlvr_geo.benchmarks.unpacked import interleaved, letters, lines, literal


def image(kind: str = "PNG") -> dict[str, object]:
    data = BytesIO()
    Image.new("RGB", (4, 4), (1, 2, 3)).save(data, kind)
    return {"bytes": data.getvalue(), "path": "a"}


def test_files_that_are_no_parquet_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(DataError, match=r"a.parquet` cannot be read as Parquet: .*; download it again"):
        unpack(tmp_path / "rows.jsonl", [tmp_path / "a.parquet"])


@pytest.mark.parametrize("arguments", [[], ["rows.jsonl"]])
def test_nothing_to_unpack_is_refused_before_anything_is_written(tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(ConfigError, match="expected the file to write and the Parquet files to read"):
        main([str(tmp_path / name) for name in arguments])
    assert not list(tmp_path.iterdir())


def test_a_mistake_is_one_line_at_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "indirect_rlvr_geo.benchmarks.unpack"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (
        said.returncode == 1
        and said.stderr.startswith("ConfigError: expected the file")
        and "\n" not in said.stderr[:-1]
    )


def test_bytes_that_are_no_image_are_refused(tmp_path: Path) -> None:
    table = pa.table({"id": ["a"], "image_1": [{"bytes": b"no", "path": "a"}]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="an image of 2 bytes is none of JPEG, PNG"):
        unpack(tmp_path / "rows.jsonl", [tmp_path / "a.parquet"])


def test_an_image_of_far_too_many_pixels_is_refused(tmp_path: Path) -> None:
    header = b"BM" + pack("<4I2i7I", 54, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1 | 24 << 16, *[0] * 6)
    pq.write_table(pa.table({"image": [{"bytes": header, "path": "a"}]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="is none of JPEG, PNG.*: Image size"):
        unpack(tmp_path / "rows.jsonl", [tmp_path / "a.parquet"])


def test_rows_and_images_come_back(tmp_path: Path) -> None:
    rows = [{"id": "a", "image_1": image(), "image_2": None}, {"id": "b", "image_1": image(), "image_2": image("JPEG")},
            {"id": "c", "image_1": image(), "image_2": {"bytes": None, "path": "elsewhere.png"}}]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert unpack(tmp_path / "out/rows.jsonl", [tmp_path / "a.parquet"]) == 3
    found = lines(tmp_path / "out/rows.jsonl", ("id", "image_1"))
    assert [row["id"] for row in found] == ["a", "b", "c"]
    assert found[0]["image_1"] == found[1]["image_1"]
    assert found[0]["image_2"] is None and found[2]["image_2"] is None and str(found[1]["image_2"]).endswith(".jpg")
    assert len(list((tmp_path / "out/images").iterdir())) == 2


@pytest.mark.parametrize(("text", "message"), [
    ('{"id": 1}\n{"id": ', "cannot be read|cannot read .* as lines of JSON"),
    ('{"id": 1}\n{"x": 2}', "line 2 has no `id`"),
    ("[1]", "line 1 has no `id`"),
])  # fmt: skip
def test_lines_that_are_not_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        lines(tmp_path / "rows.jsonl", ("id",))


@pytest.mark.parametrize(
    "written", ["__import__('os')", "['a'", "{'a': 1}", "'a'", None, 7, "[" * 9999, "['a']" * 99999]
)
def test_what_is_no_list_literal_is_refused_and_never_run(written: object) -> None:
    with pytest.raises(DataError, match="question 7 "):
        literal(written, list, "question 7")


def test_lists_are_read_as_python_writes_them() -> None:
    assert literal("['$a$', \"b's\", 'c']", list, "x") == ["$a$", "b's", "c"]
    assert letters(literal(["x", "y"], list, "x")) == {"A": "x", "B": "y"}


def test_images_stand_where_the_text_names_them(tmp_path: Path, picture: Callable[[Path], None]) -> None:
    for number in (1, 2, 3):
        picture(tmp_path / f"images/{number}.png")
    row = {f"image_{number}": f"images/{number}.png" for number in (1, 2, 3)} | {"image_4": None}
    parts, missing = interleaved(tmp_path, "Look <image 2> and <image 1>, then <image 2>, <image 5>.", row)
    shown = [part.content if isinstance(part, View) else part for part in parts]
    assert shown == ["images/3.png", "Look ", "images/2.png", " and ", "images/1.png", ", then ", "images/2.png", ", ",
                     "image_5", "."]  # fmt: skip
    assert missing == ("image_5",)


def test_images_outside_the_folder_are_missing(tmp_path: Path) -> None:
    parts, missing = interleaved(tmp_path, "<image 1>", {"image_1": "../secret.png"})
    assert missing == ("../secret.png",)
    assert [part.content for part in parts if isinstance(part, View)] == ["secret.png"]
