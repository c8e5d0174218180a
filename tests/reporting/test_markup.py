import pytest

from indirect_rlvr.reporting.markup import Html, element, join, text, visible


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "</pre></title>&lt;",
        "]]>",
    ],
)
def test_foreign_text_stays_text_as_child_and_as_attribute(hostile):
    made = element("p", {"title": hostile}, hostile)
    assert made.count("<") == 2 and made.count(">") == 2
    assert made.count('"') == 2 and "'" not in made


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\x00", "[U+0000]"), ("\x1b", "[U+001B]"), ("\r", "[U+000D]"), ("\x7f", "[U+007F]"), ("\x85", "[U+0085]"),
        ("\u202e", "[U+202E]"), ("\u2066", "[U+2066]"), ("\u200b", "[U+200B]"), ("\ufeff", "[U+FEFF]"),
        ("\u2028", "[U+2028]"), ("\ud800", "[U+D800]"), ("\U000e0041", "[U+E0041]"), ("\uffff", "[U+FFFF]"),
    ],
)  # fmt: skip
def test_what_hides_or_reorders_becomes_visible(character, shown):
    assert visible(f"a{character}b") == f"a{shown}b"
    text(f"a{character}b").encode("utf-8")


def test_lines_tabs_and_other_scripts_stay_as_they_are():
    assert visible("a\n\tb é 東京 🙂") == "a\n\tb é 東京 🙂"


def test_a_long_text_is_cut_with_a_note():
    assert visible("x" * 100_000, 10) == "xxxxxxxxxx … [99,990 more characters, cut here]"
    assert len(element("pre", None, "<" * 100_000)) < 30_000


def test_a_text_of_exactly_the_limit_is_not_cut():
    assert visible("x" * 10, 10) == "x" * 10


def test_markup_passes_unescaped_only_where_it_was_made_here():
    inner = element("b", None, "&")
    assert join(inner, "<b>") == "<b>&amp;</b>&lt;b&gt;"
    assert isinstance(join("x"), Html)


def test_a_true_attribute_stands_alone_and_a_false_one_is_left_out():
    assert element("details", {"open": True, "class": None, "hidden": False}) == "<details open></details>"
    assert element("img", {"alt": ""}) == '<img alt="">'
