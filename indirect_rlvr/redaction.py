"""Takes secrets out of what a run writes and says: tokens, keys and passwords, by name, form or value.

Secrets belong into environment variables; this is for the one that stands in a recipe or in a URL nevertheless.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

WITHHELD = "(withheld)"

_NAMES = re.compile(
    r"(?:^|[_-])(?:api_?key|access_?key|private_?key|secret|password|passwd|credentials?|bearer"
    r"|(?:hub|hf|auth|access|api|refresh|session|github|wandb)_token)(?:$|[_-])|^token$",
    re.I,
)
_FORMS = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bsk-[A-Za-z0-9_-]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
)
_CREDENTIALS = re.compile(r"(?<=://)[^\s/@\"'<>]{1,400}@")
_ASSIGNED = re.compile(r"([A-Za-z0-9_.-]{1,100})=([^\s=]{1,2000})")
VARIABLES = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "WANDB_API_KEY", "GITHUB_TOKEN",
    "AWS_SECRET_ACCESS_KEY", "VLLM_API_KEY",
)  # fmt: skip
"""Environment variables whose values are never written, wherever they turn up."""
SHORTEST = 8
"""Characters of an environment variable's value that is looked for."""


def redacted(value: Any) -> Any:
    """A JSON value without the secrets in it; everything else is as it was.

    Under a secret's name texts and whole numbers are withheld, those of lists too. Fractions, which are the weights of
    reward terms that may have any name, stay, and so do true, false and nothing.
    """
    if isinstance(value, Mapping):
        return {key: _withheld(item) if is_secret(str(key)) else redacted(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    return redacted_text(value) if isinstance(value, str) else value


def _withheld(item: Any) -> Any:
    if isinstance(item, (list, tuple)):
        return [_withheld(part) for part in item]
    is_number = isinstance(item, int) and not isinstance(item, bool)
    return WITHHELD if is_number or (isinstance(item, str) and item) else redacted(item)


def redacted_text(text: str) -> str:
    """A text without keys of a known form, passwords in URLs, `name=value` of a secret's name, and the values of
    VARIABLES; linear in the text."""
    for name in VARIABLES:
        known = os.environ.get(name, "")
        if len(known) >= SHORTEST:
            text = text.replace(known, WITHHELD)
    text = _FORMS.sub(WITHHELD, text)
    text = _CREDENTIALS.sub(f"{WITHHELD}@", text)
    return _ASSIGNED.sub(_assigned, text)


def is_secret(name: str) -> bool:
    """Whether a key's name says that its value is a secret: `hub_token` does, `eos_token` and `max_tokens` do not."""
    return bool(_NAMES.search(name.rpartition(".")[2]))


def _assigned(found: re.Match[str]) -> str:
    return f"{found[1]}={WITHHELD}" if is_secret(found[1]) else found[0]
