"""The imports of the package go one way; this reads them and prints the offender.

`ARROWS` is the drawing of the package: each module and what it may import of it.
A new arrow is fine when it has a reason: change the table in the same commit. What
stands under `if TYPE_CHECKING:` is no arrow, since nothing runs.
"""

import ast
import pathlib
import subprocess
import sys
from typing import NamedTuple

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "rollout_viewer"

# what every module may import: errors know nobody, and the version is a string
EVERYWHERE = {"_errors", "__version__"}

# module (a folder stands for all that is in it) -> modules that it may import
ARROWS: dict[str, set[str]] = {
    "_errors": set(),
    # -- the cache: frames and rows into one file, and back
    "_frames": set(),
    "_codec": set(),
    "_columns": set(),
    "_files": set(),
    "_rows": set(),
    "_store": {"_codec", "_rows"},
    "_copy": {"_codec", "_columns", "_store"},
    "_budget": {"_codec"},
    "_owner": {"_files", "_store"},
    "_writer": {"_store"},
    "_readers": {"_codec"},
    "_marks": {"_owner", "_store"},
    "_marked": {"_marks", "_recorded", "_rows"},
    "_recording": {
        "_budget",
        "_codec",
        "_columns",
        "_copy",
        "_marks",
        "_owner",
        "_rows",
        "_store",
        "_writer",
    },
    "_followed": {
        "_codec",
        "_columns",
        "_copy",
        "_marks",
        "_owner",
        "_rows",
        "_store",
    },
    "_joined": {
        "_codec",
        "_columns",
        "_copy",
        "_followed",
        "_marks",
        "_owner",
        "_rows",
        "_store",
    },
    "_compact": {"_codec", "_files", "_followed", "_owner", "_store"},
    "_intake": {"_columns", "_frames", "_rows"},
    "_moments": {"_columns", "_rows"},
    "_ahead": set(),
    "_recorded": {"_ahead", "_moments", "_readers", "_recording", "_rows"},
    "_cache": {
        "_budget",
        "_clip",
        "_followed",
        "_frames",
        "_intake",
        "_joined",
        "_marked",
        "_marks",
        "_owner",
        "_readers",
        "_recording",
        "_rows",
    },
    # -- the clip and what becomes of it
    "_table": {"_marked", "_rows"},
    "_clip": {"_frames", "_rows", "_table"},
    "_figure": {"_clip"},
    "_progress": set(),
    "_text": set(),
    "_labels": {"_frames", "_table", "_text"},
    "_video": {"_files"},
    "loggers": {"_clip", "_files", "_frames", "_progress", "_video"},
    "_job": {"_files", "_labels"},
    "_pictures": {"_clip", "_frames", "_job", "_text"},
    "_tables": {"_job"},
    "_formats": {"_clip", "_html", "_job", "_pictures", "_tables", "_video"},
    "_export": {
        "_clip",
        "_files",
        "_formats",
        "_frames",
        "_job",
        "_pictures",
        "_progress",
        "_tables",
        "loggers",
    },
    "_open": {"_cache", "_video"},
    # -- the page
    "_protocol": {"_cache", "_codec", "_rows"},
    "_details": {"_cache", "_columns", "_protocol"},
    "_html": {"_cache", "_details", "_files", "_frames", "_protocol"},
    "_jobs": {"_protocol"},
    "_cells": set(),
    "_pump": {"_codec", "_protocol"},
    "_compare": {"_cache", "_joined", "_store"},
    "_viewer": {
        "_cache",
        "_cells",
        "_clip",
        "_compare",
        "_details",
        "_export",
        "_frames",
        "_html",
        "_jobs",
        "_marks",
        "_open",
        "_protocol",
        "_pump",
        "loggers",
        "sources",
    },
    # -- recording
    "_held_back": {"_cache", "_rows"},
    "_carried": {"_rows"},
    "_recorder": {
        "_cache",
        "_carried",
        "_clip",
        "_export",
        "_frames",
        "_held_back",
        "_owner",
        "_rows",
        "loggers",
    },
    "_videos": {"_cache", "_clip", "_files", "_frames", "_rows", "_video"},
    "_missing_videos": {"_cache", "_owner", "_store", "_videos"},
    "_growing_video": {"_cache", "_video", "_videos"},
    "_takes": {
        "_cache",
        "_export",
        "_files",
        "_growing_video",
        "_missing_videos",
        "_owner",
        "_recorder",
        "_recording",
        "_rows",
        "_videos",
    },
    "sources": {
        "_cache",
        "_clip",
        "_export",
        "_files",
        "_frames",
        "_owner",
        "_recorder",
        "_rows",
        "_takes",
    },
    "_rollout": {"_cache", "_frames", "_recorder", "_rows", "sources"},
    # -- for people
    "testing": {
        *("_cache", "_clip", "_frames", "_open", "_recorder", "_rollout", "_rows"),
        "loggers",
    },
    "_cli": {
        "_cache",
        "_compact",
        "_export",
        "_html",
        "_open",
        "_rollout",
        "_missing_videos",
        "sources",
    },
    "__main__": {"_cli"},
}

# against the arrows, as conveniences, inside a method only
LAZY = {
    ("_clip", "_export"): "Clip.write and Clip.dump",
    ("_clip", "_figure"): "Clip.figure",
    ("_recorder", "_viewer"): "a recorder's .viewer",
    ("sources", "_viewer"): "VideoRecorder's .viewer, on the logger that it is given",
}

# library -> modules that may import it, and no others
LIBRARIES = {
    "PIL": {"_frames", "_pictures", "_text"},
    "av": {"_video"},
    "gymnasium": {"sources", "testing"},
    "pettingzoo": {"sources"},
    "pyarrow": {"_tables"},
    "stable_baselines3": {"sources"},
    "tensordict": {"sources", "loggers"},
    "torch": {"_clip", "_export", "_formats", "_frames", "loggers", "sources"},
    "torchrl": {"sources", "loggers"},
    "matplotlib": {"_figure"},
    "mlflow": {"loggers"},
    "tensorboard": {"loggers"},
    "wandb": {"loggers"},
    "anywidget": {"_viewer"},
    "ipywidgets": {"_viewer"},
    "traitlets": {"_viewer"},
    "sqlite3": {
        "_compare",
        "_copy",
        "_followed",
        "_owner",
        "_recording",
        "_store",
        "_writer",
    },
}


class Import(NamedTuple):
    """One import statement of the package."""

    path: pathlib.Path
    line: int
    module: str  # the importing module, as in ARROWS
    target: str  # dotted name, absolute
    is_lazy: bool  # inside a function

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.module} -> {self.target}"


def imports_of(path: pathlib.Path) -> list[Import]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    found: list[Import] = []

    def add(node: ast.Import | ast.ImportFrom, target: str, is_lazy: bool) -> None:
        shown = path.relative_to(PACKAGE.parent)
        found.append(Import(shown, node.lineno, parts[0], target, is_lazy))

    def visit(node: ast.AST, is_lazy: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.orelse:
                visit(statement, is_lazy)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(node, alias.name, is_lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = ("rollout_viewer", *parts[:-1])
                base = ".".join((*package[: len(package) - node.level + 1], base))
                base = base.rstrip(".")
            if base == "rollout_viewer":
                for alias in node.names:
                    add(node, f"{base}.{alias.name}", is_lazy)
            else:
                add(node, base, is_lazy)
        is_lazy = is_lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, is_lazy)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def all_imports() -> list[Import]:
    paths = sorted(p for p in PACKAGE.rglob("*.py") if "static" not in p.parts)
    return [found for path in paths for found in imports_of(path)]


def is_allowed(found: Import) -> bool:
    """Return whether an import of the package itself follows an arrow."""
    source = found.module
    target = found.target.split(".")[1] if "." in found.target else "__init__"
    if source == "__init__" or target == source or target in EVERYWHERE:
        return True
    if target in ARROWS.get(source, set()):
        return True
    return (source, target) in LAZY and found.is_lazy


def test_every_module_stands_in_the_table_of_arrows():
    modules = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir()}
    modules -= {"__init__", "__pycache__", "static", "notebooks", "py"}

    unknown = {m for m in modules if not m.startswith(".")} - set(ARROWS)

    assert not unknown, f"add to ARROWS in tests/test_arrows.py: {sorted(unknown)}"


def test_imports_follow_the_arrows():
    inside = [i for i in all_imports() if i.target.split(".")[0] == "rollout_viewer"]

    offenders = [str(i) for i in inside if not is_allowed(i)]

    assert not offenders, "imports against the arrows:\n" + "\n".join(offenders)


def test_arrows_have_no_cycle():
    order: list[str] = []

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"cycle: {' -> '.join((*trail, module))}"
        if module not in order:
            for target in sorted(ARROWS[module]):
                visit(target, (*trail, module))
            order.append(module)

    for module in ARROWS:
        visit(module, ())


def test_a_library_is_imported_in_its_own_rooms_only():
    offenders = [
        str(found)
        for found in all_imports()
        if found.module not in LIBRARIES.get(found.target.split(".")[0], {found.module})
    ]

    assert not offenders, "libraries out of their rooms:\n" + "\n".join(offenders)


@pytest.mark.parametrize("arrow", LAZY)
def test_lazy_arrows_are_not_ordinary_ones(arrow):
    source, target = arrow

    assert target not in ARROWS[source]


def test_importing_the_package_imports_only_numpy_and_the_standard_library():
    code = (
        "import sys; before = set(sys.modules); import rollout_viewer;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    allowed = {"rollout_viewer", "numpy", *sys.stdlib_module_names}
    others = set(result.stdout.split()) - allowed
    assert not {name for name in others if not name.startswith("_")}, others
