"""A few held-out tasks as they were asked, with pictures, the right answer and what every row wrote."""

from collections.abc import Mapping, Sequence

from indirect_rlvr.evaluation.score import Score, score_predictions
from indirect_rlvr.reporting import claims
from indirect_rlvr.reporting.blocks import folded, model_style, paragraph, section
from indirect_rlvr.reporting.contents import Contents
from indirect_rlvr.reporting.markup import Html, element, join
from indirect_rlvr.reporting.pictures import show
from indirect_rlvr.reporting.wording import number
from indirect_rlvr.types import ProxyTask, Verdict

RIGHT, WRONG = 2, 2
"""How many tasks are shown that the last row answered rightly and wrongly."""

Scores = Mapping[str, Mapping[str, Score]]
Checked = Mapping[str, claims.Verdicts]


def examples_section(contents: Contents) -> Html:
    """The first tasks that the last row answered rightly, those the first row missed before others, and wrongly."""
    models = list(contents.predictions)
    scores = {model: _scored(contents, model) for model in models}
    chosen = pick(contents.tasks, scores[models[0]], scores[models[-1]])
    verdicts = {model: claims.read(contents.folder / "evaluation" / model) for model in models}
    return section(
        "examples",
        "Tasks and traces",
        paragraph(
            f"Chosen by rule, not by hand: in file order, {RIGHT} tasks that {models[-1]} answered rightly (those that "
            f"{models[0]} missed before others) and {WRONG} that it answered wrongly.",
            style="note",
        ),
        *(_task(contents, task, scores, verdicts) for task in chosen),
    )


def pick(tasks: Sequence[ProxyTask], first: Mapping[str, Score], last: Mapping[str, Score]) -> list[ProxyTask]:
    """The tasks to show, right ones before wrong ones."""
    right = sorted((task for task in tasks if last[task.id].correct), key=lambda task: first[task.id].correct)
    wrong = [task for task in tasks if not last[task.id].correct]
    return right[:RIGHT] + wrong[:WRONG]


def _scored(contents: Contents, model: str) -> dict[str, Score]:
    return {score.id: score for score in score_predictions(contents.tasks, contents.predictions[model].values())}


def _task(contents: Contents, task: ProxyTask, scores: Scores, verdicts: Checked) -> Html:
    models = list(scores)
    records = contents.folder / "records"
    last = scores[models[-1]][task.id]
    said = "gave no readable answer" if last.answer is None else f"answered {last.answer}"
    heading = f"{models[-1]} {said}: {'right' if last.correct else 'wrong'}"
    queries = [
        element(
            "figure", {"class": "query"}, show(view, records, f"query: {view.kind}"), _caption(f"query: {view.kind}")
        )
        for view in task.question.query
    ]
    candidates = [_candidate(contents, task, scores, label, index) for index, label in enumerate(task.labels)]
    return element(
        "article",
        {"class": "task"},
        element("h3", None, heading),
        paragraph(element("small", None, f"task {task.id}"), style="id"),
        element("div", {"class": "queries"}, *queries),
        paragraph(task.question.text, style="question"),
        element("div", {"class": "candidates"}, *candidates),
        *(
            _trace(contents, scores[model][task.id], model, models, verdicts[model].get(task.id, ()))
            for model in reversed(models)
        ),
    )


def _candidate(contents: Contents, task: ProxyTask, scores: Scores, label: str, index: int) -> Html:
    view = task.question.candidates[index]
    right = label == task.answer
    said = f"candidate {label}: {view.kind}" + (", the right answer" if right else "")
    choosers = [model for model in scores if scores[model][task.id].answer == label]
    marks = [element("strong", {"class": "right"}, "✓ right answer")] if right else []
    marks += [element("span", {"class": "chosen"}, f"chosen by {', '.join(choosers)}")] if choosers else []
    caption = element("figcaption", None, element("b", None, label), *marks)
    picture = show(view, contents.folder / "records", said)
    return element("figure", {"class": "candidate is-right" if right else "candidate"}, picture, caption)


def _trace(contents: Contents, score: Score, model: str, models: Sequence[str], verdicts: Sequence[Verdict]) -> Html:
    verdict = "right" if score.correct else "wrong"
    length = f"{number(score.tokens)} tokens" + ("" if score.finished else ", cut by the limit")
    text = contents.predictions[model][score.id].text or "(nothing)"
    return folded(
        f"{model}: {_answer(score)}, {verdict} ({length})",
        element("pre", {"class": "trace", "dir": "ltr", "tabindex": 0}, *claims.marked(text, verdicts)),
        *claims.summary(verdicts),
        opened=model == models[-1],
        style=f"trace-of {model_style(model, models)}",
    )


def _answer(score: Score) -> str:
    return "no readable answer" if score.answer is None else score.answer


def _caption(words: str) -> Html:
    return element("figcaption", None, join(words))
