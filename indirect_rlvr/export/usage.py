"""How an exported model is asked, as code for its model card: one held-out prompt of its run, with blank pictures.

The code is what `rlvr eval` does: greedy, no penalty of repetition, and no special token but the end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from indirect_rlvr.data import proxy
from indirect_rlvr.pipeline import Run
from indirect_rlvr.training import dataset
from indirect_rlvr.training.models import Policy, suppressed_token_ids
from indirect_rlvr.training.tiny import ImageOnlyProcessor

TRANSFORMERS = Template("""\
$imports

place = "."  # this folder, or its name on the Hub
$loading
model = $auto.from_pretrained(place, dtype="auto").eval()
$prompt
with torch.inference_mode():
    tokens = model.generate(
        **inputs,
        max_new_tokens=$limit,
        do_sample=False,
        repetition_penalty=1.0,
        suppress_tokens=$suppressed,
    )
print($decoder.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
""")
VLLM = Template("""\
$imports
from vllm import LLM, SamplingParams

place = "."  # this folder, or its name on the Hub
$loading
$prompt
sampling = SamplingParams(
    temperature=0.0,
    repetition_penalty=1.0,
    max_tokens=$limit,
    logit_bias=dict.fromkeys($suppressed, -100.0),
)
if __name__ == "__main__":  # vLLM starts processes that import this file
    model = LLM(place$multimodal)
    print(model.generate($asked, sampling)[0].outputs[0].text)
""")
IMAGE_ONLY = "from indirect_rlvr.training.tiny import load_processor"


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt as the model was trained on: one user turn, and the (width, height) of each of its images."""

    content: str | Sequence[Mapping[str, str]]
    sizes: Sequence[tuple[int, int]]


def example(run: Run) -> Example:
    """The first held-out task of a run, or its first task."""
    tasks = proxy.read(run.folder / "tasks.jsonl")
    task = next((task for task in tasks if task.split == "test"), tasks[0])
    (row,) = dataset.rows([task], run.domain, run.views)
    return Example(row["prompt"][0]["content"], [_size(Path(path)) for path in row.get("images", ())])


def with_transformers(policy: Policy, shown: Example, limit: int) -> str:
    """Code that asks the model in the current folder with transformers; `limit` is in tokens. A processor that was used
    here without its part for videos is loaded in a way that needs no torchvision."""
    image_only = isinstance(policy.processor, ImageOnlyProcessor)
    auto = "AutoModelForImageTextToText" if policy.is_vision else "AutoModelForCausalLM"
    loader = "AutoProcessor" if policy.is_vision else "AutoTokenizer"
    names = [auto] if image_only else sorted([auto, loader])
    imports = ["import torch", *_picture(policy), f"from transformers import {', '.join(names)}"]
    return TRANSFORMERS.substitute(
        imports="\n".join(_spaced(imports, image_only)),
        loading=_loading(policy, image_only),
        auto=auto,
        prompt=_prompt(policy, shown) + _encoded(policy),
        limit=limit,
        suppressed=suppressed_token_ids(policy),
        decoder="processor" if policy.is_vision else "tokenizer",
    )


def with_vllm(policy: Policy, shown: Example, limit: int) -> str:
    """Code that asks the model in the current folder with vLLM, which brings torchvision along."""
    loader = "AutoProcessor" if policy.is_vision else "AutoTokenizer"
    return VLLM.substitute(
        imports="\n".join([*_picture(policy), f"from transformers import {loader}"]),
        loading=_loading(policy, image_only=False),
        prompt=_prompt(policy, shown),
        multimodal=f', limit_mm_per_prompt={{"image": {len(shown.sizes)}}}' if shown.sizes else "",
        limit=limit,
        suppressed=suppressed_token_ids(policy),
        asked='{"prompt": prompt, "multi_modal_data": {"image": images}}' if shown.sizes else "prompt",
    )


def _picture(policy: Policy) -> list[str]:
    return ["from PIL import Image"] if policy.is_vision else []


def _spaced(imports: list[str], image_only: bool) -> list[str]:
    return [*imports, "", IMAGE_ONLY] if image_only else imports


def _loading(policy: Policy, image_only: bool) -> str:
    if not policy.is_vision:
        return "tokenizer = AutoTokenizer.from_pretrained(place)"
    return f"processor = {'load_processor' if image_only else 'AutoProcessor.from_pretrained'}(place)"


def _prompt(policy: Policy, shown: Example) -> str:
    """Lines that make `prompt`, and `images` where there are some; every literal is ASCII on one line."""
    if not policy.is_vision:
        return (
            f"question = {_literal(dataset.as_text([{'role': 'user', 'content': shown.content}])[0]['content'])}\n"
            'turns = [{"role": "user", "content": question}]\n'
            "prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)"
        )
    content: Any = shown.content if not isinstance(shown.content, str) else [{"type": "text", "text": shown.content}]
    lines = ["images = [  # blank: put yours in their place, with Image.open"]
    lines += [f'    Image.new("RGB", ({width}, {height})),' for width, height in shown.sizes]
    lines += ["]", "content = ["]
    lines += [f"    {_part(part)}," for part in content]
    lines += [
        "]",
        'turns = [{"role": "user", "content": content}]',
        "prompt = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)",
    ]
    return "\n".join(lines)


def _encoded(policy: Policy) -> str:
    if not policy.is_vision:
        return '\ninputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")'
    return '\ninputs = processor(text=[prompt], images=images or None, return_tensors="pt")'


def _part(part: Mapping[str, str]) -> str:
    if part["type"] == "image":
        return '{"type": "image"}'
    return f'{{"type": "text", "text": {_literal(part["text"])}}}'


def _literal(text: str) -> str:
    """A Python literal of a foreign text, in ASCII."""
    return ascii(text)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
