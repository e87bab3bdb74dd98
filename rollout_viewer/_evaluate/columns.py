"""A table of columns that prints itself: in a terminal, and in a notebook.

What is in it may come from a recording from elsewhere: it is shown as text.
Knows no statistics.
"""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# A notebook of a thousand lines is not read; the columns are complete.
_MAX_SHOWN_LINES = 20
_DIGITS = 4


class Columns(dict[str, npt.NDArray[Any]]):
    """A dict of columns of equal length, as `Clip.table` returns.

    ``pandas.DataFrame(columns)`` converts it.

    Args:
        columns: Name -> values.
        caption: Lines above the table, where it is shown.
        notes: Lines below it.

    Example:
        >>> Columns({"policy": ["a", "b"], "n": [3, 4], "return_mean": [1.5, np.nan]})
        policy  n  return_mean
        a       3          1.5
        b       4            -
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        *,
        caption: Iterable[str] = (),
        notes: Iterable[str] = (),
    ) -> None:
        super().__init__({name: _as_column(one) for name, one in columns.items()})
        self.caption = tuple(caption)
        self.notes = tuple(notes)

    @property
    def num_lines(self) -> int:
        """How many lines it has."""
        return max((len(column) for column in self.values()), default=0)

    def lines(self) -> list[dict[str, Any]]:
        """Return each line by column, numbers as Python's."""
        values = [column.tolist() for column in self.values()]
        return [
            dict(zip(self, line, strict=True)) for line in zip(*values, strict=True)
        ]

    def __repr__(self) -> str:
        texts = [list(self), *self._texts()]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        is_number = [_is_number(column) for column in self.values()]
        shown = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, is_number, strict=True)
            ).rstrip()
            for line in texts
        ]
        above = [printable(line) for line in self.caption]
        below = [printable(line) for line in (*self._left_out(), *self.notes)]
        return "\n".join([*above, *shown, *below])

    def _repr_html_(self) -> str:
        return self.as_html()

    def as_html(self, max_lines: int = _MAX_SHOWN_LINES) -> str:
        """Return it as the elements of a page."""
        is_number = [_is_number(column) for column in self.values()]
        above = "".join(f"<p>{_escaped(line)}</p>" for line in self.caption)
        head = _html_line("th", self, is_number)
        body = "".join(
            _html_line("td", line, is_number) for line in self._texts(max_lines)
        )
        notes = (*self._left_out(max_lines), *self.notes)
        below = "".join(f"<p>{_escaped(line)}</p>" for line in notes)
        table = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
        return f"{above}{table}{below}"

    def _texts(self, max_lines: int = _MAX_SHOWN_LINES) -> list[list[str]]:
        columns = [column[:max_lines].tolist() for column in self.values()]
        return [
            [text_of(value) for value in line] for line in zip(*columns, strict=True)
        ]

    def _left_out(self, max_lines: int = _MAX_SHOWN_LINES) -> list[str]:
        num_more = self.num_lines - max_lines
        return [f"... and {num_more:,} more lines"] if num_more > 0 else []


def text_of(value: object) -> str:
    r"""Return a value of a table as one line of text.

    Example:
        >>> text_of(0.123456), text_of(None), text_of(True), text_of("a\nb")
        ('0.1235', '-', 'yes', 'a�b')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return printable(str(value))


def printable(text: str) -> str:
    """Return text on one line, without what a terminal would take as a command."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _as_column(values: Any) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 1 or None in array.tolist():
        array = np.empty(len(values), object)
        array[:] = list(values)
    return array


def _is_number(column: npt.NDArray[Any]) -> bool:
    return column.dtype.kind in "iuf"


def _html_line(tag: str, texts: Iterable[str], is_number: list[bool]) -> str:
    cells = (
        f'<{tag} style="text-align: {"right" if right else "left"}">'
        f"{_escaped(text)}</{tag}>"
        for text, right in zip(texts, is_number, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _escaped(text: str) -> str:
    return html.escape(printable(text))
