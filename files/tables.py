"""A small table for readers: as HTML for a notebook, everything in it escaped, or as aligned lines of plain text.

It needs no template engine. It sets no colours, so that it reads on dark and light pages; nobody's style sheet is
touched, and a notebook that does not trust its outputs, and strips style sheets, shows it all the same.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from unicodedata import category

#: So many rows are shown; of more, the first and the last, with a count between them.
MOST_ROWS = 60
#: So many characters of a cell are shown.
MOST_CHARACTERS = 120
#: Characters that are formats, and belong to what they stand in: the joiners of emoji and of Indic scripts.
_JOINERS = "\u200c\u200d"
#: Notebooks set cells to the right.
_CELL = "text-align:left"


class Aside(str):
    """A cell that is told apart from the others: what was put around a text, or was left out."""

    __slots__ = ()


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        columns: their headings.
        rows: a text for each column; an `Aside` is set in italics.
        title: what the table is of.
        remarks: sentences below it.

    Example:
        >>> print(Table(("token", "id"), [("<s>", "0"), ("Ġdare", "1295")], "2 tokens").text())
        2 tokens
          token  id
          <s>    0
          Ġdare  1295
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    remarks: Sequence[str] = ()

    def html(self, most: int = MOST_ROWS) -> str:
        """The table as a piece of HTML.

        Args:
            most: rows that are shown at most.

        Example:
            >>> "&lt;script&gt;" in Table(("text",), [("<script>",)]).html()
            True
        """
        parts = ["<div>", _paragraph(f"<strong>{escaped(self.title)}</strong>") if self.title else ""]
        if self.rows:
            head = "".join(f'<th scope="col" style="{_CELL}">{escaped(column)}</th>' for column in self.columns)
            body = "".join(self._row(row) for row in _shortened(self.rows, most, len(self.columns)))
            parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
        return "".join([*parts, *(_paragraph(escaped(remark)) for remark in self.remarks), "</div>"])

    @staticmethod
    def _row(row: Sequence[str]) -> str:
        cells = (
            f"<em>{escaped(shortened(cell))}</em>" if isinstance(cell, Aside) else escaped(shortened(cell))
            for cell in row
        )
        return "<tr>" + "".join(f'<td style="{_CELL}"><bdi>{cell}</bdi></td>' for cell in cells) + "</tr>"

    def text(self, most: int = MOST_ROWS) -> str:
        """The table as lines, without spaces at their ends.

        Args:
            most: rows that are shown at most.
        """
        rows = [[printable(shortened(cell)) for cell in row] for row in _shortened(self.rows, most, len(self.columns))]
        lines = [list(map(printable, self.columns)), *rows] if rows else []
        widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
        aligned = ("  ".join(f"{c:{w}}" for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
        title = [printable(self.title)] if self.title else []
        return "\n".join([*title, *(f"  {line}" for line in aligned), *map(printable, self.remarks)])


def printable(text: str) -> str:
    r"""A text on one line, with escapes for what is not seen, or would turn what stands beside it around.

    Args:
        text: any text, lone surrogates included.

    Example:
        >>> print(printable("a\nb\u202e😀"))
        a\nb\u202e😀
    """
    return "".join(repr(letter)[1:-1] if _is_hidden(letter) else letter for letter in text)


def _is_hidden(letter: str) -> bool:
    kind = category(letter)
    return (kind[0] == "C" and letter not in _JOINERS) or kind in {"Zl", "Zp"}


def escaped(text: str) -> str:
    """A text as HTML: `printable`, and no sign of it is taken for markup.

    Example:
        >>> escaped("<b title='x'>")
        '&lt;b title=&#x27;x&#x27;&gt;'
    """
    return html.escape(printable(text))


def shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """A text, or its beginning and how much is left out.

    Example:
        >>> shortened("abcdef", 4)
        'abcd … (2 more)'
    """
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more)"


def _shortened(rows: Sequence[Sequence[str]], most: int, width: int) -> list[Sequence[str]]:
    """The rows, or the first and the last of them, and between them how many are not shown."""
    if len(rows) <= most:
        return list(rows)
    last = most // 4
    gap = [Aside(f"… {len(rows) - most:,} more"), *[Aside("")] * (width - 1)]
    return [*rows[: most - last], gap, *rows[len(rows) - last :]]


def _paragraph(content: str) -> str:
    return f"<p>{content}</p>"
