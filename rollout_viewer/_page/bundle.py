"""The built page of ``js/``: a script, a style sheet, and what writes mp4 files."""

from __future__ import annotations

import importlib.resources

from rollout_viewer._errors import MissingDependencyError


def read_bundle(name: str, where: str) -> str:
    """Return the text of ``widget.js``, ``widget.css`` or ``mp4.js``.

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
