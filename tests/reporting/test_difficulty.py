"""The table says every figure, and the picture is well formed, self-contained and in its frame."""

from xml.etree import ElementTree

from indirect_rlvr.reporting.difficulty import picture, text

BIN = {"low": 1.0, "high": 2.0, "n": 1200, "clusters": 9, "accuracy": 0.25, "ci95": [0.2, 0.31]}
HARD = {**BIN, "low": 3.0, "high": 3.0, "accuracy": 1.0, "ci95": [0.9, 1.0]}
FOUND = {
    "chance": 0.2,
    "measures": {
        "cell": {"about": "side of the cell", "hard": "low", "models": {"base": [BIN, HARD], "a<b": [HARD]}},
        "similarity": {"about": "likeness", "hard": "high", "models": {"base": [HARD]}},
        "spread": {"about": "distance", "hard": "low", "models": {"base": [BIN]}},
    },
}
SVG = "{http://www.w3.org/2000/svg}"


def test_the_table_names_chance_measure_hard_end_span_accuracy_interval_and_count() -> None:
    said = text(FOUND).replace("\u00a0", " ")
    assert said.startswith("chance 20.0 %\n\ncell: side of the cell; hard where it is low\n")
    assert "  base  1 to 2              25.0 % (20.0 to 31.0)   1,200 answers\n" in said
    assert "  a<b   3                  100.0 % (90.0 to 100.0)  1,200 answers" in said


def test_the_picture_is_one_file_with_every_figure_in_words() -> None:
    made = picture(FOUND)
    root = ElementTree.fromstring(made)
    titles = [title.text.replace("\u00a0", " ") for title in root.iter(f"{SVG}title")]
    assert titles[0] == "base: 25.0 % (20.0 to 31.0), 1,200 answers" and len(titles) == 5
    assert "a<b" in [node.text for node in root.iter(f"{SVG}text")]
    assert not list(root.iter(f"{SVG}script")) and "url(" not in made and "@import" not in made
    assert picture(FOUND) == made


def test_every_mark_lies_inside_the_picture() -> None:
    root = ElementTree.fromstring(picture(FOUND))
    _, _, width, height = map(float, root.get("viewBox").split())
    for panel in (node for node in root.iter(f"{SVG}g") if node.get("transform")):
        left, top = map(float, panel.get("transform")[len("translate(") : -1].split(","))
        for dot in panel.iter(f"{SVG}circle"):
            assert 0 < left + float(dot.get("cx")) < width and 0 < top + float(dot.get("cy")) < height
