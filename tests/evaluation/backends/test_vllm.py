"""What can be tested without a GPU: the message where vLLM is missing, and the tokens that are never sampled."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation.backends import vllm
from indirect_rlvr.evaluation.backends.answers import Limits
from indirect_rlvr.training import models


@pytest.mark.skipif(find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_message_says_how_to_get_it(tiny_folder: Path) -> None:
    with pytest.raises(RunError, match=r"pip install 'indirect-rlvr\[vllm\]', or take --backend transformers"):
        vllm.asker(tiny_folder, Limits(4))


def test_the_tokens_never_sampled_are_those_of_the_transformers_backend(tiny_folder: Path) -> None:
    assert vllm._banned(str(tiny_folder)) == models.suppressed_token_ids(models.load(tiny_folder))


@pytest.mark.gpu
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed; it is the extra `vllm`")
def test_vllm_answers_every_prompt_with_its_frames(tiny_folder: Path, images: Path, prompts: list) -> None:
    found = dict(vllm.asker(tiny_folder, Limits(6), dtype="float32")(prompts, images))
    assert sorted(found) == [0, 1, 2, 3]
    assert [len(found[i].frames) for i in range(4)] == [0, 1, 2, 1]
