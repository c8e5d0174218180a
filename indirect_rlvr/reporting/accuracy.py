"""The figures of a run: its rows with intervals and controls, the target tasks, and where the answers fell."""

from collections.abc import Mapping
from typing import Any

from indirect_rlvr.evaluation.score import NONE
from indirect_rlvr.evaluation.transfer import key
from indirect_rlvr.reporting.blocks import Column, model_style, paragraph, section, table
from indirect_rlvr.reporting.charts import accuracy_bar
from indirect_rlvr.reporting.contents import Contents
from indirect_rlvr.reporting.markup import Html, element, join
from indirect_rlvr.reporting.wording import interval, number, p_value, percent, points

CONSTANT = 0.95
"""From this share on one answer to a target task is called out."""


def rows_section(contents: Contents) -> Html:
    """The rows on held-out proxy tasks: accuracy as a bar with its interval, format, length, controls."""
    results = contents.results
    models = [row["model"] for row in results["rows"]]
    columns = [
        Column("Model"), Column("Accuracy, 95 % interval", "wide"), Column("Format", "num"), Column("Tokens", "num"),
        Column("Without query", "num"), Column("Other query", "num"), Column("Reordered", "num"),
    ]  # fmt: skip
    body = [
        [
            row["model"],
            _bar(row["accuracy"], row["ci95"], results["chance"], model_style(row["model"], models)),
            percent(row["format_rate"]),
            number(round(row["mean_completion_tokens"], 1)),
            _control(row["controls"]["no_query"]),
            _control(row["controls"]["other_query"]),
            _control(row["controls"]["permuted"]),
        ]
        for row in results["rows"]
    ]
    first = results["rows"][0]
    return section(
        "rows",
        "The proxy task",
        table(
            f"Accuracy on {first['n']:,} held-out proxy tasks in {first['clusters']:,} clusters", columns, body, "cards"
        ),
        paragraph(
            f"The dashed line is chance, {percent(results['chance'])}. Intervals are clustered: tasks of one place do "
            "not count as independent. Format: completions with exactly one think and one answer part. Tokens: mean "
            "length of a completion. Without query: the same question with nothing to match, where only a shortcut can "
            "beat chance; no answer counts as wrong, and what is left among the answered stands below. Other query: "
            "that of another task, whose place is not among the candidates, so nobody can know. Reordered: the "
            "candidates in another order, where an honest policy does as well as before.",
            style="note",
        ),
    )


def targets_section(contents: Contents) -> Html:
    """The target tasks, first row against last."""
    results, transfer = contents.results, contents.results["transfer"]
    said = paragraph(transfer["statement"])
    if not results["targets"]:
        return section("targets", "The target tasks", said)
    first, last = transfer["first"], transfer["last"]
    columns = [
        Column("Target task"), Column(first, "wide"), Column(last, "wide"), Column("Change, points", "num"),
        Column("p", "num"),
    ]  # fmt: skip
    body = [_target_row(row, first, last) for row in results["targets"]]
    return section(
        "targets",
        "The target tasks",
        said,
        table(f"What SFT and GRPO never asked: {first} and {last} on the same questions", columns, body, "cards"),
        paragraph(
            "p: exact McNemar test on the paired answers, not corrected for the number of target tasks. The interval "
            "of the change is clustered.",
            style="note",
        ),
    )


def answers_section(contents: Contents) -> Html:
    """How the answers of each row fall on the positions, beside the right ones."""
    results = contents.results
    labels = [label for label in results["rows"][0]["answer_histogram"] if label != NONE]
    columns = [Column("Answers of"), *(Column(label, "num") for label in labels), Column("none", "num")]
    right = {**results["answer_key"], NONE: 0}
    histograms = [("right answer", right)] + [(row["model"], row["answer_histogram"]) for row in results["rows"]]
    body = [[name, *(_shaded(histogram, label) for label in (*labels, NONE))] for name, histogram in histograms]
    return section(
        "answers",
        "Where the answers fall",
        table("Answers on each position, in percent", columns, body, "heat"),
        paragraph(
            "None: no answer could be read. A policy that prefers a position shows as a dark column that the right "
            "answers lack.",
            style="note",
        ),
    )


def _bar(share: float, ci95: list[float], chance: float, style: str) -> Html:
    words = element(
        "span", {"class": "figure"}, element("b", None, percent(share)), element("span", None, f" {interval(ci95)}")
    )
    return join(accuracy_bar(share, ci95, chance, style), words)


def _control(control: Mapping[str, Any]) -> Html:
    return element(
        "span",
        {"class": "figure"},
        percent(control["accuracy"]),
        element("small", None, f" {interval(control['ci95'])}"),
        element("small", None, _answered(control)),
    )


def _answered(control: Mapping[str, Any]) -> str:
    """Accuracy among the answered, where the format broke so often that the two differ."""
    answered = control["answered"]
    if answered is None or answered["n"] == control["n"]:
        return ""
    return f" {percent(answered['accuracy'])} of {answered['n']:,} answered"


def _target_row(row: Mapping[str, Any], first: str, last: str) -> list[str]:
    name = join(row["name"], element("small", {"class": "about"}, f"{row['description']} (n = {row['n']:,})"))
    bars = [
        _bar(row[key(model)], row["ci95"][key(model)], row["chance"], style)
        for model, style in ((first, "m-0"), (last, "m-last"))
    ]
    constant = (_constant(row, model) for model in (first, last))
    bars = [join(bar, element("small", {"class": "about"}, said)) for bar, said in zip(bars, constant, strict=True)]
    ends = f" {points(row['gain_ci95'][0])} to {points(row['gain_ci95'][1])}"
    change = element(
        "span", {"class": "figure"}, element("b", None, points(row["gain"])), element("small", None, ends),
        element("small", {"class": "about"}, row["direction"]),
    )  # fmt: skip
    return [name, *bars, change, p_value(row["p_value"])]


def _constant(row: Mapping[str, Any], model: str) -> str:
    """Words for answers to a target task that hardly ever vary, which no accuracy shows; "" for any others, and for
    results written before answers were counted."""
    histogram = row.get("answer_histogram", {}).get(key(model), {})
    label, times = max(histogram.items(), key=lambda pair: pair[1], default=(NONE, 0))
    if times < CONSTANT * row["n"]:
        return ""
    return f" {'no answer' if label == NONE else f'answers {label}'} in {times:,} of {row['n']:,}"


def _shaded(histogram: Mapping[str, int], label: str) -> Html:
    share = histogram.get(label, 0) / max(1, sum(histogram.values()))
    return element("span", {"class": "shade", "style": f"--share:{share:.3f}"}, f"{100 * share:.0f}")
