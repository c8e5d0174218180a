"""A row of a run as a folder for the Hub: what is refused, what is in it, what the card says, its code executed."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from PIL import Image
from transformers import Qwen2Config, Qwen2ForCausalLM
from typer.testing import CliRunner

from indirect_rlvr import cli, engine
from indirect_rlvr.errors import ConfigError, DataError, RunError
from indirect_rlvr.export import bundle, hub, usage
from indirect_rlvr.export.card import Facts, card
from indirect_rlvr.run import read_json, write_json
from indirect_rlvr.training import models, rollouts
from indirect_rlvr.training.tiny import build_tokenizer, load_processor

SHORT = {
    "records.spacing_m": 800, "tasks.train": 16, "tasks.test": 16, "tasks.audit_alpha": 1e-9, "scaffold.count": 4,
    "sft.steps": 1, "sft.batch": 2, "grpo.steps": 1, "grpo.prompts_per_step": 2, "grpo.group_size": 2,
    "grpo.max_completion_tokens": 12, "evaluation.tasks": 6, "evaluation.control_tasks": 6, "evaluation.targets": 10,
}  # fmt: skip
FILES = {
    ".gitattributes", "README.md", "chat_template.jinja", "config.json", "export.json", "generation_config.json",
    "model.safetensors", "processor_config.json", "recipe.toml", "results.json", "tokenizer.json",
    "tokenizer_config.json",
}  # fmt: skip
KNOWN = {"license", "base_model", "library_name", "pipeline_tag", "tags", "datasets"}
"""Keys of a card's front matter that the Hub knows and that are used here."""
TOKEN = "hf_" + "s3cret" * 6
HOSTILE = (
    "\n---\nlicense: mit\n---\n# Free money\n\n<script>alert(1)</script> | [x](https://evil) ![y](//evil) `code` "
    "**bold** \u202e\x00 &lt; <!-- \n| a | b |\n```\n~~~\n* item"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run on real terrain, of one step each."""
    folder = tmp_path_factory.mktemp("hub") / "run"
    prepared, name = engine.prepare("geo", "default", [f"{key}={value}" for key, value in SHORT.items()], folder)
    engine.execute(prepared, name, None, None, lambda line: None)
    return folder


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "geo r1"
    hub.export(run, out, licence="apache-2.0", datasets=["someone/terrain"])
    return out


@pytest.fixture(scope="module")
def told(run: Path) -> Facts:
    """What the card of the last row is made from."""
    with bundle.source(str(run)) as prepared:
        manifest = read_json(run / "manifest.json")
        return hub.told(prepared, manifest, "geo-r1", models.load(run / "grpo"), None, ())


def front_matter(text: str) -> dict[str, Any]:
    data: Any = ModelCard(text).data
    return dict(data.to_dict())


def test_a_run_that_is_not_evaluated_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "results.json").unlink()
    with pytest.raises(DataError, match="is not evaluated yet"):
        hub.export(copy, tmp_path / "out")


def test_an_unknown_row_lists_those_of_the_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no row `geo-r2`; its rows: base, geo-sft, geo-r1-zero, geo-r1"):
        hub.export(run, tmp_path / "out", "geo-r2")


def test_a_base_that_is_only_referred_to_is_not_exported(copy: Path, tmp_path: Path) -> None:
    shutil.rmtree(copy / "base")
    write_json(copy / "base" / "reference.json", {"path": "Qwen/Qwen2.5-VL-7B-Instruct"})
    said = "row `base` is `Qwen/Qwen2.5-VL-7B-Instruct` itself.*rows that it trained: geo-sft, geo-r1-zero, geo-r1"
    with pytest.raises(ConfigError, match=said):
        hub.export(copy, tmp_path / "out", "base")


def test_results_older_than_the_model_are_refused(copy: Path, tmp_path: Path) -> None:
    manifest = read_json(copy / "manifest.json")
    manifest["stages"]["grpo"]["finished"] = "2999-01-01T00:00:00+00:00"
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(RunError, match="`evaluate` was not run after `grpo`.*--from evaluate"):
        hub.export(copy, tmp_path / "out")


def test_weights_that_are_not_those_of_the_manifest_are_refused_and_nothing_is_left(copy: Path, tmp_path: Path) -> None:
    weights = bytearray((copy / "grpo" / "model.safetensors").read_bytes())
    weights[-3] ^= 1
    (copy / "grpo" / "model.safetensors").write_bytes(weights)
    with pytest.raises(RunError, match="are not those that stage `grpo` made .*--from grpo"):
        hub.export(copy, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_is_no_export_is_not_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years")
    with pytest.raises(RunError, match="is no export"):
        hub.export(run, tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years"


def test_an_export_that_fails_leaves_the_older_one(exported: Path, copy: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "out"))
    (copy / "audit.json").write_text("{")
    with pytest.raises(DataError, match="audit.json"):
        hub.export(copy, out)
    assert (out / "README.md").read_bytes() == (exported / "README.md").read_bytes()


@pytest.mark.parametrize(
    ("option", "value"),
    [("licence", "mit\ntags: x"), ("licence", "MIT"), ("datasets", ["no slash"]), ("datasets", ["a/b", "../x"])],
)
def test_identifiers_that_the_hub_cannot_have_are_refused(run: Path, tmp_path: Path, option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match="--license|--dataset"):
        hub.export(run, tmp_path / "out", **{option: value})


@pytest.mark.parametrize(
    ("ecosystem", "options"),
    [
        ("hub", ["--tokenizer", "x"]),
        ("hub", ["--limit", "3"]),
        ("verl", ["--row", "geo-r1"]),
        ("inspect", ["--license", "mit"]),
    ],
)
def test_options_of_other_exports_are_refused(run: Path, tmp_path: Path, ecosystem: str, options: list[str]) -> None:
    result = CliRunner().invoke(cli.app, ["export", ecosystem, str(run), "--out", str(tmp_path / "out"), *options])
    assert result.exit_code == 2
    assert f"{options[0]} has no meaning for an export to {ecosystem}" in result.stderr


def test_the_command_prints_what_to_do_next(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "my model"
    result = CliRunner().invoke(cli.app, ["export", "hub", str(run), "--out", str(out), "--row", "geo-sft"])
    assert result.exit_code == 0, result.output
    assert "license: unknown" in result.stdout
    assert result.stdout.splitlines()[-1] == f"hf upload YOUR_NAME/my-model '{out}' . --private"
    assert front_matter((out / "README.md").read_text())["tags"] == ["indirect-rlvr", "trl", "sft", "geo"]


def test_a_folder_holds_the_model_and_nothing_of_rollouts_logs_or_records(run: Path, exported: Path) -> None:
    assert {path.name for path in exported.rglob("*")} == FILES
    whole = b"".join(path.read_bytes() for path in exported.iterdir())
    (rollout,) = [json.loads(line) for line in (run / "grpo" / "rollouts.jsonl").read_text().splitlines()][:1]
    assert rollout["task_id"].encode() not in whole
    assert str(run.parent).encode() not in whole


def test_the_exported_model_is_the_row(run: Path, exported: Path) -> None:
    expected = read_json(run / "manifest.json")["artefacts"]["grpo"]["weights_sha256"]
    assert models.weights_digest(models.load(exported).model) == expected
    assert read_json(exported / "export.json")["weights_sha256"] == expected
    assert read_json(exported / "results.json") == read_json(run / "results.json")
    assert (exported / "recipe.toml").read_text() == (run / "recipe.toml").read_text()


def test_the_stock_processor_is_named_where_the_image_only_one_was_used(run: Path, exported: Path) -> None:
    written = read_json(exported / "processor_config.json")
    assert (written["processor_class"], written["video_processor"]["patch_size"]) == ("Qwen2_5_VLProcessor", 14)
    image, text = Image.new("RGB", (84, 56)), "<|vision_start|><|image_pad|><|vision_end|>"
    ours, theirs = (load_processor(at)(text=[text], images=[image])["input_ids"] for at in (run / "grpo", exported))
    assert ours == theirs


def test_adapters_are_copied_beside(copy: Path, tmp_path: Path) -> None:
    (copy / "grpo" / "adapter").mkdir()
    write_json(copy / "grpo" / "adapter" / "adapter_config.json", {"base_model_name_or_path": "../../sft", "r": 8})
    (copy / "grpo" / "adapter" / "training_args.bin").write_bytes(b"pickled")
    hub.export(copy, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "adapter").iterdir()] == ["adapter_config.json"]
    assert read_json(tmp_path / "out" / "adapter" / "adapter_config.json") == {"base_model_name_or_path": None, "r": 8}
    assert "go on the model of stage `sft`, which is not in this folder" in (tmp_path / "out" / "README.md").read_text()


def test_the_front_matter_has_known_keys_alone(exported: Path) -> None:
    text = (exported / "README.md").read_text()
    found = front_matter(text)
    assert set(found) <= KNOWN
    assert found["license"] == "apache-2.0"
    assert found["datasets"] == ["someone/terrain"]
    assert (found["library_name"], found["pipeline_tag"]) == ("transformers", "image-text-to-text")
    assert "base_model" not in found  # primed: nothing of the Hub
    assert str(ModelCard(text)) == text


def test_a_base_of_the_hub_is_named(told: Facts) -> None:
    made = card(replace(told, base="Qwen/Qwen2.5-VL-7B-Instruct", licence=None))
    data = front_matter(made)
    assert (data["base_model"], data["license"]) == ("Qwen/Qwen2.5-VL-7B-Instruct", "unknown")
    assert "goes on to weights made from it" in made


def test_the_card_has_every_figure_with_its_interval(run: Path, exported: Path) -> None:
    text = (exported / "README.md").read_text()
    results = read_json(run / "results.json")
    for row in results["rows"]:
        line = next(line for line in text.splitlines() if line.startswith(f"| {row['model']} |"))
        assert line.count(" to ") == 1 + len(row["controls"]) == 5
    for target in results["targets"]:
        assert re.search(rf"\| {target['name']} \| {target['n']} \|.* to .* to .* to ", text)
    manifest = read_json(run / "manifest.json")
    for digest in (manifest["artefacts"]["tasks"]["sha256"], manifest["artefacts"]["grpo"]["reward_version"]):
        assert digest in text
    assert "seed 0" in text and "Audit of the tasks" in text and "torch 2.13.0" in text


def test_limits_are_said(told: Facts) -> None:
    (last,) = [row for row in told.results["rows"] if row["model"] == told.row]
    shortcut = {**last["controls"], "other_query": {"accuracy": 0.9, "ci95": [0.8, 0.95], "n": 6}}
    fallen = {**shortcut, "permuted": {"accuracy": 0.1, "ci95": [0.0, 0.2], "n": 6}}
    rows = [*told.results["rows"][:-1], {**last, "accuracy": 0.9, "ci95": [0.8, 0.95], "controls": fallen}]
    scaffold = {**told.manifest["artefacts"]["scaffold"], "right_share": 0.5}
    text = card(
        replace(
            told,
            results={**told.results, "rows": rows, "targets": []},
            audit={**told.audit, "overridden": ["probe `medoid` sees only places"]},
            manifest={**told.manifest, "artefacts": {**told.manifest["artefacts"], "scaffold": scaffold}},
            recipe={**told.recipe, "tasks": {**told.recipe["tasks"], "sampler": "ring"}},
        )
    )
    for said in (
        "**The tasks leak**, and the run went on because that was allowed: probe \\`medoid\\`",
        "rings around the record", "No target task was asked",
        "50.0 % of the traces of SFT end in the true answer, where chance is 20.0 %: more than chance",
        "**Other query** this row is above chance (90.0 %", "reordered this row falls to 10.0 %",
    ):  # fmt: skip
        assert said.replace(" %", "\u00a0%") in text or said in text, said


def test_a_run_without_faults_is_not_accused(told: Facts) -> None:
    text = card(told)
    assert "leak**" not in text and "shortcut" not in text and "prefers positions" not in text


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(ModelCard(text).text))


def test_hostile_text_stays_text(told: Facts, run: Path) -> None:
    manifest = {
        **told.manifest, "domain": HOSTILE, "recipe_name": HOSTILE, "notes": {HOSTILE: HOSTILE, "list": [HOSTILE]},
        "packages": {HOSTILE: HOSTILE}, "hardware": {"processor": HOSTILE}, "seed": 0,
        "stages": {HOSTILE: {"seconds": 1.0, "kept": 1, "unit": HOSTILE, "dropped": {HOSTILE: 3}}},
    }  # fmt: skip
    recipe = {**told.recipe, "records": {HOSTILE: HOSTILE}}
    audit = {**told.audit, "overridden": [HOSTILE], "problems": [HOSTILE]}
    results = {**told.results, "transfer": {**told.results["transfer"], "statement": HOSTILE}}
    shown = usage.Example([{"type": "text", "text": HOSTILE + "'''\"\"\"\\"}], [])
    code = usage.with_transformers(models.load(run / "grpo"), shown, 5)
    compile(code, "card", "exec")
    facts = replace(told, manifest=manifest, recipe=recipe, audit=audit, results=results, transformers_code=code)
    text = card(facts)
    assert set(front_matter(text)) <= KNOWN
    html = rendered(text)
    assert re.findall(r"<h1>(.*?)</h1>", html) and html.count("<h1>") == 1
    for bad in ("<script", "<img", 'href="https://evil', "<!--", "\u202e", "\x00"):
        assert bad not in html
    sections = ["How it was made", "What it does not show", "Licences", "How to use it", "How to repeat it"]
    assert [title for title in re.findall(r"<h2>(.*?)</h2>", html) if title in sections] == sections
    assert html.count("<pre>") == rendered(card(told)).count("<pre>") == 4


def test_secrets_and_paths_are_not_published(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "key-of-the-weather")
    manifest = read_json(copy / "manifest.json")
    manifest["notes"]["base"] = f"downloaded with {TOKEN} and key-of-the-weather"
    write_json(copy / "manifest.json", manifest)
    recipe = (copy / "recipe.toml").read_text().replace("[sft.trl]\n", f'[sft.trl]\nhub_token = "{TOKEN}"\n')
    recipe = recipe.replace('path = "primed"', f'path = "{copy / "base"}"')
    (copy / "recipe.toml").write_text(recipe)
    tasks = (copy / "tasks.jsonl").read_text().replace("Which overhead view", "key-of-the-weather Which overhead view")
    (copy / "tasks.jsonl").write_text(tasks)
    hub.export(copy, tmp_path / "out")
    assert hub.local_paths(tmp_path / "out") == ["model.path"]
    assert "(withheld) Which overhead view" in (tmp_path / "out" / "README.md").read_text()
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert TOKEN.encode() not in content and b"key-of-the-weather" not in content, path.name


@contextlib.contextmanager
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        yield said


def code_of(folder: Path) -> list[str]:
    return re.findall(r"(?ms)^```python\n(.*?)^```$", (folder / "README.md").read_text())


def test_the_code_of_the_card_answers_as_the_evaluation_does(
    run: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, for_vllm = code_of(exported)
    with inside(exported, monkeypatch) as said:
        exec(compile(code, "README.md", "exec"), {})
    (task, *_) = [json.loads(line) for line in (run / "tasks.jsonl").read_text().splitlines() if '"test"' in line]
    prepared, _ = engine.prepare("geo", str(run / "recipe.toml"), [], run)
    shown = usage.example(prepared)
    blank = [Image.new("RGB", size) for size in shown.sizes]
    assert len(blank) == 1 + len(task["labels"])
    turn = [{"role": "user", "content": shown.content}]
    (expected,) = rollouts.generate(models.load(run / "grpo"), [(turn, blank)], max_new_tokens=12, batch=1)
    assert said.getvalue().strip() == expected.text.strip() != ""
    compile(for_vllm, "README.md", "exec")
    assert 'limit_mm_per_prompt={"image": 6}' in for_vllm


def test_the_code_for_a_model_of_text_alone_answers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = build_tokenizer(["Which", " code", "?", "A", "B"])
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    policy = models.load(tmp_path)
    code = usage.with_transformers(policy, usage.Example("Which code?", ()), 6)
    with inside(tmp_path, monkeypatch) as said:
        exec(compile(code, "card", "exec"), {})
    turns = [({"role": "user", "content": [{"type": "text", "text": "Which code?"}]},)]
    (expected,) = rollouts.generate(policy, [(list(turns[0]), [])], max_new_tokens=6, batch=1)
    assert said.getvalue().rstrip("\n") == expected.text
    assert "LLM(place)" in usage.with_vllm(policy, usage.Example("Which code?", ()), 6)
