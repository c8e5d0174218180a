"""lmms-eval: one YAML task for each benchmark, whose functions call back into this package.

lmms-eval does not say at which size its model saw an image, so that boxes are taken to be in the file's own pixels.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from indirect_rlvr.export import bundle, callbacks, harness
from indirect_rlvr.run import disk_errors, write_text
from indirect_rlvr.training import dataset
from indirect_rlvr.types import Counts, Example

DOCS = "docs.parquet"
MAX_NEW_TOKENS = 2048

UTILS = Template('''"""Benchmarks of domain `$domain` for lmms-eval; it needs indirect-rlvr and the pack of the domain.

lmms_eval --include_path THIS_FOLDER --tasks $example --model ...
"""

from pathlib import Path

from indirect_rlvr.export import lmms_eval

FOLDER = Path(__file__).resolve().parent / "bundle"


def doc_to_visual(doc):
    return lmms_eval.visuals(FOLDER, doc)


def doc_to_text(doc, lmms_eval_specific_kwargs=None):
    return lmms_eval.text(FOLDER, doc)


def doc_to_messages(doc, lmms_eval_specific_kwargs=None):
    return lmms_eval.messages(FOLDER, doc)


def process_results(doc, results):
    return lmms_eval.results(FOLDER, doc, results)
''')

METRIC = Template("""

def $function(items):
    return lmms_eval.aggregate(FOLDER, $benchmark, $key, items)
""")


def export(
    domain: str,
    wanted: str,
    out: Path,
    *,
    recipe: str = "default",
    data_root: Path | None = None,
    limit: int | None = None,
) -> tuple[Counts, list[dict[str, str]]]:
    """Write utils.py, a YAML file for each benchmark and what they score with into `out`, all or nothing.

    Returns how many tasks there are, and the benchmarks that were not exported with the reason. The YAML files name
    the data by an absolute path: export again after moving the folder. Raises as `harness.fill` does.
    """
    with bundle.exported(out) as folder:
        about = harness.fill("lmms-eval", domain, wanted, folder, recipe_name=recipe, data_root=data_root, limit=limit)
        names = [harness.task_name(domain, row["name"]) for row in about["benchmarks"]]
        code = [UTILS.substitute(domain=domain, example=names[0])]
        for row, name in zip(about["benchmarks"], names, strict=True):
            functions = {key["key"]: f"{name}_{index}" for index, key in enumerate(row["keys"])}
            code += [
                METRIC.substitute(function=function, benchmark=repr(row["name"]), key=repr(key))
                for key, function in functions.items()
            ]
            _write_docs(folder / harness.INSIDE, row["name"])
            docs = out.resolve() / harness.INSIDE / row["name"] / DOCS
            write_text(folder / f"{name}.yaml", _yaml(name, docs, row, functions))
        write_text(folder / "utils.py", "".join(code))
    return Counts(len(names), "tasks"), about["not_exported"]


def visuals(folder: Path, doc: Mapping[str, Any]) -> list[Image.Image]:
    """The images of a prompt in reading order, upright and RGB."""
    task = callbacks.tasks(folder)[doc["benchmark"]]
    return dataset.images(task.examples[doc["id"]].prompt, task.folder)


def text(folder: Path, doc: Mapping[str, Any]) -> str:
    """The prompt as one text, for models that take images apart from it: [image N] where there are several."""
    (turn,) = dataset.messages(_example(folder, doc).prompt)
    images = [part for part in turn["content"] if part["type"] == "image"]
    numbers = iter(range(1, len(images) + 1))
    words = [
        part["text"] if part["type"] == "text" else f"[image {next(numbers)}]" if len(images) > 1 else ""
        for part in turn["content"]
    ]
    return "\n".join(word for word in words if word)


def messages(folder: Path, doc: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The prompt as one chat turn, images and texts in reading order."""
    (turn,) = dataset.messages(_example(folder, doc).prompt)
    left = iter(visuals(folder, doc))
    content = [{"type": "image", "url": next(left)} if part["type"] == "image" else part for part in turn["content"]]
    return [{"role": "user", "content": content}]


def results(folder: Path, doc: Mapping[str, Any], texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """The response under the key of every metric: what `aggregate` needs of it."""
    payload = {"id": doc["id"], "text": texts[0]}
    return {key.key: payload for key in callbacks.tasks(folder)[doc["benchmark"]].keys}


def aggregate(folder: Path, benchmark: str, key: str, items: Sequence[Mapping[str, str]]) -> float:
    """One metric of the benchmark over all responses, as the benchmark itself computes it."""
    return callbacks.measured(folder, benchmark, {item["id"]: item["text"] for item in items})[key]


def _example(folder: Path, doc: Mapping[str, Any]) -> Example:
    return callbacks.tasks(folder)[doc["benchmark"]].examples[doc["id"]]


def _write_docs(inside: Path, name: str) -> None:
    """Which examples there are; parquet, because a reader of JSON takes some ids for dates."""
    examples = callbacks.read_examples(inside / name)
    rows = [
        {"id": example.id, "benchmark": name, "target": json.dumps(dict(example.truth), ensure_ascii=False)}
        for example in examples
        if not example.missing
    ]
    with disk_errors(inside):
        pq.write_table(pa.Table.from_pylist(rows), inside / name / DOCS)


def _yaml(name: str, docs: Path, row: Mapping[str, Any], functions: Mapping[str, str]) -> str:
    """A task file; JSON strings are YAML strings."""
    better = {key["key"]: key["higher_is_better"] for key in row["keys"]}
    metrics = "".join(
        f"  - metric: {json.dumps(key)}\n    aggregation: !function utils.{function}\n"
        f"    higher_is_better: {json.dumps(better[key])}\n"
        for key, function in functions.items()
    )
    return (
        f"task: {name}\n"
        "dataset_path: parquet\n"
        f"dataset_kwargs: {{data_files: {{test: {json.dumps(str(docs))}}}}}\n"
        "test_split: test\n"
        "output_type: generate_until\n"
        "doc_to_visual: !function utils.doc_to_visual\n"
        "doc_to_text: !function utils.doc_to_text\n"
        "doc_to_messages: !function utils.doc_to_messages\n"
        "doc_to_target: target\n"
        "process_results: !function utils.process_results\n"
        f"generation_kwargs: {{max_new_tokens: {MAX_NEW_TOKENS}, temperature: 0, do_sample: false, until: []}}\n"
        f"metric_list:\n{metrics}"
        f"metadata: {{version: 1.0, prompt_hash: {json.dumps(row['prompt_hash'])}}}\n"
    )
