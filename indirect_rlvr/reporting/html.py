"""The report as one self-contained HTML page: no script, no request, nothing but the files of the run folder."""

from importlib.resources import files
from pathlib import Path

from indirect_rlvr.reporting.accuracy import answers_section, rows_section, targets_section
from indirect_rlvr.reporting.contents import Contents, read
from indirect_rlvr.reporting.curves import curves_section
from indirect_rlvr.reporting.examples import examples_section
from indirect_rlvr.reporting.markup import Html, element, join
from indirect_rlvr.reporting.provenance import audit_section, manifest_section, notes_section, stages_section
from indirect_rlvr.reporting.summary import verdict

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The browser's own lock, in case something foreign ever passed as markup."""
LINKS = {
    "rows": "Proxy task", "targets": "Target tasks", "curves": "Learning curves", "answers": "Answers",
    "examples": "Tasks and traces", "audit": "Audit", "notes": "Before RL", "stages": "Stages", "manifest": "Manifest",
}  # fmt: skip


def html(run: Path) -> str:
    """The page, the same bytes for the same files. Raises DataError that names a missing or broken file."""
    contents = read(run)
    title = f"{contents.manifest.get('domain', 'run')}: from proxy task to target tasks"
    sections = [
        rows_section(contents),
        targets_section(contents),
        curves_section(contents),
        answers_section(contents),
        examples_section(contents),
        audit_section(contents),
        notes_section(contents),
        stages_section(contents),
        manifest_section(contents),
    ]
    body = element("main", None, _header(contents, title), *sections)
    return "<!doctype html>\n" + element("html", {"lang": "en"}, _head(title), element("body", None, body)) + "\n"


def _head(title: str) -> Html:
    style = files("indirect_rlvr.reporting").joinpath("page.css").read_text(encoding="utf-8")
    return element(
        "head",
        None,
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("title", None, title),
        element("style", None, Html(style)),
    )


def _header(contents: Contents, title: str) -> Html:
    manifest = contents.manifest
    named = {
        "recipe": manifest.get("recipe_name"),
        "seed": manifest.get("seed"),
        "started": str(manifest.get("started", ""))[:10] or None,
    }
    line = " · ".join(f"{name} {value}" for name, value in named.items() if value is not None)
    shown = {anchor: words for anchor, words in LINKS.items() if anchor != "notes" or manifest.get("notes")}
    links = [element("a", {"href": f"#{anchor}"}, words) for anchor, words in shown.items()]
    return join(
        element(
            "header",
            None,
            element("p", {"class": "eyebrow"}, f"indirect_rlvr · {line}"),
            element("h1", None, title),
            element("p", {"class": "verdict"}, verdict(contents.results)),
        ),
        element("nav", {"aria-label": "Contents"}, *links),
    )
