"""Paths from names: every file that is named after something lies in its folder.

A name is an argument of the user or comes from data: a recording, a page, a foreign
logger. Both are cleaned alike, and differ in one thing: an argument that leads out of
the folder is refused, data that does so is changed.

- Slashes make folders inside the folder.
- Control characters, lone surrogates and backslashes become ``_``; so does, in data, a
  leading dot, ``..`` included. On Windows also ``< > : " | ? *``, a dot or space at the
  end, and the names of devices (``aux``, ``nul.csv``).
- A part of more than `MAX_PART_BYTES` bytes is shortened; its suffix stays.
- A part that was changed ends in a checksum of what it was, so that different names
  stay different files.

Knows names. Opens nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path, PureWindowsPath

# File systems take 255 bytes. "-1", ".part", "-journal", "_ep10_env3" are added.
MAX_PART_BYTES = 200
# Longer names have no folders: a whole path has at most 4,096 bytes.
_MAX_NAME_CHARS = 1000
_UNSAFE = r"\x00-\x1f\x7f-\x9f\ud800-\udfff\\"
_EVERYWHERE = re.compile(f"[{_UNSAFE}]")
_ON_WINDOWS = re.compile(f'[{_UNSAFE}<>:"|?*]|[. ]$')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def path_inside(
    folder: str | os.PathLike[str],
    name: str | os.PathLike[str],
    suffix: str = "",
    *,
    where: str | None = None,
) -> Path:
    """Return the path of a name in a folder, never one outside.

    Args:
        folder: Where it is.
        name: May contain slashes.
        suffix: Added to the name, such as ``".mp4"``.
        where: The function whose argument the name is, for messages; None: the name
            comes from data.

    Raises:
        ValueError: An argument leads out of the folder.

    Example:
        >>> path_inside("videos", "eval/run", ".mp4").as_posix()
        'videos/eval/run.mp4'
        >>> path_inside("videos", "../../run", ".mp4").as_posix()
        'videos/_-5ec1f7e7/_-5ec1f7e7/run.mp4'
    """
    given = f"{os.fspath(name)}{suffix}"
    if where is not None and _leads_out(given):
        raise ValueError(
            f"{where}: expected a name within {str(folder)!r}, got {given!r:.200}. "
            "Slashes make folders there; leave out '..' and a leading slash."
        )
    if len(given) > _MAX_NAME_CHARS:
        given = given.replace("/", "_")
    *folders, last = [p for p in given.split("/") if p not in ("", ".")] or ["_"]
    stem = last.removesuffix(suffix) if suffix else last
    clean = [_clean(part, is_data=where is None) for part in folders]
    return Path(folder, *clean, _clean(stem, last[len(stem) :], is_data=where is None))


def checked_tag(where: str, tag: object) -> str:
    """Return a name of dumps.

    Raises:
        TypeError: It is no text.
        ValueError: It leads out of the logger's folder.
    """
    if not isinstance(tag, str):
        raise TypeError(f"{where}: expected tag to be a str, got {tag!r}.")
    path_inside("rollouts", tag, where=where)
    return tag


def _leads_out(name: str) -> bool:
    parts = re.split(r"[/\\]" if os.name == "nt" else "/", name)
    has_root = os.name == "nt" and PureWindowsPath(name).anchor
    return name.startswith("/") or ".." in parts or bool(has_root)


def _clean(stem: str, suffix: str = "", *, is_data: bool) -> str:
    """Return one part of a path, without anything that is not safe in it."""
    part = f"{stem}{suffix}"
    pattern = _ON_WINDOWS if os.name == "nt" else _EVERYWHERE
    safe, suffix = pattern.sub("_", stem), pattern.sub("_", suffix)
    if is_data and (not stem or safe.startswith(".")):
        safe = "_" + safe.lstrip(".")
    if os.name == "nt" and _DEVICES.match(part):
        safe = f"_{safe}"
    clean = f"{safe}{suffix}"
    if clean == part and len(clean.encode()) <= MAX_PART_BYTES:
        return part
    digest = hashlib.sha256(part.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    room = max(MAX_PART_BYTES - len(digest) - len(suffix.encode()) - 1, 1)
    safe = safe.encode()[:room].decode(errors="ignore")
    return f"{safe}-{digest}{suffix[: MAX_PART_BYTES // 4]}"
