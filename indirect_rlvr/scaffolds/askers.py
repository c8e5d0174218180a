"""Who runs a teacher: one of evaluation's backends; and what can be found wrong with one before a run starts."""

import os
from importlib.util import find_spec
from ipaddress import ip_address

import httpx

from indirect_rlvr.config import Scaffold
from indirect_rlvr.errors import ConfigError
from indirect_rlvr.evaluation.backends.answers import Ask, Limits


def asker(settings: Scaffold) -> Ask:
    """The teacher behind the backend that `writer` names; a model in this process is loaded."""
    teacher = settings.teacher
    limits = Limits(teacher.max_tokens, teacher.max_pixels or None, teacher.temperature)
    if settings.writer == "openai-url":
        from indirect_rlvr.evaluation.backends import openai_url

        body = {key: None if value == "" else value for key, value in teacher.request.items()}
        names = ("url", "model", "key_variable", "concurrency", "timeout_s", "retries")
        return openai_url.asker(openai_url.Server(**teacher.model_dump(include=set(names)), body=body), limits)
    if settings.writer == "vllm":
        from indirect_rlvr.evaluation.backends import vllm

        return vllm.asker(teacher.model, limits, batch=teacher.concurrency)
    from indirect_rlvr.evaluation.backends import local

    return local.asker(teacher.model, limits, dtype="bfloat16", batch=teacher.concurrency)


def require_usable(settings: Scaffold) -> None:
    """Raise ConfigError for a teacher that cannot be asked: no name, a URL that is none, a folder that is not there, a
    package that is missing. Nothing is sent and nothing loaded."""
    teacher = settings.teacher
    if settings.writer == "rules":
        return
    if not teacher.model.strip():
        raise ConfigError(
            f'`scaffold.teacher.model` is empty, and `scaffold.writer` is "{settings.writer}"; name the model, or take '
            'writer = "rules"'
        )
    if teacher.budget and not (teacher.price_in or teacher.price_out):
        raise ConfigError(
            f"`scaffold.teacher.budget` is {teacher.budget:g}, and both prices are 0, so nothing would count "
            "against it; give scaffold.teacher.price_in and price_out, or leave the budget out"
        )
    if settings.writer == "openai-url":
        asker(settings)
        return
    from indirect_rlvr.training.base import require_there

    require_there(teacher.model, "scaffold.teacher.model")
    if settings.writer == "vllm" and find_spec("vllm") is None:
        raise ConfigError(
            "`scaffold.writer` is \"vllm\", which is not installed here; pip install 'indirect-rlvr[vllm]' on a "
            'machine with a GPU, or take writer = "transformers" or "openai-url"'
        )


def lacks_key(settings: Scaffold) -> str:
    """A note where a server elsewhere is asked without a key, which most refuse; "" where that is as it should be."""
    teacher = settings.teacher
    if settings.writer != "openai-url" or os.environ.get(teacher.key_variable) or _is_here(teacher.url):
        return ""
    return f"${teacher.key_variable} is not set, so `{teacher.url}` is asked without a key"


def _is_here(url: str) -> bool:
    """Whether a URL leads to this machine by its name or address."""
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
