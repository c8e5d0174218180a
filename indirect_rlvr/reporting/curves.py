"""Learning curves from the training logs: SFT, then the two GRPO trainings drawn together."""

from collections.abc import Mapping, Sequence
from typing import Any

from indirect_rlvr.reporting.blocks import model_style, paragraph, section
from indirect_rlvr.reporting.charts import SMOOTHED_FROM, Series, line_chart
from indirect_rlvr.reporting.contents import Contents
from indirect_rlvr.reporting.markup import Html, element, join

Log = Sequence[Mapping[str, Any]]

SFT_CURVES = (("loss", "SFT loss"), ("mean_token_accuracy", "SFT token accuracy"))
GRPO_CURVES = (
    ("reward", "Reward"),
    ("rewards/accuracy/mean", "Reward term: accuracy"),
    ("completions/mean_length", "Completion length, tokens"),
    ("entropy", "Entropy, nats per token"),
)


FARTHEST = 1e150
"""Values further from 0 than this are not drawn; squares of them are still numbers."""


def curves_section(contents: Contents) -> Html:
    """Every curve the logs have; a training whose row was left out has none."""
    models = [row["model"] for row in contents.results["rows"]]
    domain = contents.manifest.get("domain", "")
    names = {"sft": f"{domain}-sft", "grpo-zero": f"{domain}-r1-zero", "grpo": f"{domain}-r1"}
    logs = {stage: log for stage, log in contents.logs.items() if names[stage] in models}
    styles = {stage: model_style(names[stage], models) for stage in logs}
    sft = {stage: log for stage, log in logs.items() if stage == "sft"}
    grpo = {stage: log for stage, log in logs.items() if stage != "sft"}
    known = {curve for curve, _ in GRPO_CURVES}
    terms = [(curve, f"Reward term: {_term(curve)}") for curve in _terms(grpo) if curve not in known]
    charts = [
        chart
        for drawn, curves in ((grpo, [*GRPO_CURVES[:2], *terms, *GRPO_CURVES[2:]]), (sft, SFT_CURVES))
        for curve, title in curves
        if (chart := _chart(title, [Series(names[s], styles[s], _points(log, curve)) for s, log in drawn.items()]))
    ]
    if not charts:
        return section("curves", "Learning curves", paragraph("No training log is in the run folder."))
    legend = [element("span", {"class": "key"}, element("i", {"class": f"{styles[s]} swatch"}), names[s]) for s in logs]
    return section(
        "curves",
        "Learning curves",
        element("p", {"class": "legend"}, *legend),
        element("div", {"class": "charts"}, *charts),
        paragraph(
            f"Per optimizer step, over the rollouts of the step, sampled and not greedy. From {SMOOTHED_FROM} steps on "
            "the strong line is a running mean over the faint values.",
            style="note",
        ),
    )


def _chart(title: str, series: Sequence[Series]) -> Html | None:
    if not any(s.points for s in series):
        return None
    return element("figure", None, element("figcaption", None, title), join(line_chart(title, series)))


def _points(log: Log, curve: str) -> list[tuple[float, float]]:
    """The values of one curve that can be drawn; the trainer writes null where a value was not a number."""
    rows = [(row.get("step"), row.get(curve)) for row in log]
    return [
        (float(x), float(y))
        for x, y in rows
        if isinstance(x, (int, float)) and isinstance(y, (int, float)) and abs(x) <= FARTHEST and abs(y) <= FARTHEST
    ]


def _terms(logs: Mapping[str, Log]) -> list[str]:
    """The mean of each reward term, in the order of the log."""
    curves = dict.fromkeys(curve for log in logs.values() for row in log for curve in row)
    return [curve for curve in curves if curve.startswith("rewards/") and curve.endswith("/mean")]


def _term(curve: str) -> str:
    return curve.removeprefix("rewards/").removesuffix("/mean")
