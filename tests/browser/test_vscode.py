"""VS Code's notebooks, emulated: its widget manager, and a kernel without subshells.

`make test-hosts` installs the manager into build/vscode. What stands between it and
the kernel in VS Code, an extension, is `vscode_page.js`.
"""

import itertools
import pathlib
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

import jupyter_core.paths
import pytest
from playwright.sync_api import expect

from rollout_viewer._video import read_video
from rollout_viewer.testing import read_count
from tests import pages
from tests.browser.driver import (
    HEIGHT,
    NUM_ENVS,
    NUM_ROWS,
    RECORD,
    SHOW,
    WIDTH,
    Viewer,
    assert_shows,
)
from tests.browser.test_hosts import VS_CODE

MODULES = pages.ROOT / "build" / "vscode" / "node_modules"
NBEXTENSIONS = pathlib.Path(jupyter_core.paths.ENV_JUPYTER_PATH[0], "nbextensions")
# The policy is in the page, as VS Code's is.
PAGE = """<!doctype html><meta charset="utf-8"><title>VS Code</title>{policy}
<link rel="icon" href="data:,"><script src="require.js"></script>
<body><div id="cells"></div><script type="module" src="page.js"></script>"""
REFUSED_JS = """window.refused = [];
addEventListener("securitypolicyviolation", ({ blockedURI, violatedDirective }) =>
  window.refused.push(`${violatedDirective} ${blockedURI}`));"""
META = '<meta http-equiv="Content-Security-Policy" content="{}">'

numbers = itertools.count()
pytestmark = pytest.mark.skipif(
    not MODULES.is_dir(), reason="VS Code's widgets are not installed: make test-hosts"
)
# anywidget imports each widget from a `blob:` address, which VS Code's policy refuses.
# That aside: no blob is a worker, and none a picture.
BLOBS_ARE_SCRIPTS = VS_CODE.replace("script-src", "script-src blob:")
POLICIES = {"no policy": None, "its policy, but for scripts": BLOBS_ARE_SCRIPTS}


@pytest.fixture(scope="session")
def site(jupyter):
    """Return where the server has the page's files, but for the page."""
    folder = jupyter.static / "vscode"
    folder.mkdir()
    shutil.copy(MODULES / "requirejs" / "require.js", folder)
    shutil.copytree(NBEXTENSIONS / "anywidget", folder / "anywidget")
    subprocess.run(
        [
            pathlib.Path(sys.executable).parent / "node",
            pages.ROOT / "js" / "node_modules" / "esbuild" / "bin" / "esbuild",
            pathlib.Path(__file__).parent / "vscode_page.js",
            *("--bundle", "--format=esm", "--log-level=error"),
            *("--define:global=globalThis", "--define:process.env={}"),
            f"--outfile={folder / 'page.js'}",
        ],
        env={"NODE_PATH": str(MODULES)},
        check=True,
    )
    return folder


@pytest.fixture
def vscode(jupyter, new_page, site):
    """Return a function that opens a page with a kernel in a folder of its own."""
    kernels = []

    def open_page(policy=None):
        number = next(numbers)
        folder = jupyter.root / f"vscode{number}"
        folder.mkdir()
        meta = META.format(policy) if policy else ""
        (site / f"{number}.html").write_text(PAGE.format(policy=meta), "utf-8")
        kernels.append(jupyter.start_kernel(folder))
        page = new_page()
        page.add_init_script(REFUSED_JS)
        page.goto(f"{jupyter.url}/static/vscode/{number}.html")
        page.wait_for_function("() => 'connect' in window")
        page.evaluate("id => connect(id)", kernels[-1])
        return SimpleNamespace(page=page, folder=folder, run=runner(page))

    yield open_page

    for kernel in kernels:
        jupyter.stop_kernel(kernel)


def runner(page):
    """Return a function that runs cells, one after the other."""

    def run(*cells):
        for cell in cells:
            assert page.evaluate("code => run(code)", cell) == ""

    return run


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
def test_pictures_are_exact_play_and_are_dumped(policy, vscode):
    host = vscode(policy)
    host.run(RECORD, SHOW)
    viewer = Viewer(host)
    viewer.wait_until_loaded()

    viewer.press("Home", *["ArrowRight"] * 3)
    assert_shows(viewer, 3)
    viewer.press("Home", " ")
    viewer.wait("row", NUM_ROWS - 1)
    assert_shows(viewer, NUM_ROWS - 1)
    viewer.button("^dump mp4").click()
    viewer.root.get_by_text(re.compile(r"videos/.*\.mp4")).first.wait_for()

    (path,) = host.folder.rglob("[!.]*.mp4")
    rows = [read_count(frame[:HEIGHT, :WIDTH])[0] for frame in read_video(path)]
    assert rows == list(range(NUM_ROWS))
    blobs = [one for one in host.page.workers if one.url.startswith("blob:")]
    assert bool(blobs) == (policy is None)
    assert host.page.workers  # from `data:` addresses, where blobs are refused
    assert host.page.evaluate("problems") == []


def test_rows_come_while_a_cell_runs_and_what_is_asked_for_after_it(vscode):
    host = vscode()
    host.run(RECORD, "live = rv.FrameCache(fps=20)\nrv.view(live)")
    viewer = Viewer(host)
    host.page.evaluate(
        """code => { window.busy = run(code); }""",
        f"""
import pathlib, time
for row in range({NUM_ROWS}):
    live.append(frames[row], reset=np.full({NUM_ENVS}, row == 0))
until = time.monotonic() + 120
while not pathlib.Path("enough").exists() and time.monotonic() < until:
    time.sleep(0.02)
print(len(list(pathlib.Path().rglob("[!.]*.csv"))))
""",
    )

    viewer.press("End")
    assert_shows(viewer, NUM_ROWS - 1)
    viewer.button("^dump csv").click()
    viewer.press("Home", "ArrowRight")
    assert_shows(viewer, 1)
    (host.folder / "enough").touch()

    assert host.page.evaluate("busy").strip() == "0"
    viewer.root.get_by_text(re.compile(r"\.csv")).first.wait_for()


def test_under_its_whole_policy_anywidget_loads_no_widget(vscode):
    host = vscode(VS_CODE)

    host.page.evaluate("code => run(code)", RECORD)
    host.page.evaluate("code => { void run(code); }", SHOW)

    # A setting of VS Code, which is off, turns the policy on: no anywidget works then.
    host.page.wait_for_function("() => problems.length > 0")
    assert "script-src-elem blob" in host.page.evaluate("refused")
    expect(host.page.locator(".rollout-viewer")).to_have_count(0)
