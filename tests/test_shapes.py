"""A value of another type is refused even where it could be turned into the right one: it is used as it stands."""

import json
from pathlib import Path

import pytest

from indirect_rlvr import shapes
from indirect_rlvr.errors import DataError

MARK = {"weights_sha256": "a", "files": {"model.safetensors": 4}, "lengths": {"log.jsonl": 4}, "extra": {}}


@pytest.mark.parametrize("value", ["4", 4.0, True, None, -1, [4]])
@pytest.mark.parametrize("name", ["files", "lengths"])
def test_a_length_that_is_no_whole_number_is_refused(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "complete.json"
    path.write_text(json.dumps({**MARK, name: {"log.jsonl": value}}), encoding="utf-8")
    with pytest.raises(DataError, match=rf"complete\.json` is not what its stage writes: `{name}\.log\.jsonl`"):
        shapes.read(path, shapes.Mark)


def test_what_is_right_is_given_back_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "complete.json"
    path.write_text(json.dumps(MARK), encoding="utf-8")
    assert shapes.read(path, shapes.Mark) == MARK
