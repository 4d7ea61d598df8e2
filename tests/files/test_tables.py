"""Tables for readers: whatever a text holds, it is text, and long ones are cut with a count."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from roberta.files.tables import MOST_CHARACTERS, Aside, Table

HOSTILE = "<script>alert('x')</script>\u202eabc\u0000\ud800\n😀👨\u200d👩"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.words += data


def parsed(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    return parser


def test_hostile_text_is_text_in_every_place():
    found = parsed(Table((HOSTILE,), [(HOSTILE,), (Aside(HOSTILE),)], HOSTILE, (HOSTILE,)).html())
    assert found.tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "bdi", "em"}
    assert found.words.count("<script>alert('x')</script>\\u202eabc\\x00\\ud800\\n😀👨\u200d👩") == 5


def test_hostile_text_stays_on_its_line():
    lines = Table((HOSTILE, "n"), [(HOSTILE, "1")], HOSTILE, (HOSTILE,)).text().splitlines()
    assert len(lines) == 4
    assert all(line.isascii() or "\u202e" not in line for line in lines)


def test_html_is_utf8():
    Table(("a",), [("\ud800",)]).html().encode()


def test_long_cells_are_cut_with_a_count():
    shown = parsed(Table(("a",), [("x" * 10_000,)]).html()).words
    assert "(9,880 more)" in shown
    assert shown.count("x") == MOST_CHARACTERS


@pytest.mark.parametrize("most", [4, 10])
def test_long_tables_keep_both_ends(most):
    found = parsed(Table(("a", "b"), [(f"row{i}.", "") for i in range(100)]).html(most)).words
    assert found.count("row") == most
    assert f"… {100 - most} more" in found
    assert "row0." in found
    assert "row99." in found


def test_an_aside_is_told_apart():
    assert "<em>&lt;s&gt;</em>" in Table((), [(Aside("<s>"), "a")]).html()
