"""Bounds hold: nesting, paths, pixels before decoding, and regular expressions in linear time."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator

import pytest
from PIL import Image
from targets import bomb

import indirect_rlvr
import indirect_rlvr_geo
import indirect_rlvr_template
from indirect_rlvr.config import load_recipe
from indirect_rlvr.data.looks import Looks
from indirect_rlvr.data.records import open_image
from indirect_rlvr.errors import ConfigError, DataError
from indirect_rlvr.foreign import DEPTH, loads
from indirect_rlvr.reporting.pictures import show
from indirect_rlvr.run import read_json, read_jsonl
from indirect_rlvr.training.dataset import images
from indirect_rlvr.types import Prompt, View


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000 + "]" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "[" * (DEPTH + 2) + "]" * (DEPTH + 2)],
)
def test_json_too_deep_is_one_message(text: str, tmp_path) -> None:
    (tmp_path / "a.json").write_text(text)
    for read in (read_json, read_jsonl):
        with pytest.raises(DataError, match="more than 64 objects and lists inside each other"):
            read(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "-Infinity", "1e999", '"\\ud800"', '{"\\udc00": 1}'])
def test_what_only_some_steps_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no number of JSON|too large|surrogates"):
        loads(text)


def test_json_within_the_bounds_is_read_as_it_is() -> None:
    assert loads("[" * DEPTH + "1.5" + "]" * DEPTH)
    assert loads('{"a": ["\\ud83d\\ude00", 10000000000000000000000]}') == {"a": ["😀", 10**22]}


def test_a_file_of_lines_that_is_not_utf8_is_one_message(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"a": "\xff"}\n')
    with pytest.raises(DataError, match="is not UTF-8"):
        read_jsonl(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    "override",
    [
        "seed=" + "[" * 5000,
        "grpo.trl.x=nan",
        "sft.trl.x=1979-05-27",
        "seed=9" + "9" * 5000,
        "model.path=\udcff",
        "reward.weights.accuracy=inf",
        "grpo.trl.x=[[[-inf]]]",
    ],
)
def test_a_value_that_no_file_can_hold_is_refused(override: str, tmp_path) -> None:
    (tmp_path / "r.toml").write_text('domain = "template"\n')
    with pytest.raises(ConfigError):
        load_recipe(tmp_path / "r.toml", [override])


def test_an_override_sets_one_key_and_no_other(tmp_path) -> None:
    (tmp_path / "r.toml").write_text('domain = "template"\n')
    assert load_recipe(tmp_path / "r.toml", ["model.path=1\nseed = 2"]).model.path == "1\nseed = 2"


READERS = {
    "records": open_image,
    "looks": lambda folder, name: Looks(folder).of(View("v", "image", name)),
    "report": lambda folder, name: show(View("v", "image", name), folder, "x"),
    "training": lambda folder, name: images(Prompt((View("v", "image", name),)), folder),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_bomb_is_refused_by_its_header(reader: str, tmp_path) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(60_000, 60_000))
    with pytest.raises(DataError, match=r"pixels|DecompressionBomb|exceeds limit"):
        READERS[reader](tmp_path, "bomb.png")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "name", ["../out.png", "link.png", "up/out.png", "/etc/hostname", "a\0b", "loop", "", ".", "folder"]
)
def test_no_image_leaves_its_folder(reader: str, name: str, tmp_path) -> None:
    folder = tmp_path / "records"
    (folder / "folder").mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(tmp_path / "out.png")
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    (folder / "up").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    with pytest.raises(DataError):
        READERS[reader](folder, name)


def test_a_picture_is_shown_upright_as_training_sees_it(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "a.jpg", exif=exif.tobytes())
    assert (
        open_image(tmp_path, "a.jpg").size == (4, 8) == images(Prompt((View("v", "image", "a.jpg"),)), tmp_path)[0].size
    )


def patterns() -> dict[str, re.Pattern[str]]:
    """Every compiled pattern that a module of ours holds."""
    found = {}
    for package in (indirect_rlvr, indirect_rlvr_geo, indirect_rlvr_template):
        for info in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if ".export" in info.name or ".ray_engine" in info.name or info.name.endswith("testing.plugin"):
                continue
            for name, value in vars(importlib.import_module(info.name)).items():
                if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                    found[f"{info.name}.{name}"] = value
    return found


CAPPED = ("indirect_rlvr.rewards.quantities._PAIR",)
"""Matched as a whole, against at most `quantities.LONGEST` characters: there it takes milliseconds, as the test of the
parsers on hostile text sees; searched for in long texts, as here, it would be cubic."""

PATTERNS = {name: pattern for name, pattern in patterns().items() if name not in CAPPED}
PUMPS = (" ", "a", "a ", "A", "1", "1.", "1 ", "-", "a-", "a.", "a'", "\n", "* ", "(", "<a", "<|", "°", "1°", "x^", "'",
         "[", "/", "is ", "the ", "in the ", "north ", "shadow ", "://", "a=", "_", "é", ", ", "hf_")  # fmt: skip


def adversarial(pattern: re.Pattern[str]) -> Iterator[str]:
    """What to repeat: the general pumps, and the words that the pattern itself holds."""
    yield from PUMPS
    words = re.findall(r"[a-z]{3,12}", re.sub(r"\\[a-zA-Z]", " ", pattern.pattern))
    yield from (f"{word} " for word in list(dict.fromkeys(words))[:12])


def spent(pattern: re.Pattern[str], pump: str, size: int) -> float:
    """Processor seconds of finding all matches in `size` characters."""
    text = (pump * (size // len(pump) + 1))[:size] + "\x00"
    began = time.process_time()
    sum(1 for _ in pattern.finditer(text))
    return time.process_time() - began


def quadratic(pattern: re.Pattern[str], size: int = 1_000) -> str | None:
    """What to repeat so that ten times as much takes far longer than ten times: up to 100 × `size`.

    Of all pumps the slowest at `size` is followed; what takes next to nothing shows nothing and is passed over.
    """
    times = {pump: spent(pattern, pump, size) for pump in adversarial(pattern)}
    pump = max(times, key=lambda pump: times[pump])
    small = max(min(spent(pattern, pump, size) for _ in range(3)), 0.002)
    middle = spent(pattern, pump, 10 * size)
    if middle > 30 * small:
        return pump
    return pump if middle > 0.01 and spent(pattern, pump, 100 * size) > 30 * middle else None


def test_a_quadratic_pattern_is_seen() -> None:
    assert quadratic(re.compile(r"\s+x")) in {" ", "\n"}


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_takes_linear_time(name: str) -> None:
    """Processor time is compared with itself over two tenfold lengths, where linear is 10 and quadratic is 100."""
    assert quadratic(PATTERNS[name]) is None


def test_the_patterns_are_all_there() -> None:
    assert len(PATTERNS) > 30
