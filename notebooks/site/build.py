"""Build the site: README, guides, notebooks and docstrings, into build/docs.

    $ python notebooks/site/build.py

The pages are the files of the repository, copied beside each other so that their links
hold. Notebooks are executed here, so that their viewers are in the page; an execution
is kept in build/docs-executed until a cell or the package changes. Sphinx writes the
rest, and any warning of it is an error.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from sphinx.cmd.build import build_main

import rollout_viewer as rv
import rollout_viewer.testing

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SOURCE = ROOT / "build" / "docs-source"
EXECUTED = ROOT / "build" / "docs-executed"
SITE = ROOT / "build" / "docs"

# In the order of the menu; Sphinx warns of a page that is missing here.
MENU = {
    "Record": ["record", "gymnasium", "torchrl", "sb3", "jax", "scale_out"],
    "Look and compare": ["look", "compare"],
    "Take along": ["dump", "loggers", "share", "command_line"],
    "Know": ["performance", "errors", "working_on_it"],
}

# The names of the reference; what `rollout_viewer` has is complete, or it is an error.
REFERENCE = {
    "Record": [
        "rollout",
        "record",
        "collect",
        "FrameCache",
        "Episode",
        "as_frames",
        "RecordVideo",
        "VectorRecordVideo",
        "VideoRecorder",
        "PixelRenderTransform",
        "TensorDictRecorder",
        "Recorder",
        "LogValidationReward",
        "rollout_callback",
        "RolloutViewerCallback",
        "VecVideoRecorder",
        "RLlibCallback",
    ],
    "Look and compare": [
        "open",
        "view",
        "RolloutViewer",
        "evaluate",
        "EvaluationResult",
        "report",
        "import_labels",
    ],
    "Take along": [
        "Clip",
        "CSVLogger",
        "TensorboardLogger",
        "TensorBoardLogger",
        "WandbLogger",
        "MLFlowLogger",
        "TrackioLogger",
        "TeeLogger",
    ],
    "Errors": [
        *sorted(name for name in rv.__all__ if name.endswith(("Error", "Cancelled"))),
        "RolloutViewerWarning",
    ],
    "For tests of your own": [
        "testing.SourceTests",
        "testing.LoggerTests",
        "testing.counting_frames",
        "testing.CountingEnv",
    ],
}

# Runs before a notebook's own cells: what is saved of a viewer plays in the page.
PRELUDE = """
import functools
from rollout_viewer import RolloutViewer
RolloutViewer.__init__ = functools.partialmethod(
    RolloutViewer.__init__, save="page", save_mb=20
)
"""


def main() -> int:
    """Return the exit code."""
    check_reference()  # before the notebooks, which take minutes
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    (SOURCE / "notebooks").mkdir(parents=True)
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        shutil.copy(executed(notebook), SOURCE / "notebooks" / notebook.name)
    for picture in (ROOT / "notebooks").glob("*.png"):
        shutil.copy(picture, SOURCE / "notebooks")
    shutil.copytree(ROOT / "notebooks" / "guides", SOURCE / "notebooks" / "guides")
    shutil.copy(ROOT / "CHANGELOG.md", SOURCE)
    readme = (ROOT / "README.md").read_text("utf-8")
    (SOURCE / "index.md").write_text(f"{readme}\n{menu()}", "utf-8")
    write_reference()
    doctrees = ROOT / "build" / "docs-doctrees"
    options = ["-W", "--keep-going", "-q", "-c", str(HERE), "-b", "html"]
    code = build_main([*options, "-d", str(doctrees), str(SOURCE), str(SITE)])
    if code == 0:
        print(f"Open {SITE / 'index.html'}")
    return code


def menu() -> str:
    """Return the menu as Sphinx reads it, which the page does not show."""
    trees = {
        title: [f"notebooks/guides/{page}" for page in pages]
        for title, pages in MENU.items()
    }
    notebooks = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    trees["Notebooks"] = [f"notebooks/{name}" for name in notebooks]
    trees["Reference"] = ["reference", "CHANGELOG"]
    return "\n".join(
        f"```{{toctree}}\n:hidden:\n:caption: {title}\n\n"
        + "\n".join(pages)
        + "\n```\n"
        for title, pages in trees.items()
    )


def check_reference() -> None:
    """Check that the reference is complete.

    Raises:
        SystemExit: A public name is in no list.
    """
    listed = {name for names in REFERENCE.values() for name in names}
    if lost := sorted(set(rv.__all__) - listed):
        sys.exit(f"{__file__}: expected each public name in REFERENCE, not so {lost}.")


def write_reference() -> None:
    """Write a page for each public name, and one that lists them."""
    parts = ["# Reference", "`import rollout_viewer as rv`; each name has a page."]
    (SOURCE / "reference").mkdir()
    for title, names in REFERENCE.items():
        table = [".. autosummary::", "   :nosignatures:", ""]
        table += [f"   ~rollout_viewer.{name}" for name in names]
        pages = ["```{toctree}", ":hidden:", ""]
        pages += [f"reference/{name}" for name in names] + ["```"]
        parts += [f"## {title}", rst("\n".join(table)), "\n".join(pages)]
        for name in names:
            kind = "class" if isinstance(named(name), type) else "function"
            body = f"# {name}\n\n{rst(f'.. auto{kind}:: rollout_viewer.{name}')}\n"
            (SOURCE / "reference" / f"{name}.md").write_text(body, "utf-8")
    (SOURCE / "reference.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def named(name: str) -> object:
    """Return what a name of REFERENCE is the name of."""
    found: object = rv
    for part in name.split("."):
        found = getattr(found, part)
    return found


def rst(text: str) -> str:
    """Return reStructuredText as a block of Markdown."""
    return f"```{{eval-rst}}\n{text}\n```"


def executed(path: Path) -> Path:
    """Return the notebook with its outputs, executed unless that was done before."""
    notebook = nbformat.read(path, as_version=4)
    sources = [cell.source for cell in notebook.cells]
    digest = hashlib.sha256("\0".join([PRELUDE, *sources]).encode())
    for file in sorted((ROOT / "rollout_viewer").rglob("*")):
        if file.suffix in {".py", ".js", ".css"}:
            digest.update(file.read_bytes())
    kept = EXECUTED / f"{path.stem}-{digest.hexdigest()[:16]}.ipynb"
    if kept.exists():
        return kept
    folder = EXECUTED / path.stem
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.monotonic()
    print(f"{path.name}: executed ...", end="", flush=True)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PRELUDE))
    client = NotebookClient(
        notebook,
        timeout=None,
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
        extra_arguments=["--log-level=40"],  # errors: it warns of its own TCP
    )
    client.execute()
    print(f" in {time.monotonic() - began:.0f} s")
    del notebook.cells[0]
    for old in EXECUTED.glob(f"{path.stem}-*.ipynb"):
        old.unlink()
    part = kept.with_suffix(".part")
    nbformat.write(notebook, part)
    part.replace(kept)
    shutil.rmtree(folder)
    return kept


if __name__ == "__main__":
    sys.exit(main())
