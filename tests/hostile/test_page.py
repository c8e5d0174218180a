"""A report full of hostile text runs nothing: by its structure, and opened in a browser."""

import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import pytest
import toy

from indirect_rlvr.reporting.html import POLICY, html

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAYLOADS = (
    '<script>document.title="RAN"</script>', '"><img src=x onerror=\'document.title="RAN"\'>',
    "</title></style></textarea><script>document.title='RAN'</script>", "<svg/onload=document.title='RAN'>",
    "<a href=\"javascript:document.title='RAN'\">x</a>",
    "<iframe srcdoc=\"<script>parent.document.title='RAN'</script>\">",
    "]]><script>document.title='RAN'</script>", "<img src=HOST/hit><link rel=stylesheet href=HOST/hit>",
    "<style>@import 'HOST/hit';</style>", "<meta http-equiv=refresh content='0;url=HOST/hit'>", "\u202e<b onclick=x>",
    "<math><mtext><mglyph><style><!--</style><img src onerror=document.title='RAN'>", "<base href=HOST>",
)  # fmt: skip
ACTIVE = {
    "script",
    "iframe",
    "object",
    "embed",
    "link",
    "base",
    "form",
    "input",
    "foreignobject",
    "animate",
    "set",
    "use",
}
LINKING = {"href", "src", "srcset", "action", "formaction", "xlink:href", "data", "poster", "background", "ping"}


class Seen(HTMLParser):
    """What a page would act on."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.bad: list[str] = []
        self.policies: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag in ACTIVE:
            self.bad.append(tag)
        if tag == "meta" and "http-equiv" in found:
            self.policies.append(found["http-equiv"] + ": " + found["content"])
        self.bad += [name for name in found if name.startswith("on") or name == "srcdoc"]
        outside = [
            v for n, v in found.items() if n in LINKING and not v.startswith(("#", "data:image/png", "data:image/jpeg"))
        ]
        self.bad += outside


def seen(page: str) -> Seen:
    parser = Seen()
    parser.feed(page)
    parser.close()
    return parser


@pytest.fixture
def hostile(tmp_path) -> Path:
    """The toy run with a payload wherever a name, a text or a note may stand."""
    run = Path(shutil.copytree(toy.run_folder(), tmp_path / "run"))
    for name in ("results.json", "manifest.json", "audit.json", "tasks.jsonl", "evaluation/base/proxy.jsonl",
                 "evaluation/template-r1/proxy.jsonl", "grpo/log.jsonl"):  # fmt: skip
        path = run / name
        rows = (
            [json.loads(line) for line in path.read_text().splitlines()]
            if name.endswith("l")
            else [json.loads(path.read_text())]
        )
        path.write_text("".join(json.dumps(infected(row)) + "\n" for row in rows))
    return run


def infected(value, key=""):
    """The value with a payload at the end of every text that names nothing."""
    if isinstance(value, dict):
        made = {k: infected(v, k) for k, v in value.items()}
        return {**made, PAYLOADS[len(made) % len(PAYLOADS)]: 1} if key in {"notes", "hardware", "dropped"} else made
    if isinstance(value, list):
        return value if key in {"labels", "candidate_records"} else [infected(item, key) for item in value]
    kept = {"id", "model", "first", "last", "answer", "modality", "split", "direction", "domain", "query_record", "key"}
    if not isinstance(value, str) or key in kept:
        return value
    return value + "".join(PAYLOADS)


def test_a_hostile_page_is_seen_as_one() -> None:
    for payload in PAYLOADS:
        found = seen(payload)
        assert found.bad or found.policies or "@import" in payload or "onclick" in payload


def test_a_report_of_hostile_text_holds_nothing_that_acts(hostile) -> None:
    page = html(hostile)
    assert "RAN" in page  # the payloads are there, and seen as text
    found = seen(page)
    assert found.bad == []
    assert found.policies == ["Content-Security-Policy: " + POLICY]
    assert POLICY.startswith("default-src 'none'") and "script" not in POLICY


@contextmanager
def server() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine that keeps the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}", asked
    finally:
        made.shutdown()
        thread.join()
        made.server_close()


def opened(page: Path, profile: Path) -> str:
    """The page's document after a browser has run what it runs."""
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}",
               "--virtual-time-budget=2000", "--dump-dom", page.as_uri()]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH; the structure of the page is tested without one")
def test_a_report_of_hostile_text_runs_nothing_in_a_browser(hostile, tmp_path) -> None:
    with server() as (host, asked):
        bare = tmp_path / "bare.html"
        bare.write_text(
            "<title>x</title><body>" + "".join(PAYLOADS[:2]).replace("HOST", host) + f"<img src={host}/hit>"
        )
        assert "<title>RAN</title>" in opened(bare, tmp_path / "one"), "the payloads do run where nothing stops them"
        assert asked
        asked.clear()
        report = tmp_path / "report.html"
        report.write_text(html(hostile).replace("HOST", host))
        document = opened(report, tmp_path / "two")
    assert "<title>RAN</title>" not in document and "from proxy task to target tasks</title>" in document
    assert asked == []
