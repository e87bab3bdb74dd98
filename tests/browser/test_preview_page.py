"""A viewer over a link that is too thin for exact pictures, in a real page."""

import base64
from types import SimpleNamespace

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from tests.browser.bare_host import BareHost, Link
from tests.browser.driver import PIXELS_JS, Viewer, assert_soon, choose
from tests.browser.test_hosts import NO_CODECS

NUM_ROWS, NUM_ENVS, SIDE = 640, 4, 64
# 48 kB a row: 960 kB/s at 20 rows a second.
FPS, THIN = 20, Link(bytes_per_s=300e3, delay_s=0.02)
FAR, REST = 300, 600


def frames_of(row):
    """Return frames that change smoothly, under noise that keeps them large."""
    rng = np.random.default_rng(row)
    envs = np.arange(NUM_ENVS)[:, None, None, None]
    base = 40 + (row + 40 * envs) % 170 + np.array([0, 20, 40])
    noise = rng.integers(-8, 9, (NUM_ENVS, SIDE, SIDE, 3))
    return (base + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def cache():
    cache = rv.FrameCache(fps=FPS)
    for row in range(NUM_ROWS):
        is_reset = np.full(NUM_ENVS, row == 0)
        cache.append(frames_of(row), reward=np.ones(NUM_ENVS), reset=is_reset)
    return cache


@pytest.fixture
def opened(new_page):
    """Return a function that opens a host's page, after a script of its own."""

    def open_page(host, script="", **options):
        page = new_page(**options)
        page.add_init_script(script)
        page.goto(host.url)
        viewer = Viewer(SimpleNamespace(page=page))
        viewer.wait("numRows", NUM_ROWS)
        return viewer

    return open_page


def go(viewer, row):
    viewer.root.get_by_label("Row number").fill(str(row))
    viewer.page.keyboard.press("Enter")


def pixels(viewer):
    """Return the tiles' pictures, (NUM_ENVS, SIDE, SIDE, 3)."""
    width, height, text = viewer.root.locator(".rv-frames").evaluate(PIXELS_JS)
    grid = np.frombuffer(base64.b64decode(text), np.uint8)
    grid = grid.reshape(height // SIDE, SIDE, width // SIDE, SIDE, 4)
    return grid.swapaxes(1, 2).reshape(-1, SIDE, SIDE, 4)[:NUM_ENVS, :, :, :3]


def is_exact(viewer):
    """Whether the row that is shown has the pixels that were recorded."""
    row, shown = viewer.row, pixels(viewer)
    return row == viewer.row and bool((shown == frames_of(row)).all())


def assert_exact(viewer):
    expect(viewer.root.locator("[data-gap=loading]")).to_have_count(0)
    expect(viewer.root.locator(".rv-previews")).to_have_count(0)
    assert_soon(lambda: is_exact(viewer), True)


@pytest.mark.parametrize("script", ["", NO_CODECS], ids=["WebCodecs", "no WebCodecs"])
def test_previews_play_and_are_marked_and_are_exact_where_they_rest(
    script, cache, opened
):
    view = rv.view(cache)
    with BareHost(view, link=THIN) as host:
        viewer = opened(host, script)
        go(viewer, FAR)
        viewer.wait("row", FAR)
        assert_exact(viewer)  # its stills, long before its chunks

        viewer.press(" ")
        chips = viewer.root.locator(".rv-late:visible", has_text="preview")
        expect(chips).to_have_count(NUM_ENVS)
        viewer.page.wait_for_function(
            f"root => Number(root.dataset.row) > {FAR + 3} &&"
            " root.querySelector('.rv-previews')",
            arg=viewer.root.element_handle(),
        )
        videos = view._stream._previews._videos._videos
        codecs = {video.codec for video in [*videos.values()]}
        shown = pixels(viewer).astype(float).mean((1, 2))
        row = viewer.row

        viewer.press("ArrowRight")  # pauses, also where it has come to its end
        go(viewer, REST)
        viewer.wait("row", REST)
        expect(chips).to_have_count(0)
        assert_exact(viewer)

    # A Chromium that decodes no H.264 decodes another one.
    assert codecs
    assert ("image/jpeg" in codecs) == bool(script)
    # Near what was recorded around that row: one more may have been drawn meanwhile.
    expected = frames_of(row).astype(float).mean((1, 2))
    assert np.abs(shown - expected).max() < 8


def test_the_quality_is_chosen_in_the_page_and_in_python(cache, opened):
    view = rv.view(cache, quality="exact")
    with BareHost(view, link=THIN) as host:
        viewer = opened(host)
        go(viewer, FAR)
        viewer.press(" ")
        assert view.stats()["messages"] > 0
        choose(viewer.root, "Zoom:", "Preview")
        expect(viewer.root.locator(".rv-previews")).to_have_count(1)
        assert view.quality == "preview"

        view.quality = "exact"
        expect(viewer.root.locator(".rv-previews")).to_have_count(0)
        viewer.press("ArrowRight")
        go(viewer, REST)
        viewer.wait("row", REST)
        assert_exact(viewer)


def test_a_preview_is_marked_where_tiles_have_no_text(cache, opened):
    with BareHost(rv.view(cache, quality="preview"), link=THIN) as host:
        viewer = opened(host)
        viewer.press("t")
        go(viewer, FAR)
        viewer.press(" ")
        main = viewer.root.locator(".rv-main:has(.rv-previews)")
        expect(main).to_have_count(1)
        chip = "el => getComputedStyle(el, '::after').content"
        assert main.evaluate(chip) == '"preview"'
