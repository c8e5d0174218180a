"""The core's own answers to the optional hooks, as an ordinary plugin of the same contract, asked last."""

from collections.abc import Sequence

from pydantic import BaseModel

from indirect_rlvr.hookspecs import hookimpl
from indirect_rlvr.types import Neighbourhood, Prompt, ProxyTask, Record, View

INSTRUCTION = (
    "First output the thinking process in <think> </think> tags and then output the final answer in "
    "<answer> </answer> tags."
)
"""The answer instruction of Geo-R1's released template (VLM-R1 `qwen_module.py`, task type "default")."""


class NoSettings(BaseModel, frozen=True, extra="forbid"):
    """The settings of a domain that has none."""


@hookimpl(trylast=True)
def domain_settings() -> type[BaseModel]:
    return NoSettings


@hookimpl(trylast=True)
def neighbourhood(settings: BaseModel) -> Neighbourhood:
    return Neighbourhood()


@hookimpl(trylast=True)
def render(settings: BaseModel, task: ProxyTask) -> Prompt:
    parts: list[str | View] = list(task.question.query)
    for label, view in zip(task.labels, task.question.candidates, strict=True):
        parts += [f"{label}:", view]
    return Prompt(parts=(*parts, f"{task.question.text} {INSTRUCTION}"))


@hookimpl(trylast=True)
def brief(settings: BaseModel, record: Record) -> Sequence[str]:
    return ()


@hookimpl(trylast=True)
def check_facts(settings: BaseModel, task: ProxyTask, text: str) -> Sequence[object]:
    return ()
