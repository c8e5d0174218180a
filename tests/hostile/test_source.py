"""Nothing in the source runs what it reads: no pickle, no eval, no shell, no foreign code; no key is in the tree."""

import ast
import inspect
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from indirect_rlvr.redaction import redacted_text

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    [*(ROOT / "indirect_rlvr").rglob("*.py"), *(ROOT / "domains").rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
)
FORBIDDEN = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.unsafe_load",
    "marshal.loads",
    "marshal.load",
    "shelve.open",
    "joblib.load",
    "dill.load",
    "dill.loads",
    "pickle.load",
    "pickle.loads",
    "torch.load",
    "pickle.Unpickler",
    "pd.read_pickle",
    "pandas.read_pickle",
    "subprocess.getoutput",
    "subprocess.getstatusoutput",
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def value(call: ast.Call, name: str) -> object:
    """A keyword's literal value; "absent" without it, "unknown" where it is no literal."""
    found = [keyword.value for keyword in call.keywords if keyword.arg == name]
    if not found:
        return "absent"
    return found[0].value if isinstance(found[0], ast.Constant) else "unknown"


def offences(source: str) -> list[str]:
    found = []
    for name, call in calls(ast.parse(source)):
        safe = name == "torch.load" and value(call, "weights_only") is True
        own = name == "pickle.loads" and call.args and ast.unparse(call.args[0]).startswith("pickle.dumps(")
        if name in FORBIDDEN and not safe and not own:
            found.append(f"line {call.lineno}: {name}")
        if name.endswith("np.load") and value(call, "allow_pickle") not in (False, "absent"):
            found.append(f"line {call.lineno}: np.load with allow_pickle")
        if value(call, "shell") not in (False, "absent"):
            found.append(f"line {call.lineno}: shell")
        if value(call, "trust_remote_code") not in (False, "absent"):
            found.append(f"line {call.lineno}: trust_remote_code")
        if (
            name.startswith("Auto")
            and name.endswith("from_pretrained")
            and value(call, "trust_remote_code") == "absent"
        ):
            found.append(f"line {call.lineno}: {name} that does not refuse foreign code")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "pickle.load(f)", "pickle.loads(raw)", "eval(x)", "exec(x)", "os.system('ls')", "torch.load(p)", "yaml.load(t)",
        "torch.load(p, weights_only=False)", "np.load(p, allow_pickle=True)", "subprocess.run(c, shell=True)",
        "AutoModel.from_pretrained(p)", "AutoModel.from_pretrained(p, trust_remote_code=x)",
    ],
)  # fmt: skip
def test_the_rule_sees_what_it_forbids(source: str) -> None:
    assert offences(source)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_runs_what_it_reads(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "module",
    [
        "transformers.trainer",
        "transformers.trainer_utils",
        "transformers.trainer_callback",
        "trl.trainer.grpo_trainer",
        "trl.trainer.sft_trainer",
        "trl.trainer.base_trainer",
    ],
)
def test_the_installed_trainers_load_no_pickles(module: str) -> None:
    """Read with transformers 5.17 and TRL 1.16; another version that changes it has to be read again."""
    tree = ast.parse(inspect.getsource(__import__(module, fromlist=["x"])))
    loads = [
        (name, call)
        for name, call in calls(tree)
        if name in {"torch.load", "pickle.load", "pickle.loads", "eval", "exec"}
    ]
    unsafe = [f"line {call.lineno}: {name}" for name, call in loads if value(call, "weights_only") is not True]
    assert unsafe == []


def test_the_trainer_does_load_its_state_with_torch() -> None:
    """So that the test above cannot pass because there is nothing to look at."""
    import transformers.trainer

    tree = ast.parse(inspect.getsource(transformers.trainer))
    assert sum(name == "torch.load" for name, _ in calls(tree)) >= 5


PLANTED = (
    "tests/hostile/", "tests/evaluation/backends/test_openai_url.py", "tests/scaffolds/", "tests/export/test_hub.py",
    "domains/geo/tests/prepare/test_prepared_export.py",
)  # fmt: skip
"""Tests that plant secrets, to see that they do not get out."""


def test_no_key_is_left_in_the_tree() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    found = []
    for name in filter(None, tracked.split("\0")):
        path = ROOT / name
        if path.suffix in {".npz", ".png", ".xz", ".safetensors"} or name.startswith(PLANTED) or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if redacted_text(text) != text:
            found.append(name)
    assert found == []
