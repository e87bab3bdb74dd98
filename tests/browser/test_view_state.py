"""What a view shows in its states: without rows, without text, after a reload."""

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from tests.browser.driver import assert_soon, choose
from tests.browser.states import STATES, open_state
from tests.browser.test_html_export import Shown
from tests.browser.test_stage import AROUND_JS


def test_controls_without_rows_are_disabled_and_say_why(new_page):
    page = open_state(new_page, STATES["empty"])
    transport = page.locator(".rv-transport")
    controls = transport.locator("button:visible, input:visible")
    play = transport.get_by_role("button", name="Play", exact=True)

    assert controls.count() > 8
    for control in controls.all():
        expect(control).to_be_disabled()
    play.hover(force=True)
    expect(page.locator(".rv-tip")).to_have_text("Nothing is recorded yet")
    transport.get_by_label("Row number").hover(force=True)
    expect(page.locator(".rv-tip")).to_have_text("Nothing is recorded yet")


def test_controls_that_were_disabled_can_be_used_when_rows_come(new_page):
    page = open_state(new_page, STATES["one env"])
    transport = page.locator(".rv-transport")

    for control in transport.locator("button:visible, input:visible").all():
        expect(control).to_be_enabled()
    transport.get_by_role("button", name="First row").hover()
    expect(page.locator(".rv-tip")).to_have_text("First rowHome")
    transport.get_by_label("Row number").hover()
    expect(page.locator(".rv-tip")).to_contain_text("e3 ep12 s733")


SIZE_JS = "one => [one.offsetWidth, one.offsetHeight]"


def test_captions_that_are_hidden_give_their_room_to_the_pictures(new_page, tmp_path):
    cache = recording_of_sixteen()
    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    picture = shown.root.locator(".rv-frames canvas").first
    captions = shown.root.locator(".rv-caption:visible")
    shown.rest()
    with_text = picture.evaluate(SIZE_JS)
    expect(captions).to_have_count(16)

    shown.press("t")
    expect(captions).to_have_count(0)
    shown.rest()
    without = picture.evaluate(SIZE_JS)
    assert without[0] > with_text[0]
    assert without[1] > with_text[1]

    shown.page.reload()
    shown.wait_until_loaded()
    assert_soon(lambda: picture.evaluate(SIZE_JS), without)
    expect(captions).to_have_count(0)
    choose(shown.root, "Labels on the tiles", "Text on the tiles")
    shown.press("Escape")
    expect(captions).to_have_count(16)
    assert_soon(lambda: picture.evaluate(SIZE_JS), with_text)


@pytest.mark.parametrize("width", [368, 620])
def test_in_a_low_notebook_the_panel_leaves_room_for_pictures(
    new_page, tmp_path, width
):
    cache = recording_of_sixteen()
    shown = Shown(new_page, write_html(cache, tmp_path / "page.html"))
    around = f"height: 580px; width: {width}px"
    shown.page.evaluate(AROUND_JS, [shown.root.element_handle(), around])
    shown.press("Escape")
    shown.root.get_by_role("button", name="Panel", exact=True).click()
    side = shown.root.locator(".rv-side")
    shown.root.get_by_role("tab", name="Episodes").click()
    shown.rest()

    # Nothing is cut off at the lower edge, and the view is no higher than the room.
    inside = "root => [root.scrollHeight <= root.clientHeight, root.offsetHeight < 580]"
    assert_soon(lambda: shown.root.evaluate(inside), [True, True])
    heights = [one.bounding_box()["height"] for one in (side, shown.root)]
    assert heights[0] < 0.4 * heights[1]
    row = shown.root.locator(".rv-episode-body .rv-episode-row").first.bounding_box()
    sheet = side.bounding_box()
    assert row["y"] + row["height"] <= sheet["y"] + sheet["height"]


def recording_of_sixteen():
    cache = rv.FrameCache()
    for row in range(3):
        frames = np.full((16, 90, 120, 3), 50 * row, np.uint8)
        cache.append(frames, reward=np.ones(16), reset=np.full(16, row == 0))
    return cache
