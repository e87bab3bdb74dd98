"""The pictures of a page: how large they are, what is around them, and their tiles."""

import numpy as np
import pytest
from playwright.sync_api import expect

import rollout_viewer as rv
from rollout_viewer._export.html import write_html
from tests.browser.driver import assert_soon
from tests.browser.states import STATES, open_state
from tests.browser.test_html_export import Shown

WINDOW = {"width": 1400, "height": 900}

BOXES_JS = """grid => {
  const box = el => { const {left, top, right, bottom} = el.getBoundingClientRect();
    return [left, top, right, bottom]; };
  return {
    stage: box(grid.closest('.rv-stage')),
    canvases: [...grid.querySelectorAll('.rv-frames canvas')].map(box),
    tiles: [...grid.querySelectorAll('.rv-tile')].map(box),
  };
}"""


def noise(*sizes: tuple[int, int], num_rows: int = 4) -> rv.FrameCache:
    """Return a recording of an env of each size, (height, width)."""
    rng = np.random.default_rng(0)
    cache = rv.FrameCache(fps=50)
    for row in range(num_rows):
        frames = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
        cache.append(
            frames,
            reward=rng.normal(size=len(sizes)) * 7,
            kind=["step" if row else "reset"] * len(sizes),
            terminated=[
                row == num_rows - 1 and env % 2 == 0 for env in range(len(sizes))
            ],
            truncated=[
                row == num_rows - 1 and env % 2 == 1 for env in range(len(sizes))
            ],
        )
    return cache


@pytest.fixture
def show(new_page, tmp_path):
    """Return a function that opens a recording in a page."""

    def open_page(cache: rv.FrameCache, **options) -> Shown:
        path = write_html(cache, tmp_path / "page.html")
        shown = Shown(new_page, path, **{"viewport": WINDOW, **options})
        shown.wait("numRows", cache.num_rows)
        shown.rest()
        return shown

    return open_page


def boxes(shown: Shown) -> dict:
    return shown.root.locator(".rv-grid").evaluate(BOXES_JS)


@pytest.mark.parametrize(
    ("size", "rendering"),
    [((400, 600), "auto"), ((8, 8), "pixelated"), ((300, 84), "pixelated")],
)
def test_one_picture_fills_the_room_whatever_its_size(show, size, rendering):
    shown = show(noise(size))

    found = boxes(shown)
    left, top, right, bottom = found["stage"]
    (picture,) = found["canvases"]
    wide, high = picture[2] - picture[0], picture[3] - picture[1]

    # Its caption and the edge of the stage take the rest.
    assert wide > 0.95 * (right - left) or high > 0.95 * (bottom - top - 50)
    assert abs(wide / high - size[1] / size[0]) < 0.01
    canvas = shown.root.locator(".rv-frames canvas")
    assert canvas.evaluate("el => getComputedStyle(el).imageRendering") == rendering
    assert canvas.evaluate("el => [el.height, el.width]") == list(size)
    box = shown.root.bounding_box()
    assert (box["width"], box["height"]) == (1400, 900)


def test_pictures_of_unequal_size_are_each_as_large_as_their_tile(show):
    shown = show(noise((120, 200), (64, 64), (30, 200)))

    found = boxes(shown)

    for picture, tile in zip(found["canvases"], found["tiles"], strict=True):
        across = (picture[2] - picture[0]) / (tile[2] - tile[0])
        down = (picture[3] - picture[1]) / (tile[3] - tile[1] - 24)
        assert max(across, down) > 0.99
        assert tile[0] - 1 < picture[0]
        assert picture[3] < tile[3] - 23


@pytest.mark.parametrize(("count", "gap"), [(4, 8), (39, 8), (64, 2)])
def test_gaps_are_between_tiles_and_narrow_from_forty_on(show, count, gap):
    shown = show(noise(*[(30, 40)] * count, num_rows=2))

    tiles = boxes(shown)["tiles"]

    columns = sum(tile[1] == tiles[0][1] for tile in tiles)
    assert columns > 1
    between = tiles[1][0] - tiles[0][2]
    # On a canvas that all share, a gap is whole pixels of it.
    assert gap - 0.5 <= between <= max(gap + 0.5, 4)
    assert tiles[columns][1] - tiles[0][3] >= gap - 0.5
    shown.press("n")
    edge = "tile => getComputedStyle(tile, '::after').borderTop"
    selected = shown.root.locator(".rv-tile[aria-selected=true]")
    assert_soon(lambda: selected.evaluate(edge), "2px solid rgb(10, 95, 194)")


OVERLAPS_JS = """root => {
  const parts = '.rv-env, .rv-episode, .rv-step, .rv-total b, .rv-badge, ' +
    '.rv-tile-chip, .rv-late';
  const wrong = [];
  for (const tile of root.querySelectorAll('.rv-tile')) {
    const own = tile.getBoundingClientRect();
    const picture = own.bottom - parseFloat(getComputedStyle(tile)
      .getPropertyValue('--rv-caption-height'));
    const boxes = [...tile.querySelectorAll(parts)].filter(el => el.checkVisibility())
      .map(el => [el.className || el.tagName, el.getBoundingClientRect()])
      .filter(([, box]) => box.width);
    for (const [name, box] of boxes) {
      if (box.right > own.right + 1 || box.left < own.left - 1)
        wrong.push([name, 'outside']);
      const isChip = /badge|chip|late/.test(name);
      if (isChip ? box.bottom > picture : box.top < picture)
        wrong.push([name, 'over the other']);
    }
    for (const [i, [name, a]] of boxes.entries())
      for (const [other, b] of boxes.slice(i + 1))
        if (a.left < b.right - 1 && b.left < a.right - 1 &&
            a.top < b.bottom - 1 && b.top < a.bottom - 1) wrong.push([name, other]);
  }
  return wrong;
}"""


@pytest.mark.parametrize("width", [1400, 900, 560, 400])
def test_no_text_of_a_tile_collides_with_another(show, width):
    cache = noise(*[(60, 80)] * 12)
    for env in range(12):
        cache.label((env, 0), ["success", "failure"][env % 2])
    shown = show(cache, viewport={"width": width, "height": 700})
    shown.go(3)

    expect(shown.root.locator(".rv-badge:visible")).to_have_count(12)
    shown.rest()
    assert_soon(lambda: shown.root.evaluate(OVERLAPS_JS), [])


def test_returns_have_the_same_decimals_in_all_tiles(show):
    shown = show(noise(*[(60, 80)] * 6))
    shown.go(3)

    totals = shown.root.locator(".rv-total b")

    def decimals():
        return {len(text.partition(".")[2]) for text in totals.all_inner_texts()}

    assert_soon(lambda: len(decimals()) == 1 and 0 not in decimals(), True)


def test_an_outcome_is_neither_good_nor_bad_and_only_failure_is_red(show):
    cache = noise((60, 80), (60, 80))
    cache.label((0, 0), "failure")
    shown = show(cache)
    shown.go(3)
    ground = "el => getComputedStyle(el).backgroundColor"
    expect(shown.root.locator(".rv-badge")).to_have_count(2)

    ended, cut = shown.root.locator(".rv-badge").all()
    failure = shown.root.locator(".rv-tile-chip[data-label=failure]").evaluate(ground)

    assert failure == "rgb(179, 38, 30)"
    assert ended.evaluate(ground) == "rgb(107, 63, 160)"
    assert cut.evaluate(ground) == "rgb(255, 255, 255)"
    assert cut.evaluate("el => getComputedStyle(el).borderColor") == "rgb(168, 100, 0)"


def active(shown: Shown) -> str:
    return shown.page.evaluate("document.activeElement.dataset.env ?? 'none'")


def test_keys_move_between_tiles_and_space_plays(show):
    shown = show(noise(*[(60, 80)] * 6))
    tiles = shown.root.locator(".rv-tile[role=option]")
    shown.root.get_by_role("listbox", name="Tiles").wait_for()
    columns = int(shown.canvas.get_attribute("data-columns"))

    stops = "tiles => tiles.filter(tile => tile.tabIndex === 0).length"
    assert_soon(lambda: tiles.evaluate_all(stops), 1)
    tiles.first.focus()
    shown.page.keyboard.press("ArrowRight")
    assert_soon(lambda: active(shown), "1")
    shown.page.keyboard.press("ArrowDown")
    assert_soon(lambda: active(shown), str(1 + columns))
    selected = shown.root.locator(".rv-tile[aria-selected=true]")
    expect(selected).to_have_attribute("data-env", str(1 + columns))
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 1")
    shown.page.keyboard.press("Escape")
    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 6")
    assert_soon(lambda: active(shown), str(1 + columns))
    assert shown.root.get_attribute("data-row") == "0"
    shown.page.keyboard.press("Space")
    shown.wait("row", 3)


def test_a_tile_is_named_by_what_it_shows(show):
    shown = show(noise((60, 80), (60, 80)))
    shown.go(3)

    tile = shown.root.locator(".rv-tile").nth(1)
    total = tile.locator(".rv-total b").inner_text()
    name = f"env 1 episode 0 step 3 return {total} truncated"
    shown.root.get_by_role("option", name=name).wait_for()
    named = shown.root.locator(f'.rv-tile[aria-label^="{name}"]')
    named.wait_for()


def test_the_menu_of_a_tile_labels_bookmarks_and_shows_alone(show):
    shown = show(noise((60, 80), (60, 80)))
    shown.go(2)
    tile = shown.root.locator(".rv-tile").nth(1)
    choose = shown.root.get_by_role("menuitem")

    tile.click(button="right")
    shown.root.get_by_role("menuitemradio", name="Label failure").click()
    tile.locator(".rv-tile-chip[data-label=failure]").wait_for()
    tile.focus()
    shown.page.keyboard.press("Shift+F10")
    choose.filter(has_text="Bookmark this row").click()
    tile.click(button="right")
    expect(choose.filter(has_text="Bookmark this row")).to_be_disabled()
    choose.filter(has_text="Show alone").click()

    shown.page.wait_for_function("document.querySelectorAll('.rv-tile').length === 1")
    assert shown.faults == []


def test_a_frame_is_copied_and_saved_with_its_exact_pixels(show):
    cache = noise((90, 120), (90, 120))
    expected = cache.frames(2, envs=[1])[0, 0]
    shown = show(cache, permissions=["clipboard-read", "clipboard-write"])
    shown.go(2)
    tile = shown.root.locator(".rv-tile").nth(1)
    choose = shown.root.get_by_role("menuitem")

    tile.click(button="right")
    choose.filter(has_text="Copy frame as PNG").click()
    shown.root.locator(".rv-toast", has_text="Frame copied").wait_for()
    size = shown.page.evaluate(
        """async () => {
          const [item] = await navigator.clipboard.read();
          const image = await createImageBitmap(await item.getType('image/png'));
          return [image.height, image.width];
        }"""
    )
    tile.click(button="right")
    with shown.page.expect_download() as download:
        choose.filter(has_text="Save frame as PNG").click()
    image = pytest.importorskip("PIL.Image").open(download.value.path())
    tile.click(button="right")
    choose.filter(has_text="cache.at(2, env=1)").click()
    shown.root.locator(".rv-toast", has_text="Copied cache.at(2, env=1)").wait_for()
    text = shown.page.evaluate("() => navigator.clipboard.readText()")

    assert size == [90, 120]
    np.testing.assert_array_equal(np.asarray(image)[..., :3], expected)
    assert download.value.suggested_filename.endswith("-env1-row2.png")
    assert text == "cache.at(2, env=1)"


def test_buttons_zoom_to_the_selected_tile(show):
    shown = show(noise(*[(60, 80)] * 12))
    tile = shown.root.locator(".rv-tile[data-env='7']")
    tile.click()

    shown.press(*["="] * 8)

    shown.rest()
    box, stage = tile.bounding_box(), shown.root.locator(".rv-stage").bounding_box()
    for at, size in (("x", "width"), ("y", "height")):
        middle = box[at] + box[size] / 2
        assert abs(middle - stage[at] - stage[size] / 2) < 30


READ_JS = """([grid, place]) => {
  const {columns, cellWidth, cellHeight, gap} = grid.dataset;
  const [width, height, pad] = [cellWidth, cellHeight, gap].map(Number);
  const canvas = grid.querySelector('canvas');
  const {data} = canvas.getContext('2d').getImageData(
    (place % columns) * (width + pad), Math.floor(place / columns) * (height + pad),
    width, height);
  return [...data];
}"""


def test_many_tiles_keep_their_exact_pixels_while_they_are_dragged(show):
    cache = noise(*[(40, 50)] * 64)
    shown = show(cache, viewport={"width": 700, "height": 700})
    shown.press("=", "ArrowRight", "ArrowRight")
    shown.wait("row", 2)
    stage = shown.root.locator(".rv-stage").bounding_box()
    x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    for step in range(12):
        shown.page.mouse.move(x + 90 * (-1) ** step, y + 70 * (-1) ** (step // 2))
        shown.page.keyboard.press(["ArrowLeft", "ArrowRight"][step % 2])
    shown.page.mouse.up()
    shown.wait("row", 2)
    shown.rest()

    grid = shown.root.locator(".rv-frames").element_handle()
    tiles = shown.root.locator(".rv-tile")
    slots = tiles.evaluate_all("tiles => tiles.map(tile => Number(tile.dataset.slot))")
    columns = int(shown.canvas.get_attribute("data-columns"))
    assert shown.canvas.get_attribute("data-gap") != "0"
    for place in (0, columns - 1, len(slots) // 2, len(slots) - 1):
        pixels = np.array(shown.page.evaluate(READ_JS, [grid, place]))
        expected = cache.frames(2, envs=[slots[place]])[0, 0]
        np.testing.assert_array_equal(pixels.reshape(40, 50, 4)[..., :3], expected)


def test_a_page_without_pictures_says_so(show):
    cache = rv.FrameCache()
    for _ in range(3):
        cache.append(None, reward=[1, 2], kind=["step"] * 2)
    shown = show(cache)

    expect(shown.root.get_by_text("No pictures were recorded")).to_be_visible()


def test_without_rows_the_timeline_is_blank_and_keeps_its_room(new_page):
    page = open_state(new_page, STATES["empty"])
    expect(page.get_by_text("No rows yet")).to_be_visible()
    expect(page.get_by_text("mean of 0 envs").first).to_be_hidden()

    assert page.locator(".rv-timeline").evaluate("one => one.offsetHeight") > 80


AROUND_JS = """([root, style]) => {
  root.removeAttribute('data-rollout-viewer');
  const [outer, inner] = ['div', 'div'].map(tag => document.createElement(tag));
  outer.style.cssText = style + ';overflow:auto';
  inner.style.overflow = 'auto'; // as high as its content: it shows all of it
  outer.append(inner);
  document.body.append(outer);
  const before = document.createElement('p');
  before.textContent = 'a cell';
  inner.append(before, root);
  dispatchEvent(new Event('resize'));
}"""


@pytest.mark.parametrize(
    ("style", "room"), [("height: 500px", 500), ("max-height: 610px", 610)]
)
def test_in_a_notebook_a_view_is_as_high_as_what_scrolls_shows(show, style, room):
    shown = show(noise(*[(160, 80)] * 6))
    root = shown.root.element_handle()

    shown.page.evaluate(AROUND_JS, [root, style])
    shown.rest()
    height = root.evaluate("root => root.offsetHeight")
    assert room - 40 < height < room
    shown.press("Shift+I")
    shown.rest()
    assert root.evaluate("root => root.offsetHeight") == height
    inside = "root => root.scrollHeight - root.clientHeight"
    assert root.evaluate(inside) <= 0

    handle = shown.root.get_by_role("separator", name="Height of the viewer")
    handle.focus()
    shown.page.keyboard.press("ArrowUp")
    assert_soon(lambda: root.evaluate("root => root.offsetHeight"), height - 16)
    handle.scroll_into_view_if_needed()
    shown.rest()
    box = handle.bounding_box()
    shown.page.mouse.move(box["x"] + 50, box["y"] + 4)
    shown.page.mouse.down()
    shown.page.mouse.move(box["x"] + 50, box["y"] - 56)
    shown.page.mouse.up()
    dragged = pytest.approx(height - 76, abs=1)
    assert_soon(lambda: root.evaluate("root => root.offsetHeight"), dragged)
    shown.page.keyboard.press("Home")
    handle.focus()
    shown.page.keyboard.press("Home")
    assert_soon(lambda: root.evaluate("root => root.offsetHeight"), height)


def test_a_view_of_few_pictures_has_no_empty_ground_and_grows_for_one_alone(show):
    shown = show(noise((400, 600), (400, 600)))
    root = shown.root.element_handle()
    shown.root.get_by_role("button", name="Close panel").click()
    shown.page.evaluate(AROUND_JS, [root, "height: 880px; width: 850px"])
    shown.rest()
    height = root.evaluate("root => root.offsetHeight")

    def empty() -> float:
        found = boxes(shown)
        (_, top, _, bottom), tiles = found["stage"], found["tiles"]
        return bottom - top - (tiles[0][3] - tiles[0][1])

    assert empty() < 24
    tile = shown.root.locator(".rv-tile").nth(1)
    tile.dblclick()
    shown.rest()
    assert root.evaluate("root => root.offsetHeight") > height + 100
    assert empty() < 24
    shown.press("Escape")
    assert_soon(lambda: root.evaluate("root => root.offsetHeight"), height)


def test_a_view_is_no_higher_than_its_pictures_need(show):
    shown = show(noise((30, 300)))
    root = shown.root.element_handle()

    shown.page.evaluate(AROUND_JS, [root, "height: 880px; width: 1000px"])
    shown.rest()

    # The panel beside them needs more, and nothing is cut off.
    with_panel = root.evaluate("root => root.offsetHeight")
    assert root.evaluate("root => root.scrollHeight - root.clientHeight") <= 0
    shown.root.get_by_role("button", name="Close panel").click()
    shown.rest()
    height = root.evaluate("root => root.offsetHeight")

    found = boxes(shown)
    assert height < with_panel < 640
    assert found["canvases"][0][2] - found["canvases"][0][0] > 950
    handle = shown.root.get_by_role("separator", name="Height of the viewer")
    assert handle.is_visible()
