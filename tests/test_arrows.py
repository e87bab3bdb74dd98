"""The imports of the package go one way; this reads them and prints the offender.

`ROOMS` is the drawing of the package, from the ground up: each room may import those
above it in the table that its line names, and no others. Imports under ``if
TYPE_CHECKING`` and inside functions count as well. A new arrow needs a reason: change
the table in the same commit.
"""

import ast
import pathlib
import subprocess
import sys
from collections import defaultdict
from typing import NamedTuple

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "rollout_viewer"

# what every room may import
EVERYWHERE = {"_errors", "_version"}

# room -> the rooms it imports, all of them further up in this table
ROOMS = {
    "_errors": "",
    "_version": "",
    "_lazy": "",
    "_files": "",
    "_process": "",
    "_progress": "",
    "_frames": "",
    "_recording": "_files _frames _process",
    "_video": "_files _frames",
    "_page": "_frames _recording",
    "_export": "_files _frames _page _progress _recording _video",
    "_replay": "_frames _progress _recording",
    "_cache": "_export _files _frames _process _progress _recording _replay _video",
    "loggers": "_cache _export _files _frames _lazy _process _video",
    "_viewer": (
        # _video: previews for a thin link are videos
        "_cache _export _files _frames _page _process _progress _recording _video "
        "loggers"
    ),
    "_recorder": (
        "_cache _export _files _frames _process _progress _recording _replay _video "
        "_viewer loggers"
    ),
    "sources": (
        "_cache _files _frames _lazy _process _progress _recorder _recording "
        "_replay _viewer"
    ),
    "_evaluate": (
        "_cache _export _files _frames _recorder _recording _viewer loggers sources"
    ),
    "__init__": "_cache _evaluate _frames _lazy _recording _viewer loggers sources",
    "testing": "_cache _recorder _recording sources",
    "_cli": "_cache _evaluate _export _files _progress _recorder _recording sources",
    "__main__": "_cli",
}

# library -> rooms that may import it, and no others
LIBRARIES = {
    "PIL": {"_export", "_frames"},
    "anywidget": {"_viewer"},
    "av": {"_video"},
    "fsspec": {"_cache"},
    "gymnasium": {"_replay", "sources", "testing"},
    "ipywidgets": {"_viewer"},
    "isaaclab": {"sources"},
    "jax": {"_replay", "sources"},
    "matplotlib": {"_cache", "_evaluate", "_export"},
    "ml_dtypes": {"_replay"},
    "mlflow": {"loggers"},
    "pettingzoo": {"sources"},
    "pyarrow": {"_export"},
    "scipy": {"_cache", "_evaluate"},
    "ray": {"sources"},
    "sqlite3": {"_recording", "_viewer"},
    "stable_baselines3": {"sources"},
    "tensorboard": {"loggers"},
    "tensordict": {"loggers", "sources"},
    "torch": {"_export", "_frames", "loggers", "sources", "testing"},
    "torchrl": {"loggers", "sources"},
    "traitlets": {"_viewer"},
    "trackio": {"loggers"},
    "wandb": {"loggers"},
}


class Import(NamedTuple):
    """One name that a file of the package imports."""

    path: pathlib.Path
    line: int
    room: str  # of the importing file
    target: str  # dotted, absolute, of a module or of a package's name
    name: str  # what is imported from it; "" for ``import target``

    @property
    def file(self) -> str:
        return ".".join(self.path.with_suffix("").parts)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.room} -> {self.target} {self.name}"


def sources() -> list[pathlib.Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if "static" not in p.parts)


def imports_of(path: pathlib.Path) -> list[Import]:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    shown = path.relative_to(PACKAGE.parent)
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append(Import(shown, node.lineno, parts[0], alias.name, ""))
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{shown}:{node.lineno}: write imports absolute"
            for alias in node.names:
                target = str(node.module)
                found.append(Import(shown, node.lineno, parts[0], target, alias.name))
    return found


def all_imports() -> list[Import]:
    return [found for path in sources() for found in imports_of(path)]


def inner_imports() -> list[Import]:
    return [i for i in all_imports() if i.target.split(".")[0] == "rollout_viewer"]


def target_room(found: Import) -> str:
    first = [*found.target.split(".")[1:], found.name][0]
    return first if first in ROOMS else "__init__"


def test_every_room_is_in_the_table():
    there = {p.stem if p.is_file() else p.name for p in PACKAGE.iterdir()}
    there -= {"__pycache__", "static", "notebooks", "py"}

    unknown = {room for room in there if not room.startswith(".")} - set(ROOMS)

    assert not unknown, f"add to ROOMS in tests/test_arrows.py: {sorted(unknown)}"


def test_rooms_import_only_from_rooms_above_them_in_the_table():
    order = list(ROOMS)

    wrong = [
        f"{room} -> {target}"
        for room, targets in ROOMS.items()
        for target in targets.split()
        if order.index(target) >= order.index(room)
    ]

    assert not wrong


def test_imports_follow_the_arrows():
    offenders = [
        str(found)
        for found in inner_imports()
        if target_room(found) not in {found.room, *EVERYWHERE}
        and target_room(found) not in ROOMS[found.room].split()
    ]

    assert not offenders, "imports against the arrows:\n" + "\n".join(offenders)


def test_every_arrow_is_used():
    used = {(found.room, target_room(found)) for found in inner_imports()}

    unused = [
        f"{room} -> {target}"
        for room, targets in ROOMS.items()
        for target in targets.split()
        if (room, target) not in used
    ]

    assert not unused, f"take out of ROOMS in tests/test_arrows.py: {unused}"


def test_files_import_each_other_in_no_circle():
    files = {
        ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts) for p in sources()
    }
    arrows = defaultdict(set)
    for found in inner_imports():
        for target in (f"{found.target}.{found.name}", found.target):
            if target in files:
                arrows[found.file].add(target)
                break
    done: set[str] = set()

    def visit(file: str, trail: tuple[str, ...]) -> None:
        assert file not in trail, f"circle: {' -> '.join((*trail, file))}"
        if file not in done:
            for target in sorted(arrows[file]):
                visit(target, (*trail, file))
            done.add(file)

    for file in sorted(files):
        visit(file, ())


def test_private_names_stay_in_their_file():
    offenders = [
        str(found)
        for found in inner_imports()
        if found.name.startswith("_")
        and not found.name.startswith("__")
        and found.target != "rollout_viewer"
    ]

    assert not offenders, "private names imported:\n" + "\n".join(offenders)


@pytest.mark.parametrize(
    "sign",
    sorted(p for p in PACKAGE.glob("_*/__init__.py")),
    ids=lambda p: p.parent.name,
)
def test_the_sign_of_a_private_package_names_its_files(sign):
    text = ast.get_docstring(ast.parse(sign.read_text("utf-8"))) or ""
    files = {p.stem for p in sign.parent.glob("*.py")} - {"__init__"}

    unnamed = {name for name in files if f"`{name}`" not in text}

    assert not unnamed, f"name them in {sign}: {sorted(unnamed)}"


def test_a_library_is_imported_in_its_own_rooms_only():
    offenders = [
        str(found)
        for found in all_imports()
        if found.room not in LIBRARIES.get(found.target.split(".")[0], {found.room})
    ]

    assert not offenders, "libraries out of their rooms:\n" + "\n".join(offenders)


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
