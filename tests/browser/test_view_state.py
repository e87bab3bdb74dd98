"""What a view shows in its states: without rows, without text, after a reload."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from tests.browser.driver import assert_soon, choose
from tests.browser.states import STATES, open_state
from tests.browser.test_html_export import Shown, recorded
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
    expect(transport.get_by_label("Row number")).to_have_value("")
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


def test_a_tile_of_a_damaged_row_says_so(new_page):
    page = open_state(new_page, STATES["damaged rows"])
    remarks = page.locator(".rv-tile .rv-late:visible")

    expect(remarks).to_have_text(["damaged"] * 6)
    page.keyboard.press("Home")
    expect(remarks).to_have_count(0)


class Fingers:
    """Two fingers on the screen, side by side, as the browser hears of them."""

    def __init__(self, page, x, y):
        self.page, self.x, self.y = page, x, y
        self.session = page.context.new_cdp_session(page)

    def pinch(self, *aparts):
        """Put them down so far apart, move them, and lift them."""
        for index, apart in enumerate(aparts):
            self._send("touchMove" if index else "touchStart", apart)
        self._send("touchEnd", None)

    def _send(self, kind, apart):
        sides = [] if apart is None else [-apart / 2, apart / 2]
        points = [
            {"x": self.x + side, "y": self.y, "id": finger}
            for finger, side in enumerate(sides)
        ]
        event = {"type": kind, "touchPoints": points}
        self.session.send("Input.dispatchTouchEvent", event)


def on_a_tablet(new_page, path):
    shown = Shown(
        new_page,
        path,
        viewport={"width": 1000, "height": 800},
        has_touch=True,
        is_mobile=True,
    )
    shown.rest()
    return shown


def middle_of(locator):
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_two_fingers_zoom_the_timeline_and_leave_the_row(new_page, tmp_path):
    path = write_html(recorded(400), tmp_path / "page.html")
    shown = on_a_tablet(new_page, path)
    shown.go(200)
    window = shown.root.get_by_role("scrollbar", name="Rows in sight")

    def rows():
        text = window.get_attribute("aria-valuetext")
        return [int(number) for number in re.findall(r"\d+", text)]

    strip = shown.root.locator(".rv-track .rv-strip").first
    fingers = Fingers(shown.page, *middle_of(strip))
    fingers.pinch(100, 140, 200, 300, 400)
    assert_soon(lambda: 80 <= rows()[1] - rows()[0] <= 125, True)
    first, last = rows()
    assert abs((first + last) / 2 - 200) < 12

    fingers.pinch(400, 300, 200, 100, 50)
    assert_soon(rows, [0, 399])
    shown.wait("row", 200)
    assert shown.page.evaluate("() => visualViewport.scale") == 1
    assert shown.faults == []


def test_two_fingers_zoom_the_pictures(new_page, tmp_path):
    path = write_html(recorded(4), tmp_path / "page.html")
    shown = on_a_tablet(new_page, path)
    tile = shown.root.locator(".rv-frames canvas").first
    before = tile.evaluate(SIZE_JS)[0]

    Fingers(shown.page, *middle_of(shown.root.locator(".rv-stage"))).pinch(
        100, 150, 200
    )

    assert_soon(lambda: abs(tile.evaluate(SIZE_JS)[0] / before - 2) < 0.1, True)
    assert shown.page.evaluate("() => visualViewport.scale") == 1
    assert shown.faults == []
