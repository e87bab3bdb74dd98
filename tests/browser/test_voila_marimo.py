"""Voila and marimo, where they are installed: `make test-hosts` does that."""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import START
from tests.browser.driver import (
    NUM_ROWS,
    RECORD,
    SHOW,
    Viewer,
    assert_shows,
    assert_soon,
)


def needs(name):
    return pytest.mark.skipif(
        importlib.util.find_spec(name) is None,
        reason=f"{name} is not installed: make test-hosts",
    )


# A notebook of three cells; the last one depends on what the page sets.
APP = f"""
import marimo

app = marimo.App()


@app.cell
def _():
    {RECORD.strip().replace(chr(10), chr(10) + "    ")}
    return cache, rv


@app.cell
def _(cache, rv):
    import marimo as mo
    viewer = mo.ui.anywidget(rv.view(cache))
    viewer
    return mo, viewer


@app.cell
def _(mo, viewer):
    mo.md(f"chosen: {{viewer.value['selection']}}")
    return
"""


# How far the boxes around an element that limit its height have to be scrolled.
BEYOND_JS = """el => {
  let beyond = 0;
  for (let node = el; node; node = node.parentNode ?? node.host)
    if (node instanceof Element
        && getComputedStyle(node).maxHeight.endsWith('px'))
      beyond = Math.max(beyond, node.scrollHeight - node.clientHeight);
  return beyond;
}"""


@contextlib.contextmanager
def served(folder, module, *arguments):
    """Yield the address of a server that `python -m module` starts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = START.replace('"jupyter"', repr(module))
    names = ("IPYTHONDIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    state = {name: str(folder / "state") for name in names}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", command, *arguments, f"--port={port}"],
            cwd=folder,
            env={**os.environ, **state},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), 1),
            ):
                break
            assert process.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.1)  # another process starts: there is no clock to turn
        yield url
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def opened(page, url):
    """Return the viewer of a page, with everything in it."""
    page.goto(url, wait_until="commit", timeout=90_000)
    return loaded(page)


def loaded(page):
    viewer = Viewer(SimpleNamespace(page=page))
    viewer.wait_until_loaded()
    return viewer


def assert_works(viewer):
    """Assert that it steps, scrubs and plays, with exact pixels."""
    viewer.press("Home", *["ArrowRight"] * 5)
    assert_shows(viewer, 5)
    viewer.scrub(0.2, 0.9, 1)
    assert_shows(viewer, NUM_ROWS - 1)
    viewer.press("Home", " ")
    assert_shows(viewer, NUM_ROWS - 1)


@needs("voila")
def test_voila_shows_the_viewer(new_page, tmp_path):
    cells = [nbformat.v4.new_code_cell(cell) for cell in (RECORD, SHOW)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "test.ipynb")

    options = ("--no-browser", "--Voila.ip=127.0.0.1")
    with served(tmp_path, "voila", "test.ipynb", *options) as url:
        viewer = opened(new_page(), url)

        assert_works(viewer)
        viewer.button("^dump mp4").click()
        viewer.root.get_by_text(re.compile(r"videos/.*\.mp4")).first.wait_for()

    assert len(list(tmp_path.rglob("[!.]*.mp4"))) == 1


@pytest.fixture
def app(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


MARIMO = ("--headless", "--no-token", "--host=127.0.0.1", "--skip-update-check")


@needs("marimo")
def test_marimo_runs_the_viewer_as_an_app(new_page, app):
    with served(app, "marimo", "run", "app.py", *MARIMO[:-1]) as url:
        viewer = opened(new_page(), url)

        assert_works(viewer)


@needs("marimo")
def test_in_a_marimo_notebook_the_viewer_fits_its_output_and_cells_follow_it(
    new_page, app
):
    with served(app, "marimo", "edit", "app.py", *MARIMO) as url:
        page = new_page()
        page.goto(url)
        buttons = page.get_by_test_id("run-button")
        expect(buttons).to_have_count(7)  # two of each cell, and the one of all
        buttons.last.click()
        viewer = loaded(page)
        assert_works(viewer)
        expect(page.get_by_text("chosen: []")).to_be_visible()

        viewer.root.locator("[data-env='2']").first.click()

        expect(page.get_by_text("chosen: [2]")).to_be_visible()
        assert viewer.root.get_attribute("data-row") == str(NUM_ROWS - 1)
        # Nothing of it has to be scrolled for inside its output.
        assert_soon(lambda: viewer.root.evaluate(BEYOND_JS), 0)
