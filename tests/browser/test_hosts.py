"""A viewer where a page lacks something: the same pixels, or a word of what is missing.

Of a page without a kernel, and of the live viewer: its host is emulated (`bare_host`).
"""

import base64
import re
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from rollout_viewer.testing import counting_frames
from tests.browser.bare_host import BareHost
from tests.browser.driver import (
    HEIGHT,
    NUM_ENVS,
    NUM_ROWS,
    PIXELS_JS,
    RECORD,
    WIDTH,
    Viewer,
    assert_shows,
    choose,
)

NO_WORKER = "window.Worker = class { constructor() { throw new Error('refused'); } };"
# A policy refuses a worker only after it was made.
LATE = """window.Worker = class {
  constructor() { setTimeout(() => this.onerror(new ErrorEvent('error')), 20); }
  postMessage() {}
  terminate() {}
};"""
NO_CODECS = """for (const name of ["VideoDecoder", "VideoEncoder", "VideoFrame"])
  delete window[name];"""

WITHOUT = {
    "worker": NO_WORKER,
    "worker, found late": LATE,
    # Workers have a wasm of their own, so these go too.
    "wasm": f"delete window.WebAssembly; {NO_WORKER}",
    "WebCodecs": NO_CODECS,
    "OffscreenCanvas": "delete window.OffscreenCanvas;",
    "blob URLs": "delete URL.createObjectURL; delete URL.revokeObjectURL;",
    "SharedArrayBuffer": "delete window.SharedArrayBuffer; delete window.Atomics;",
}

# VS Code's notebooks with `notebook.experimental.enableCsp` (backLayerWebView.ts of
# 1.104), where `ws:` stands for its own way to the kernel.
VS_CODE = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' https: http: data:; "
    "font-src 'self' https:; connect-src https: ws:; child-src https: data:"
)
# Neither workers, nor wasm, nor any script but the host's own files.
STRICT = "default-src 'self'; connect-src 'self' ws:"


# A clock that runs ahead, so that nothing waits for the kernel's answer.
HASTY = """const now = performance.now.bind(performance);
           performance.now = () => 10 * now();"""


def recorded():
    frames = counting_frames(NUM_ROWS, NUM_ENVS, height=HEIGHT, width=WIDTH)
    cache = rv.FrameCache(fps=50)
    for row in range(NUM_ROWS):
        is_reset = np.full(NUM_ENVS, row == 0)
        cache.append(frames[row], reward=np.arange(NUM_ENVS), reset=is_reset)
    return cache


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a page without a kernel."""
    return write_html(recorded(), tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def opened(new_page):
    """Return a function that opens a page, after a script of its own."""

    def open_page(url, script="", **options):
        page = new_page(**options)
        page.add_init_script(script)
        page.goto(url)
        return page

    return open_page


def assert_exact(page):
    """Assert that some rows have their pixels, decoded forwards, back and ahead."""
    viewer = Viewer(SimpleNamespace(page=page))
    viewer.wait_until_loaded()
    for row in (0, NUM_ROWS - 1, 20):
        viewer.root.get_by_label("Row number").fill(str(row))
        page.keyboard.press("Enter")
        assert_shows(viewer, row)
    assert viewer.root.get_attribute("data-state") in ("ready", "live")
    return viewer


@pytest.mark.parametrize("what", WITHOUT)
def test_a_page_without_a_kernel_is_exact_without(what, opened, written):
    page = opened(written.as_uri(), WITHOUT[what], offline=True)

    assert_exact(page)


@pytest.mark.parametrize("what", WITHOUT)
def test_the_live_viewer_is_exact_without(what, opened):
    with BareHost(rv.view(recorded())) as host:
        assert_exact(opened(host.url, WITHOUT[what]))


def test_both_are_exact_without_a_secure_context(opened, written):
    files = {"page.html": written.read_text("utf-8")}
    with BareHost(rv.view(recorded()), files=files) as host:
        for name in ("", "page.html"):
            page = opened(host.insecure_url + name)
            assert not page.evaluate("isSecureContext")
            assert_exact(page)


@pytest.mark.parametrize("policy", [VS_CODE, STRICT], ids=["VS Code", "strict"])
def test_both_are_exact_under_the_policy_of(policy, opened, written):
    files = {"page.html": written.read_text("utf-8")}
    # A page's own script is in it, which no other host's policy allows.
    inline = policy.replace("'self'", "'self' 'unsafe-inline'", 1)
    with BareHost(rv.view(recorded()), policy=policy, files=files) as host:
        assert_exact(opened(host.url))
        host.policy = inline
        assert_exact(opened(f"{host.url}page.html"))


def test_where_blobs_are_refused_decoding_is_still_left_to_workers(opened):
    with BareHost(rv.view(recorded()), policy=VS_CODE) as host:
        page = opened(host.url)
        assert_exact(page)

        assert page.workers
        assert all(worker.url.startswith("data:") for worker in page.workers)


@pytest.mark.parametrize("what", ["OffscreenCanvas", "blob URLs"])
def test_a_picture_is_saved_without(what, opened, written):
    page = opened(written.as_uri(), WITHOUT[what])
    viewer = assert_exact(page)

    with page.expect_download() as download:
        choose(viewer.root, "Save", "Save PNG")

    with PIL.Image.open(download.value.path()) as picture:
        pixels = np.array(picture)[..., :3]
    expected = counting_frames(1, 1, height=HEIGHT, width=WIDTH, start=20)[0, 0]
    np.testing.assert_array_equal(pixels, expected)


def test_a_host_that_drops_buffers_gets_them_as_text_and_the_page_says_so(opened):
    cache = recorded()
    viewer = rv.view(cache)
    with BareHost(viewer, has_buffers=False) as host:
        page = opened(host.url)
        root = page.locator(".rollout-viewer")
        note = root.locator(".rv-cut", has_text="drops binary data")

        shown = assert_exact(page)
        expect(note).to_be_visible()
        root.get_by_role("button", name="Close note").click()
        expect(note).to_have_count(0)

        # What is recorded from now on comes, too, and so does data that is asked for.
        more = counting_frames(1, NUM_ENVS, height=HEIGHT, width=WIDTH, start=NUM_ROWS)
        cache.append(more[0], reward=np.ones(NUM_ENVS), data={"x": np.full(4, 7.25)})
        shown.wait("numRows", NUM_ROWS + 1)
        shown.press("End", "Shift+I")
        assert_shows(shown, NUM_ROWS)
        expect(root.locator(".rv-inspector")).to_contain_text("7.25")


def test_a_host_that_brings_no_messages_says_what_to_do(opened):
    with BareHost(rv.view(recorded()), is_deaf=True) as host:
        page = opened(host.url, HASTY)

        text = page.get_by_text("No answer from the kernel")
        expect(text).to_be_visible()
        expect(page.get_by_text('viewer.to_html("page.html")')).to_be_visible()
        host.is_deaf = False
        assert_exact(page)
        expect(text).to_be_hidden()


def test_a_host_that_brings_no_messages_shows_the_poster_until_one_comes(opened):
    viewer = rv.view(recorded())
    viewer._repr_mimebundle_()
    with BareHost(viewer, is_deaf=True) as host:
        page = opened(host.url, HASTY)

        inside = page.frame_locator(".rv-host > iframe")
        expect(inside.get_by_text("It is live in JupyterLab")).to_be_visible()
        expect(inside.get_by_text(f"{NUM_ROWS} rows, {NUM_ENVS} envs")).to_be_visible()
        picture = inside.get_by_alt_text("from left to right")
        assert picture.evaluate("el => el.decode().then(() => el.naturalWidth)") > 100
        host.is_deaf = False
        assert_exact(page)
        expect(page.locator(".rv-host > iframe")).to_be_hidden()


@pytest.mark.parametrize("name", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"])
@pytest.mark.parametrize("lacks", [{"is_deaf"}, {"is_mute"}], ids=["at all", "back"])
def test_where_colab_or_kaggle_bring_no_messages_what_is_in_the_output_plays(
    name, lacks, opened, monkeypatch
):
    monkeypatch.setenv(name, "any")
    viewer = rv.view(recorded())
    viewer._repr_mimebundle_()
    with BareHost(viewer, has_buffers=False, **dict.fromkeys(lacks, True)) as host:
        page = opened(host.url, HASTY)

        inside = page.frame_locator(".rv-host > iframe").frame_locator("iframe")
        root = inside.locator(".rollout-viewer")
        expect(root).to_have_attribute("data-state", "ready")
        for row in range(1, 6):
            root.press("ArrowRight")
            expect(root).to_have_attribute("data-row", str(row))
        width, height, text = root.locator(".rv-frames").evaluate(PIXELS_JS)
        grid = np.frombuffer(base64.b64decode(text), np.uint8)
        grid = grid.reshape(height, width, 4)
        expected = counting_frames(1, 1, height=HEIGHT, width=WIDTH, start=5)[0, 0]
        np.testing.assert_array_equal(grid[:HEIGHT, :WIDTH, :3], expected)


LIVE = "live = rv.FrameCache(fps=20)\nrv.view(live)"
BUSY = f"""
import pathlib, time
for row in range({NUM_ROWS}):
    live.append(frames[row], reset=np.full({NUM_ENVS}, row == 0))
until = time.monotonic() + 120
while not pathlib.Path("enough").exists() and time.monotonic() < until:
    time.sleep(0.02)
print(len(list(pathlib.Path().rglob("[!.]*.mp4"))))
"""


def test_without_subshells_a_running_cell_is_followed_and_dumped_when_it_ends(lab):
    notebook = lab(RECORD, LIVE, BUSY)
    page = notebook.page
    page.evaluate(
        """() => {
          const { sessionContext } = window.jupyterapp.shell.currentWidget;
          sessionContext.session.kernel.commsOverSubshells = "disabled";
        }"""
    )
    notebook.run_cell(0)
    notebook.run_cell(1)
    viewer = Viewer(notebook)

    notebook.start_cell(2)
    viewer.press("End")
    assert_shows(viewer, NUM_ROWS - 1)
    viewer.press("Home", "ArrowRight")
    assert_shows(viewer, 1)
    viewer.button("^dump mp4").click()
    viewer.press("ArrowRight")
    assert_shows(viewer, 2)
    (notebook.folder / "enough").touch()

    viewer.root.get_by_text(re.compile(r"videos/.*\.mp4")).first.wait_for()
    # The cell saw no file: what the page asked for waited for its end.
    assert notebook.text(2).strip() == "0"
