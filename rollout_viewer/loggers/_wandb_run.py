"""The start of a run of Weights & Biases, and the Python environment it records.

Knows wandb's settings. Knows nothing of logged values.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Mapping
from typing import Any


def start_run(
    wandb: Any, settings: dict[str, Any], *, offline: bool, base_url: str | None
) -> Any:
    """Return a run: a new one, or the one that is open.

    Args:
        wandb: The library.
        settings: For ``wandb.init``.
        offline: Send nothing.
        base_url: Of the server; None: wandb's.
    """
    if offline:
        settings["mode"] = "offline"
    if base_url is not None:
        given = settings.get("settings")
        if given is None or isinstance(given, Mapping):
            given = wandb.Settings(**{**(given or {}), "base_url": base_url})
        else:
            given.base_url = base_url
        settings["settings"] = given
        if not offline:
            wandb.login(host=base_url, key=getattr(given, "api_key", None))
    return wandb.init(**settings)


def make_folder(save_dir: Any, log_dir: Any) -> str | None:
    """Create the given one of two folders, and return it; None: neither is given.

    Raises:
        ValueError: Both are given.
    """
    if save_dir and log_dir:
        raise ValueError(
            "WandbLogger: expected save_dir or log_dir, which are the same, got both: "
            f"{save_dir!r} and {log_dir!r}. Leave one out."
        )
    given = save_dir or log_dir
    if not given:
        return None
    folder = os.path.expanduser(str(os.fspath(given)))
    os.makedirs(folder, exist_ok=True)
    return folder


def environment() -> dict[str, Any]:
    """Return Python, the packages, and the sources of editable installs."""
    packages, editable = {}, {}
    for found in importlib.metadata.distributions():
        name = found.metadata["Name"]
        if not name:  # a folder that an installation left behind
            continue
        packages[name] = found.version
        with contextlib.suppress(ValueError):
            origin = json.loads(found.read_text("direct_url.json") or "{}")
            if origin.get("dir_info", {}).get("editable"):
                editable[name] = origin.get("url")
    return {
        "python": {
            "version": sys.version,
            "executable": sys.executable,
            "prefix": sys.prefix,
            "base_prefix": sys.base_prefix,
            "platform": platform.platform(),
        },
        "packages": dict(sorted(packages.items())),
        "editable_sources": dict(sorted(editable.items())),
    }
