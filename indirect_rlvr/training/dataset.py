"""Turn rendered tasks into what a chat model reads: messages, decoded images, and the data sets of TRL.

Prompts come from records, which nobody vetted: control tokens in their text and images past a size are refused.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
from PIL import Image

from indirect_rlvr.data.records import FORMATS, MAX_PIXELS, image_path, open_image
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import DataError
from indirect_rlvr.training.images import decoded
from indirect_rlvr.types import Prompt, ProxyTask, View

CONTROL_TOKEN = re.compile(r"<\|[A-Za-z0-9_]{1,40}\|>")

Messages = list[dict[str, Any]]


def messages(prompt: Prompt) -> Messages:
    """One user turn of `{"type": "image"}` and `{"type": "text", "text": …}` parts in reading order.

    Texts that follow each other become one part, a line each. Raises DataError where a text holds a control token.
    """
    content: list[dict[str, str]] = []
    for part in prompt.parts:
        if isinstance(part, View) and part.modality == "image":
            content.append({"type": "image"})
            continue
        text = _plain(part.content if isinstance(part, View) else part)
        if content and content[-1]["type"] == "text":
            content[-1]["text"] += "\n" + text
        else:
            content.append({"type": "text", "text": text})
    return [{"role": "user", "content": content}]


def _plain(text: str) -> str:
    found = CONTROL_TOKEN.search(text)
    if found:
        raise DataError(f"a prompt holds the control token `{found[0]}` in {text[:80]!r}; clean the record's text")
    return text


def as_text(conversation: Messages) -> Messages:
    """The same turns with plain strings as content, as chat templates of text-only models want them.

    Raises DataError where a turn shows an image.
    """
    return [{**turn, "content": _only_text(turn["content"])} for turn in conversation]


def _only_text(content: str | Sequence[Mapping[str, str]]) -> str:
    if isinstance(content, str):
        return content
    if any(part["type"] != "text" for part in content):
        raise DataError("a text-only model was given a prompt with images; choose a vision model in model.path")
    return "\n".join(part["text"] for part in content)


def images(prompt: Prompt, folder: Path) -> list[Image.Image]:
    """The prompt's images in reading order, decoded, upright and RGB.

    Raises DataError for a path outside `folder`, an unreadable file, or one of more than `MAX_PIXELS` pixels.
    """
    return [_decoded(view.content, folder) for view in _image_views(prompt)]


def _image_views(prompt: Prompt) -> list[View]:
    return [part for part in prompt.parts if isinstance(part, View) and part.modality == "image"]


def _checked(content: str, folder: Path) -> Path:
    """The file of an image whose header says that it may be decoded; decoding is left to whoever asks for its row."""
    path = image_path(folder, content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on bombs, for which MAX_PIXELS is stricter
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size
    except Exception as error:  # decoders raise anything on torn bytes
        raise DataError(
            f"image `{path}` is not a readable {', '.join(FORMATS)} file: {error}; write it again"
        ) from error
    if width * height > MAX_PIXELS:
        raise DataError(f"image `{path}` is {width}x{height}; at most {MAX_PIXELS} pixels are decoded: make it smaller")
    return path


def _decoded(content: str, folder: Path) -> Image.Image:
    _checked(content, folder)
    return open_image(folder, content)


def rows(tasks: Sequence[ProxyTask], domain: Domain, folder: Path) -> list[dict[str, Any]]:
    """One row a task, in order: `task_id`, `prompt` (messages) and, where tasks show images, `images` (their paths).

    Raises DataError where some tasks show images and others none: TRL cannot batch them together.
    """
    prompts = [domain.render(task) for task in tasks]
    with_images = [bool(_image_views(prompt)) for prompt in prompts]
    if len(set(with_images)) > 1:
        odd = tasks[with_images.index(not with_images[0])].id
        raise DataError(f"some tasks show images and some do not (task `{odd}`); render them all alike")
    if not any(with_images):
        return [{"task_id": t.id, "prompt": as_text(messages(p))} for t, p in zip(tasks, prompts, strict=True)]
    known: dict[str, str] = {}
    found = []
    for task, prompt in zip(tasks, prompts, strict=True):
        contents = [view.content for view in _image_views(prompt)]
        known.update({content: str(_checked(content, folder)) for content in contents if content not in known})
        found.append({"task_id": task.id, "prompt": messages(prompt), "images": [known[c] for c in contents]})
    return found


def grpo_dataset(tasks: Sequence[ProxyTask], domain: Domain, folder: Path) -> datasets.Dataset:
    """Columns `task_id`, `prompt` and, for tasks that show images, `images`, decoded on access.

    Raises DataError for a task that is not of the train split.
    """
    _only_train(tasks)
    return _dataset(rows(tasks, domain, folder))


def sft_dataset(
    traces: Sequence[Mapping[str, Any]], tasks: Sequence[ProxyTask], domain: Domain, folder: Path
) -> datasets.Dataset:
    """The columns of `grpo_dataset` and `completion`, one row for each trace (`task_id`, `completion`).

    Raises DataError for a trace of an unknown task or one that is not of the train split.
    """
    by_id = {task.id: task for task in tasks}
    unknown = [trace["task_id"] for trace in traces if trace["task_id"] not in by_id]
    if unknown:
        raise DataError(
            f"{len(unknown)} traces belong to no task, first `{unknown[0]}`; build tasks and scaffold together"
        )
    used = [by_id[trace["task_id"]] for trace in traces]
    _only_train(used)
    found = rows(used, domain, folder)
    for row, trace in zip(found, traces, strict=True):
        text = _plain(trace["completion"])
        content = [{"type": "text", "text": text}] if "images" in row else text
        row["completion"] = [{"role": "assistant", "content": content}]
    return _dataset(found)


def _only_train(tasks: Sequence[ProxyTask]) -> None:
    held_out = [task.id for task in tasks if task.split != "train"]
    if held_out:
        raise DataError(
            f"{len(held_out)} held-out tasks were given to training, first `{held_out[0]}`; pass train tasks"
        )


def _dataset(found: list[dict[str, Any]]) -> datasets.Dataset:
    if not found:
        raise DataError("there is nothing to train on: no task or no trace was given; run the stages before")
    text = datasets.Value("string")
    content = datasets.List({"type": text, "text": text}) if "images" in found[0] else text
    columns = {
        "task_id": text,
        "prompt": datasets.List({"role": text, "content": content}),
        "images": datasets.List(datasets.Image(decode=False)),
        "completion": datasets.List({"role": text, "content": content}),
    }
    features = datasets.Features({name: columns[name] for name in found[0]})
    made = datasets.Dataset.from_list(found, features=features)
    return decoded(made) if "images" in features else made
