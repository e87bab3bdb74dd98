"""The built page of ``js/``: a script, a style sheet, and parts that few pages need."""

from __future__ import annotations

import functools
import importlib.resources
import zlib

from rollout_viewer._errors import MissingDependencyError


def read_bundle(name: str, where: str) -> str:
    """Return the text of ``widget.js``, ``widget.css`` or a part.

    Args:
        name: Of the file.
        where: What needs it, for the message.

    Raises:
        MissingDependencyError: This checkout was not built.
    """
    file = importlib.resources.files("rollout_viewer") / "static" / name
    if not file.is_file():
        raise MissingDependencyError(
            f"{where}: expected the built page in {str(file)!r}, got nothing: this "
            "checkout was not built. Run: make setup"
        )
    return file.read_text("utf-8")


# Modules that a page loads when they are used: what writes mp4 files, the numbers and
# pairs of an evaluation, and what shows previews over a thin link.
PARTS = ("mp4", "compare", "preview")


@functools.cache
def packed_part(name: str, where: str) -> bytes:
    """Return one of `PARTS`, as raw deflate: a third of its size.

    Raises:
        MissingDependencyError: As `read_bundle`.
    """
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    text = read_bundle(f"{name}.js", where)
    return packing.compress(text.encode()) + packing.flush()
