"""The short answer that a response states: what stands in its answer tag, or all of it where it has no tags; and the
first answer tag, which is the one that released readers look into."""

from indirect_rlvr.rewards.parsing import ANSWER, THINK, last_answer


def first_answer(text: str) -> str | None:
    """The content of the first `<answer>` that is closed, stripped, or None without one."""
    _, opened, rest = text.partition(ANSWER[0])
    answer, closed, _ = rest.partition(ANSWER[1])
    return answer.strip() if opened and closed else None


def stated(text: str) -> str | None:
    """The content of the last answer tag, or the whole text where it has no tags at all.

    None where tags were begun and no answer was finished: a cut-off thought is no answer.
    """
    answer = last_answer(text)
    if answer is None and not any(tag in text for tag in (*THINK, *ANSWER)):
        return text
    return answer
