"""A model that writes traces: asked through the backends of evaluation, every answer kept on disk, a budget kept to.

Answers lie in one file, a line each, under a digest of all they depend on: model, sampling, the prompt with the bytes
of its images, and the attempt. Kill it and continue, and nothing is asked twice.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from indirect_rlvr.config import Scaffold, Teacher
from indirect_rlvr.data.records import FORMATS
from indirect_rlvr.domain import Domain
from indirect_rlvr.errors import RunError
from indirect_rlvr.evaluation import asking as answers
from indirect_rlvr.evaluation.backends.answers import Ask
from indirect_rlvr.progress import tell
from indirect_rlvr.run import digest, file_digest, keyed_rng, plain
from indirect_rlvr.scaffolds import asking, cost
from indirect_rlvr.scaffolds.askers import asker
from indirect_rlvr.scaffolds.written import Written
from indirect_rlvr.types import Prompt, ProxyTask, Record, View

ANSWERS = "teacher.jsonl"
TRIAL = 16
"""Tasks of the first portion, from which the cost of the rest is told; without one good trace among them it ends."""
ROUNDS = 32
"""Times `teacher.concurrency` tasks are a portion: the last ones of each wait for each other."""


class Asked:
    """A teacher at work for one run; a `Writer`.

    `views` is the folder of the image views, `path` the file of answers, `count` how many traces are wanted.
    """

    def __init__(
        self,
        domain: Domain,
        settings: Scaffold,
        records: Mapping[str, Record],
        views: Path,
        path: Path,
        seed: int,
        load: Callable[[Scaffold], Ask] = asker,
    ) -> None:
        self.teacher: Teacher = settings.teacher
        self.about = f"the teacher `{self.teacher.model}`, its prompt (docs/scaffolds.md) or its settings"
        self.trial, self.attempts = TRIAL, self.teacher.attempts if self.teacher.temperature else 1
        self._domain, self._settings, self._views, self._path, self._seed = domain, settings, views, path, seed
        self._briefs = asking.Briefs(domain, records)
        self._load = load
        self._asker: Ask | None = None
        self._digests: dict[str, str] = {}
        self._answers = {row["id"]: row for row in answers.read(path)[0]}
        self._guess, self._estimates = 0.0, 0

    def portion(self, asked: int) -> int:
        """A few first, then as many as keep the server busy."""
        return ROUNDS * self.teacher.concurrency if asked else TRIAL

    def write(self, tasks: Sequence[ProxyTask], attempt: int, kept: int) -> list[Written]:
        """The teacher's traces, those that are on disk already not asked again.

        Raises RunError where the budget is spent, or the teacher fails for good; what came is on disk.
        """
        prompts = [self._prompt(task) for task in tasks]
        self._guess = self._guess or sum(map(self._guessed, prompts)) / len(prompts)
        wanted = [self._query(task, prompt, attempt) for task, prompt in zip(tasks, prompts, strict=True)]
        self._say_ahead()
        self._ask(wanted, keyed_rng(self._seed, "attempt", attempt).getrandbits(31), kept)
        self._say_ahead()
        return [_written(self._answers[query.id], query.prompt, self.teacher.max_tokens) for query in wanted]

    def usage(self) -> cost.Usage:
        """What all answers on disk took."""
        return cost.measured(self._answers.values(), self._guess)

    def _ask(self, wanted: Sequence[answers.Query], seed: int, kept: int) -> None:
        """Put what has no answer yet to the teacher, as far as the budget goes."""
        label = f"teacher, {kept:,} of {self._settings.count:,} traces kept"
        while left := [query for query in wanted if query.id not in self._answers]:
            allowed = cost.affordable(self.teacher, self.usage(), len(left), self._guess)
            if not allowed:
                raise RunError(self._spent(kept))
            now = {query.id for query in left[:allowed]}
            asked = [query for query in wanted if query.id in self._answers or query.id in now]
            load = partial(self._loaded, seed)
            self._answers |= answers.ask(load, self._path, asked, self._views, label, keep_others=True)

    def _spent(self, kept: int) -> str:
        usage = self.usage()
        return (
            f"the budget of {self.teacher.budget:g} does not pay for another answer: {usage.says(self.teacher)}; "
            f"{kept:,} of {self._settings.count:,} traces are kept, and all answers lie in `{self._path}`. Give the "
            "same command with a higher scaffold.teacher.budget to go on: nothing is asked twice"
        )

    def _say_ahead(self) -> None:
        """What is still to come: before the first portion by guess, and once more when that has been measured."""
        self._estimates += 1
        if self._estimates > 2:
            return
        so_far = self.usage()
        left = max(0, self._settings.count - so_far.answers)
        ahead = cost.estimate(so_far, left, self._guess, self.teacher.max_tokens)
        basis = f"by the mean of {so_far.answers:,}" if so_far.answers else "a guess, and each as long as it may be"
        tell(f"teacher `{self.teacher.model}`: ahead are about {ahead.says(self.teacher)} ({basis})")

    def _loaded(self, seed: int) -> Ask:
        """The asker, made once, with the seed of an attempt."""
        if self._asker is None:
            self._asker = self._load(self._settings)
        return partial(self._asker, seed=seed)

    def _prompt(self, task: ProxyTask) -> Prompt:
        sentences = self._briefs.told(task)
        return asking.prompt(self._domain, task, sentences, shows_answer=self.teacher.shows_answer)

    def _query(self, task: ProxyTask, prompt: Prompt, attempt: int) -> answers.Query:
        chosen = self.teacher.model_dump(include={"model", "max_tokens", "temperature", "max_pixels", "request"})
        shown = [self._digest(view.content) for view in _image_views(prompt)]
        mark = digest([self._settings.writer, chosen, plain(prompt), shown, self._seed, attempt])[:24]
        return answers.Query(f"{task.id} {mark}", prompt, mark)

    def _digest(self, content: str) -> str:
        """Of an image's bytes; "" where it cannot be read, which asking finds out."""
        if content not in self._digests:
            path = self._views / content
            self._digests[content] = file_digest(path) if path.is_file() else ""
        return self._digests[content]

    def _guessed(self, prompt: Prompt) -> float:
        shown = [self._views / view.content for view in _image_views(prompt)]
        cap = self.teacher.max_pixels
        pixels = [min(count, cap) if cap else count for count in map(_pixels, shown)]
        return cost.prompt_tokens(len(_words(prompt)), sum(pixels))


def _written(row: answers.Row, prompt: Prompt, max_tokens: int) -> Written:
    if "missing" in row:
        return Written(None, "unreadable image")
    if not row.get("finished", True):
        return Written(row["text"], f"cut off at {max_tokens:,} tokens")
    text = row["text"].strip().encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair becomes "?"
    return Written(text, wording=_words(prompt))


def _image_views(prompt: Prompt) -> list[View]:
    return [part for part in prompt.parts if isinstance(part, View) and part.modality == "image"]


def _words(prompt: Prompt) -> str:
    texts = [
        part.content if isinstance(part, View) else part for part in prompt.parts if part not in _image_views(prompt)
    ]
    return "\n".join(texts)


def _pixels(path: Path) -> int:
    """From the header; 0 where it cannot be read, which asking finds out."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.width * image.height
    except Exception:  # decoders raise anything on torn bytes
        return 0
