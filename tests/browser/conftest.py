"""A headless Chromium, and a JupyterLab with a real kernel, for the tests here.

    def test_something(new_page):             # pages of Chromium
        page = new_page(offline=True, color_scheme="dark")

    def test_something_else(lab):             # a notebook in JupyterLab
        notebook = lab("import rollout_viewer as rv", "rv.view(...)")
        notebook.run_all()
        notebook.page.wait_for_selector(".rollout-viewer")

Both run for the whole session, and so does a page with JupyterLab in it: one takes four
seconds to load. `lab(..., is_alone=True)` is for a test that needs a page of its own.
Traps avoided here: `data-status=idle` does not mean that a kernel is ready (an early
run opens a "Select Kernel" dialog), and `page.evaluate` has no timeout of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from playwright.sync_api import (
    Browser,
    Error,
    Page,
    WebSocket,
    expect,
    sync_playwright,
)

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWPORT = {"width": 1280, "height": 1000}
TIMEOUT_MS = 30_000
expect.set_options(timeout=TIMEOUT_MS)

# Whoever needs one of these needs a server; `front_end` asks for either.
JUPYTER = {"jupyter", "jupyter_notebook", "front_end"}

# `jupyter`, which ends when this process does, also when that is killed: a worker of
# pytest-xdist is, where the run is broken off.
START = """
import ctypes, runpy, signal, sys
if sys.platform == "linux":
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
runpy.run_module("jupyter", run_name="__main__")
"""

# Resolves to the kernel's id once it is connected and idle.
READY_JS = """async () => {
  const sleep = ms => new Promise(done => setTimeout(done, ms));
  const within = (promise, ms, what) => Promise.race([promise,
    sleep(ms).then(() => { throw new Error('timeout: ' + what); })]);
  const app = window.jupyterapp;
  await within(app.restored, 30000, 'restored');
  let panel;
  for (let i = 0; i < 600; i++) {
    panel = app.shell.currentWidget;
    if (panel && panel.context && panel.sessionContext) break;
    await sleep(50);
  }
  await within(panel.context.ready, 30000, 'context');
  await within(panel.sessionContext.ready, 30000, 'session');
  for (let i = 0; i < 600; i++) {
    const session = panel.sessionContext.session;
    const kernel = session && session.kernel;
    if (kernel && kernel.connectionStatus === 'connected' && kernel.status === 'idle')
      return kernel.id;
    await sleep(50);
  }
  throw new Error('kernel not idle');
}"""

# Runs a command of JupyterLab; "ran", or "timeout".
COMMAND_JS = """async ([command, ms]) => Promise.race([
  window.jupyterapp.commands.execute(command).then(() => 'ran'),
  new Promise(done => setTimeout(() => done('timeout'), ms))])"""

# True once JupyterLab has its layout. Asked again and again: a promise that `evaluate`
# waits for may be garbage collected where the page changes its address.
RESTORED_JS = """() => {
  const app = window.jupyterapp;
  if (!app?.shell) return false;
  if (window.isRestored === undefined) {
    window.isRestored = false;
    void app.restored.then(() => { window.isRestored = true; });
  }
  return window.isRestored;
}"""

# Asks again where it is not open after a while: the file browser, which reads its
# folder anew at the same time, may drop the first.
OPEN_JS = """path => {
  const { commands, shell } = window.jupyterapp;
  const isOpen = shell.currentWidget?.context?.path === path;
  const now = Date.now();
  if (!isOpen && !(now - window.askedAt < 8000)) {
    window.askedAt = now;
    void commands.execute('filebrowser:open-path', { path });
  }
  if (isOpen) window.askedAt = 0;
  return isOpen;
}"""

# Removes every notebook; whether the page is as it was before the first.
CLEAR_JS = """() => {
  if (!window.isDesk) return false;
  for (const widget of [...window.jupyterapp.shell.widgets('main')])
    if (widget.context) widget.dispose();
  sessionStorage.clear();
  return !document.querySelector('.jp-Dialog, .jp-Notebook, .rollout-viewer');
}"""

CELLS_JS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(
  cell => cell.model.sharedModel.getSource())"""

OUTPUTS_JS = """() => window.jupyterapp.shell.currentWidget.content.widgets.map(
  cell => cell.model.outputs ? cell.model.outputs.toJSON() : [])"""

SELECT_JS = """index => {
  const content = window.jupyterapp.shell.currentWidget.content;
  content.activeCellIndex = index;
  content.mode = 'command';
}"""


def chromium_path() -> str | None:
    """Return a Chromium of this machine; None: only Playwright's own may be there."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that -m 'not browser' leaves it out.

    What fails is run once more, on a new page: JupyterLab and a kernel start here while
    other tests take both cores. The summary lists each test that needed it.

    Of workers beside each other, one has JupyterLab and one all other pages: JupyterLab
    takes ten seconds of a core to start.
    """
    here = pathlib.Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.flaky(reruns=1))
            has_jupyter = not JUPYTER.isdisjoint(getattr(item, "fixturenames", ()))
            group = "jupyter" if has_jupyter else "pages"
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the Chromium that all tests share."""
    with sync_playwright() as playwright:
        path = chromium_path()
        if path is None and not os.path.exists(playwright.chromium.executable_path):
            message = "no Chromium: install it (see `make setup`)"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Return a maker of pages, each in a context of its own with these options."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Page:
            context = chromium.new_context(**{"viewport": VIEWPORT, **options})
            stack.callback(context.close)
            context.set_default_timeout(TIMEOUT_MS)
            return context.new_page()

        yield make


@pytest.fixture(scope="session")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Start the JupyterLab that all tests share; ends it and its kernels."""
    root = tmp_path_factory.mktemp("jupyter")
    with JupyterServer(root) as server:
        yield server


@pytest.fixture(scope="session")
def jupyter_notebook(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[JupyterServer]:
    """Start the Jupyter Notebook that all tests share; ends it and its kernels."""
    root = tmp_path_factory.mktemp("notebook")
    with JupyterServer(root, "notebook") as server:
        yield server


@pytest.fixture(scope="session")
def desk(chromium: Browser, jupyter: JupyterServer) -> Iterator[Desk]:
    """Return the JupyterLab in which one test after the other opens its notebook."""
    desk = Desk(chromium, jupyter)
    yield desk
    desk.leave()


@pytest.fixture
def lab(
    jupyter: JupyterServer,
    desk: Desk,
    new_page: Callable[..., Page],
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Notebook]]:
    """Return a function that opens a notebook of the given cells in JupyterLab.

    Its folder, where the kernel runs, is the notebook's alone.
    """
    num_failed = request.session.testsfailed
    yield from opened(jupyter, new_page, request, desk)
    desk.clear(is_kept=request.session.testsfailed == num_failed)


@pytest.fixture
def notebook7(
    jupyter_notebook: JupyterServer,
    new_page: Callable[..., Page],
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., Notebook]]:
    """Return what `lab` returns, in Jupyter Notebook."""
    yield from opened(jupyter_notebook, new_page, request)


def opened(
    jupyter: JupyterServer,
    new_page: Callable[..., Page],
    request: pytest.FixtureRequest,
    desk: Desk | None = None,
) -> Iterator[Callable[..., Notebook]]:
    opened: list[Notebook] = []

    def open_notebook(*cells: str, is_alone: bool = False, **options: Any) -> Notebook:
        # A test that is run once more finds what it left.
        turn = getattr(request.node, "execution_count", 1)
        name = f"{request.node.name}-{turn}-{len(opened)}"
        folder = jupyter.root / name
        folder.mkdir()
        content = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
        )
        nbformat.write(content, folder / "test.ipynb")
        is_at_desk = desk and not (is_alone or options or opened)
        page = desk.page() if desk and is_at_desk else new_page(**options)
        opened.append(Notebook(page, jupyter, folder))
        return opened[-1]

    yield open_notebook

    for notebook in opened:
        notebook.leave()
        jupyter.leave_kernel(notebook.kernel)


class Desk:
    """A page with JupyterLab, without a notebook; a new one where a test left more."""

    def __init__(self, browser: Browser, server: JupyterServer) -> None:
        self._browser = browser
        self._url = server.url
        self._page: Page | None = None

    def page(self) -> Page:
        """Return the page, loaded."""
        if self._page is None:
            context = self._browser.new_context(viewport=VIEWPORT)
            context.set_default_timeout(TIMEOUT_MS)
            self._page = context.new_page()
            self._page.goto(f"{self._url}/lab?reset")
            self._page.wait_for_function(RESTORED_JS)
            self._page.evaluate("() => { window.isDesk = true; }")
        return self._page

    def clear(self, *, is_kept: bool) -> None:
        """Take away what a test left, or the page."""
        if self._page is None:
            return
        with contextlib.suppress(Error):
            self._page.mouse.move(0, 0)
            is_kept = is_kept and self._page.evaluate(CLEAR_JS)
            if is_kept and self._page.viewport_size == VIEWPORT:
                return
        self.leave()

    def leave(self) -> None:
        """Close the page."""
        if self._page is not None:
            with contextlib.suppress(Error):
                self._page.context.close()
        self._page = None


class JupyterServer:
    """A `jupyter lab` over the folder `root`, with no settings but its own."""

    def __init__(self, root: pathlib.Path, app: str = "lab") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.app = app
        self.root = root / "notebooks"
        self.root.mkdir()
        self.static = root / "static"  # of pages that a test brings: /static/...
        self.static.mkdir()
        self.url = ""  # known when it has started
        self._leaving: list[threading.Thread] = []
        self._log = (root / "server.log").open("wb")
        # no question about news above what the tests click
        folder = root / "state" / "settings" / "@jupyterlab" / "apputils-extension"
        folder.mkdir(parents=True)
        settings = {"fetchNews": "false", "checkForUpdates": False}
        file = folder / "notification.jupyterlab-settings"
        file.write_text(json.dumps(settings))
        expose = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", START, app),
                *("--no-browser", "--allow-root", "--ip=127.0.0.1"),
                # Another process may have taken the port until it is bound.
                *(f"--port={port}", "--ServerApp.port_retries=50"),
                *("--IdentityProvider.token=", "--ServerApp.password="),
                "--ServerApp.disable_check_xsrf=True",
                f"--ServerApp.root_dir={self.root}",
                f"--ServerApp.extra_static_paths={self.static}",
                f"--{expose}.expose_app_in_browser=True",
            ],
            env=self._environment(root),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    @staticmethod
    def _environment(root: pathlib.Path) -> dict[str, str]:
        here = pathlib.Path(sys.executable).parent
        state = root / "state"
        return {
            **os.environ,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "IPYTHONDIR": str(state / "ipython"),
            "JUPYTER_CONFIG_DIR": str(state / "config"),
            "JUPYTER_DATA_DIR": str(state / "data"),
            "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
            "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
            "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        }

    def __enter__(self) -> JupyterServer:
        for _ in range(600):
            with contextlib.suppress(OSError, ValueError):
                self.url = self._written_url()
                self.get("/api")
                return self
            if self._process.poll() is not None:
                break
            time.sleep(0.1)  # another process starts: there is no clock to turn
        log = pathlib.Path(self._log.name).read_text(errors="replace")
        raise RuntimeError(f"jupyter did not start:\n{log}")

    def __exit__(self, *exc: object) -> None:
        for thread in self._leaving:
            thread.join()
        with contextlib.suppress(OSError):
            for kernel in json.loads(self.get("/api/kernels")):
                self.stop_kernel(kernel["id"])
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _written_url(self) -> str:
        """Return the address that the server wrote down; raises before it has."""
        folder = self.root.parent / "state" / "runtime"
        for path in folder.glob("jpserver-*.json"):
            return f"http://127.0.0.1:{json.loads(path.read_text())['port']}"
        raise FileNotFoundError(folder)

    def get(self, path: str, method: str = "GET", data: Any = None) -> bytes:
        """Ask the server's own API, with JSON of `data`."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            content: bytes = answer.read()
        return content

    def start_kernel(self, folder: pathlib.Path) -> str:
        """Start a kernel in a folder of the root's; returns its id."""
        data = {"name": "python3", "path": folder.name}
        kernel: str = json.loads(self.get("/api/kernels", "POST", data))["id"]
        return kernel

    def trust(self, path: pathlib.Path) -> None:
        """Sign a notebook, as its own server would."""
        subprocess.run(
            [sys.executable, "-m", "jupyter", "trust", path],
            env=self._environment(self.root.parent),
            check=True,
            capture_output=True,
        )

    def leave_kernel(self, kernel: str) -> None:
        """End a kernel beside what comes next: it is half a second of waiting."""
        thread = threading.Thread(target=self.stop_kernel, args=[kernel], daemon=True)
        thread.start()
        self._leaving.append(thread)

    def stop_kernel(self, kernel: str) -> None:
        """End a kernel; it may have ended before."""
        with contextlib.suppress(OSError):
            self.get(f"/api/kernels/{kernel}", "DELETE")


class Notebook:
    """A notebook open in JupyterLab, its kernel connected and idle.

    Attributes:
        page: The page of Playwright.
        folder: Where the notebook lies and its kernel runs.
        sent: Every message that the page sent to the kernel, as bytes.
    """

    def __init__(self, page: Page, server: JupyterServer, folder: pathlib.Path) -> None:
        self.page = page
        self.folder = folder
        self.sent: list[bytes] = []
        page.on("websocket", self._listen)
        self._path = f"{folder.name}/test.ipynb"
        if page.url.startswith(server.url):
            page.wait_for_function(OPEN_JS, arg=self._path)
        else:
            tree = "lab/tree" if server.app == "lab" else "notebooks"
            page.goto(f"{server.url}/{tree}/{self._path}?reset")
            page.wait_for_function(RESTORED_JS)
        self.kernel: str = page.evaluate(READY_JS)

    def reload(self) -> None:
        """Load JupyterLab anew, with the notebook, whatever of its layout was kept."""
        is_desk = self.page.evaluate("() => window.isDesk")
        self.page.reload()
        self.page.wait_for_function(RESTORED_JS)
        self.page.evaluate("isDesk => { window.isDesk = isDesk; }", is_desk)
        self.page.wait_for_function(OPEN_JS, arg=self._path)

    def leave(self) -> None:
        """Note no more messages: the page may be another test's."""
        self.page.remove_listener("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        if "/channels" in socket.url:
            socket.on("framesent", lambda data: self.sent.append(_as_bytes(data)))

    def settle(self) -> int:
        """Wait until the page has acknowledged what came; return `num_comm_messages`.

        It does once everything is there, some time after it was drawn.
        """
        count, quiet_ms = self.num_comm_messages, 0
        while quiet_ms < 1200:
            self.page.wait_for_timeout(100)
            quiet_ms = quiet_ms + 100 if self.num_comm_messages == count else 0
            count = self.num_comm_messages
        return count

    @property
    def num_comm_messages(self) -> int:
        """How many messages of widgets went from the page to the kernel."""
        return sum(b'"comm_msg"' in message for message in self.sent)

    @property
    def cells(self) -> list[str]:
        """The source of each cell, as the page has it."""
        sources: list[str] = self.page.evaluate(CELLS_JS)
        return sources

    def outputs(self, cell: int) -> list[dict[str, Any]]:
        """Return the outputs of one cell, as in a notebook file."""
        outputs: list[list[dict[str, Any]]] = self.page.evaluate(OUTPUTS_JS)
        return outputs[cell]

    def text(self, cell: int) -> str:
        """Return what one cell printed; an error that it raised, too."""
        parts = []
        for output in self.outputs(cell):
            text = output.get("text", "") or "\n".join(output.get("traceback", ""))
            parts.append("".join(text))
        return "".join(parts)

    def run_all(self, timeout_s: float = 90) -> None:
        """Run every cell and wait for the last one; raises what a cell raised."""
        self._command("notebook:run-all-cells", timeout_s)

    def run_cell(self, cell: int, timeout_s: float = 90) -> None:
        """Run one cell and wait for it; raises what it raised."""
        self.page.evaluate(SELECT_JS, cell)
        self._command("notebook:run-cell", timeout_s)

    def start_cell(self, cell: int) -> None:
        """Run one cell without waiting for it."""
        self.page.evaluate(SELECT_JS, cell)
        self.page.evaluate(
            "() => { window.jupyterapp.commands.execute('notebook:run-cell'); }"
        )

    def save(self) -> pathlib.Path:
        """Save the notebook; returns its file."""
        self._command("docmanager:save", 30)
        return self.folder / "test.ipynb"

    def _command(self, command: str, timeout_s: float) -> None:
        result = self.page.evaluate(COMMAND_JS, [command, timeout_s * 1000])
        assert result == "ran", f"{command}: {result} after {timeout_s} s"
        for number, outputs in enumerate(self.page.evaluate(OUTPUTS_JS)):
            for output in outputs:
                if output["output_type"] == "error":
                    trace = "\n".join(output["traceback"])
                    pytest.fail(f"cell {number} raised:\n{trace}", pytrace=False)


def _as_bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data
