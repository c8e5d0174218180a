import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from indirect_rlvr.errors import DataError
from indirect_rlvr.reporting.html import html
from indirect_rlvr.reporting.markdown import markdown
from indirect_rlvr.reporting.write import write

HOSTILE = '<script>alert("x")</script>\u202e\x00"\'><img src=http://evil.example/x onerror=alert(1)>'
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and fails on elements that do not nest."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self._open = [], [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def every_answer(run, edit):
    for path in (run / "evaluation").rglob("proxy.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({**row, "text": edit(row["text"])}) + "\n" for row in rows))


def make_hostile(run, change):
    every_answer(run, lambda text: HOSTILE + text)
    change(
        run / "manifest.json",
        lambda m: m["notes"].update({HOSTILE: HOSTILE, "list": [HOSTILE], "map": {HOSTILE: HOSTILE}}),
    )
    change(run / "manifest.json", lambda m: m["stages"]["tasks"]["dropped"].update({HOSTILE: 2}))
    change(run / "results.json", lambda r: r["targets"][0].update(name=HOSTILE, description=HOSTILE))
    change(run / "audit.json", lambda a: a["problems"].append(HOSTILE))
    lines = (run / "tasks.jsonl").read_text().splitlines()
    tasks = [json.loads(line) for line in lines]
    for task in tasks:
        task["question"]["text"] = HOSTILE
    (run / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in tasks))
    log = run / "grpo" / "log.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({**row, f"rewards/{HOSTILE}/mean": 0.5}) + "\n" for row in rows))


@pytest.mark.parametrize("name", ["manifest.json", "audit.json", "tasks.jsonl", "evaluation/base/proxy.jsonl"])
def test_a_missing_file_is_named(run, name):
    (run / name).unlink()
    with pytest.raises(DataError, match=re.escape(name)):
        html(run)


def test_a_run_that_is_not_evaluated_yet_says_how_to_go_on(run):
    (run / "results.json").unlink()
    with pytest.raises(DataError, match=r"is not evaluated yet; its finished stages: .*; give its `rlvr run` command"):
        html(run)


def test_a_view_that_leads_out_of_the_records_folder_is_refused(run):
    text = (run / "tasks.jsonl").read_text()
    (run / "tasks.jsonl").write_text(text.replace("views/", "../views/"))
    with pytest.raises(DataError, match="inside the records folder"):
        html(run)


def test_hostile_text_makes_no_element_and_no_attribute(run, change):
    clean = Page(html(run))
    make_hostile(run, change)
    page = html(run)
    assert "evil.example" in page
    assert "\u202e" not in page and "\x00" not in page
    tags = {tag for tag, _ in Page(page).tags}
    assert tags == {tag for tag, _ in clean.tags} and "script" not in tags
    assert not [attrs for _, attrs in Page(page).tags if any(name.startswith("on") for name in attrs)]
    assert all(image["src"].startswith("data:image/") for image in Page(page).all("img"))


def test_hostile_text_makes_no_markup_in_markdown(run, change):
    lines = len(markdown(run).splitlines())
    make_hostile(run, change)
    page = markdown(run)
    assert re.search(r"(?<!\\)[<>]", page) is None
    assert len(page.splitlines()) == lines
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines() if line.startswith("| ")}
    assert widths == {9, 5}


def test_a_line_of_100_kb_is_cut_with_a_note(run):
    before = len(html(run))
    every_answer(run, lambda text: text + "y" * 100_000)
    page = html(run)
    assert "more characters, cut here" in page
    assert len(page) < before + 16 * 6_500


def test_the_page_asks_nothing_of_the_network(finished_run):
    page = Page(html(finished_run))
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert attrs.get(name, "#").startswith(("#", "data:image/")), (tag, attrs)
    assert "url(" not in html(finished_run) and "@import" not in html(finished_run)
    assert page.all("meta")[1]["content"].startswith("default-src 'none'")


def test_every_link_has_its_target_and_every_id_is_unique(finished_run):
    page = Page(html(finished_run))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert sorted(ids) == sorted(set(ids))
    assert {link["href"][1:] for link in page.all("a")} == set(ids)


def test_every_picture_and_chart_is_described_and_every_table_has_headers(finished_run):
    page = Page(html(finished_run))
    assert len(page.all("img")) == 4 * 6
    assert all(image["alt"] for image in page.all("img"))
    assert all(chart.get("aria-label") or chart.get("aria-hidden") for chart in page.all("svg"))
    assert len(page.all("caption")) == len(page.all("table")) == 5
    assert {head["scope"] for head in page.all("th")} == {"col", "row"}


def test_the_right_answer_is_marked_in_words(finished_run):
    page = Page(html(finished_run))
    assert page.text.count("✓ right answer") == 4
    assert sum("the right answer" in image["alt"] for image in page.all("img")) == 4


def test_right_and_wrong_traces_of_every_row_are_shown(finished_run):
    words = " ".join(Page(html(finished_run)).text)
    assert len(re.findall(r"geo-r1 answered [A-E]: right", words)) == 2
    assert len(re.findall(r"geo-r1 (?:answered [A-E]|gave no readable answer): wrong", words)) == 2
    assert all(
        len(re.findall(rf"(?<![\w-]){model}: [^:]*, (?:right|wrong)", words)) >= 4
        for model in ("base", "geo-sft", "geo-r1-zero")
    )
    assert "Cross-view evidence:" in words


def test_the_figures_in_the_page_are_those_of_the_results(finished_run):
    words = " ".join(Page(html(finished_run)).text).replace("\u00a0", " ")
    for row in json.loads((finished_run / "results.json").read_text())["rows"]:
        assert f"{100 * row['accuracy']:.1f} %" in words
        assert f"{100 * row['ci95'][0]:.1f} to {100 * row['ci95'][1]:.1f}" in words
    probes = json.loads((finished_run / "audit.json").read_text())["probes"]
    assert f"none of {len(probes)} probes beats chance" in words
    assert "The final letter of every trace is drawn at random" in words


def test_curves_of_both_grpo_trainings_share_a_chart(finished_run):
    charts = {
        c["aria-label"].partition(":")[0]: c["aria-label"]
        for c in Page(html(finished_run)).all("svg")
        if "aria-label" in c
    }
    assert {
        "Reward",
        "Reward term",
        "Completion length, tokens",
        "Entropy, nats per token",
        "SFT loss",
    } == charts.keys()
    assert "geo-r1-zero from" in charts["Reward"] and "geo-r1 from" in charts["Reward"]


def test_values_that_were_not_finite_are_left_out_of_the_curves(run):
    log = run / "sft" / "log.jsonl"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": null}\n{"step": 3, "loss": 1.0}\n')
    assert "SFT loss: geo-sft from 2 at step 1 to 1 at step 3" in html(run)


@pytest.mark.parametrize(("histogram", "said"), [
    ({"A": 60, "B": 0, "none": 0}, "answers A in 60 of 60"), ({"A": 57, "B": 3, "none": 0}, "answers A in 57 of 60"),
    ({"A": 1, "B": 0, "none": 59}, "no answer in 59 of 60"), ({"A": 56, "B": 4, "none": 0}, None),
])  # fmt: skip
def test_an_answer_to_a_target_task_that_never_varies_is_said(run, change, histogram, said):
    change(run / "results.json", lambda r: r["targets"][0].update(answer_histogram={"geo_r1": histogram}))
    page = html(run)
    assert ("answers A in" in page or "no answer in" in page) == (said is not None)
    assert said is None or said in page
    change(run / "results.json", lambda r: r["targets"][0].pop("answer_histogram"))
    assert "answers A in" not in html(run)


def test_a_run_without_scaffold_and_targets_still_has_a_report(run, change):
    change(run / "results.json", lambda r: r.update(rows=[r["rows"][0], r["rows"][2]], targets=[]))
    change(run / "manifest.json", lambda m: m.update(notes={}))
    page = Page(html(run))
    words = " ".join(page.text)
    assert "SFT loss" not in words and "geo-sft" not in words
    assert "#notes" not in {link["href"] for link in page.all("a")}
    assert "| base |" in markdown(run)


@pytest.mark.parametrize(("kind", "side"), [("PNG", 84), ("JPEG", 300)])
def test_pictures_carry_pixels_and_no_metadata(run, kind, side):
    secret = PngInfo()
    secret.add_text("comment", "taken at 52.1, 4.3")
    options = {"PNG": {"pnginfo": secret}, "JPEG": {"comment": "taken at 52.1, 4.3"}}[kind]
    for path in (run / "records" / "views").iterdir():
        path.unlink()
        Image.new("RGB", (side, side)).save(path, kind, **options)
        assert b"taken at" in path.read_bytes()
    for image in Page(html(run)).all("img"):
        assert image["src"].startswith(f"data:image/{kind.lower()};base64,")
        assert b"taken at" not in b64decode(image["src"].partition(",")[2])


def test_the_same_files_give_the_same_bytes_and_both_reports_are_written(run):
    first = [path.read_bytes() for path in write(run)]
    assert first == [path.read_bytes() for path in write(run)]
    assert [path.name for path in write(run)] == ["report.html", "report.md"]
    assert len(first[0]) < 2_000_000
