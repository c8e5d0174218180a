"""The run folder: torn files, failing disks, keys that must stay the same for ever."""

import json
import math
from pathlib import Path

import pytest

from indirect_rlvr import run
from indirect_rlvr.errors import DataError, RunError
from indirect_rlvr.types import View


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    run.write_json(path, {"old": 1})
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        run.write_json(path, {"new": math.nan})
    with pytest.raises(UnicodeEncodeError):
        run.write_text(path, "torn \ud800")
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_row_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        run.write_jsonl(tmp_path / "a.jsonl", [{"good": 1}, {"bad": object()}])
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_is_not_the_disk_s_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), run.disk_errors(tmp_path):
        tmp_path.read_text()


def test_a_full_disk_is_one_message() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    expected = "cannot write `out`: No space left on device; free space or choose another folder with --out"
    with pytest.raises(RunError, match=expected), run.disk_errors(Path("out")):
        Path("/dev/full").write_text("x")


@pytest.mark.parametrize("name", ["here", "there/below"])
def test_a_place_that_holds_no_folders_is_one_message(name: str) -> None:
    with pytest.raises(RunError, match="cannot write `/proc/.*no folder can be made there; .* another folder"):
        run.make_folder(Path("/proc", name))


def test_a_missing_file_names_its_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read `.*tasks\.jsonl`: No such file or directory; run the stage"):
        run.read_jsonl(tmp_path / "tasks.jsonl")
    with pytest.raises(DataError, match=r"cannot read `.*audit\.json` as JSON"):
        run.read_json(tmp_path / "audit.json")


def test_a_torn_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": ')
    with pytest.raises(DataError, match=r"`.*a\.jsonl` line 2 is not JSON"):
        run.read_jsonl(path)


def test_a_block_that_fails_leaves_the_old_folder(tmp_path: Path) -> None:
    out = tmp_path / "sft"
    with run.fresh_folder(out) as folder:
        (folder / "model").write_text("old")

    def half() -> None:
        with run.fresh_folder(out) as folder:
            (folder / "model").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert (out / "model").read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_a_fresh_folder_takes_the_old_one_s_place(tmp_path: Path) -> None:
    for word in ("old", "new"):
        with run.fresh_folder(tmp_path / "sft") as folder:
            (folder / word).write_text("")
    assert [path.name for path in (tmp_path / "sft").iterdir()] == ["new"]


def test_keyed_randomness_never_changes() -> None:
    assert run.keyed_rng(0, "records", 7).getrandbits(64) == 3703677593373255566
    assert run.digest({"b": [1, 2.5], "a": None}) == "6b1d84977084473f4b3b012fc8f1d08257499895d136f26cc7b5c865d2f19e23"


def test_keys_do_not_run_together() -> None:
    draws = {
        run.keyed_rng(*key).random()
        for key in [(0, "a", "b"), (0, "ab"), (0, "a", "b", ""), (1, "a", "b"), (0, 1), (1,)]
    }
    assert len(draws) == 6


def test_equal_values_have_equal_digests_whatever_their_order() -> None:
    assert run.digest({"a": 1, "b": 2}) == run.digest({"b": 2, "a": 1})
    assert run.digest({"a": 1}) != run.digest({"a": 2})


def test_a_folder_s_digest_follows_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a").write_text("x")
    before = run.file_digest(tmp_path / "one")
    (tmp_path / "one" / "a").rename(tmp_path / "one" / "b")
    renamed = run.file_digest(tmp_path / "one")
    (tmp_path / "one" / "b").write_text("y")
    assert len({before, renamed, run.file_digest(tmp_path / "one")}) == 3


def test_nouns_come_back_as_plain_values(tmp_path: Path) -> None:
    rows = [View("note", "text", "größer"), {"pair": (1, 2)}]
    assert run.write_jsonl(tmp_path / "a.jsonl", rows) == 2
    assert run.read_jsonl(tmp_path / "a.jsonl") == [
        {"kind": "note", "modality": "text", "content": "größer"}, {"pair": [1, 2]},
    ]  # fmt: skip


def test_what_killed_processes_left_half_written_is_swept_away_and_nothing_else(tmp_path: Path) -> None:
    kept = ("results.json", ".lock", ".sft.partial/log.jsonl", "evaluation/base/proxy.jsonl")
    torn = (".manifest.json.7642", "..owner.json.12", ".records.99/views/a.png", "evaluation/base/.claims.jsonl.8")
    for name in (*kept, *torn):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    run.sweep(tmp_path)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()) == sorted(kept)
