"""JSON text with its checksum behind it, as white space.

Every reader of JSON takes it, that of SQLite and of earlier versions too. Those drop it
when they write; text without one is not checked.
"""

from __future__ import annotations

import zlib

_BITS = 32
# No single flipped bit makes a digit of a line feed, which would lengthen a number.
_START = "\n"
_TO_BLANKS = str.maketrans("01", " \t")


def seal(text: str, place: str) -> str:
    """Return a JSON text with the checksum of it and of where it is stored."""
    return text + _mark(text, place)


def is_broken(text: str, place: str) -> bool:
    """Return whether a text has another checksum than its own."""
    body, mark = _split(text)
    return bool(mark) and mark != _mark(body, place)


def reseal(text: str, before: str, place: str) -> str:
    """Return `text`, made of `before`, with a checksum; a wrong one if that had one."""
    body, _ = _split(text)
    return body + _split(before)[1] if is_broken(before, place) else seal(body, place)


def _mark(text: str, place: str) -> str:
    number = zlib.crc32(f"{place}\n{text}".encode("utf-8", "surrogatepass"))
    return _START + f"{number:0{_BITS}b}".translate(_TO_BLANKS)


def _split(text: str) -> tuple[str, str]:
    body, mark = text[: -_BITS - 1], text[-_BITS - 1 :]
    if len(mark) <= _BITS or mark[0] != _START or mark[1:].strip(" \t"):
        return text, ""
    return body, mark
