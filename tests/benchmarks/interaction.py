"""What a person feels of the page: frames of tiles that are dragged, answers to input.

Real input of the browser, in a notebook. An interaction is a key or a press of the
pointer; it takes until the next paint, as the browser's own Event Timing reports.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

from playwright.sync_api import Page

# Milliseconds between animation frames, from now on.
FRAMES_JS = """() => {
  window.frameTimes = [];
  let last = 0;
  const frame = now => {
    if (last) window.frameTimes.push(now - last);
    last = now;
    if (window.frameTimes) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}"""
FRAMES_END_JS = """() => {
  const found = window.frameTimes;
  window.frameTimes = null;
  return found;
}"""

# What takes less than 16 ms is not reported: it is counted.
WATCH_JS = """() => {
  window.interactions = new Map();
  window.numBefore = performance.interactionCount;
  new PerformanceObserver(list => {
    for (const {interactionId, duration} of list.getEntries())
      if (interactionId) window.interactions.set(interactionId,
        Math.max(duration, window.interactions.get(interactionId) ?? 0));
  }).observe({type: 'event', durationThreshold: 16});
}"""
WATCHED_JS = """() => [
  performance.interactionCount - window.numBefore, [...window.interactions.values()]]"""
LEAST_MS = 16.0

# Whatever a person does while looking for something.
KEYS = (
    *("Home", "n", "ArrowRight", "ArrowRight", "Shift+ArrowRight", "5", "ArrowDown"),
    *("i", "End", "o", "x", "Space", "Space", "=", "=", "-", "z", "t", "t"),
    *("Shift+I", "p", "e", "Escape", "Enter", "Escape", "?", "Escape", "Escape"),
)


def drag_tiles(page: Page, seconds: float) -> list[float]:
    """Zoom in and drag the tiles about; returns the time of each frame in ms."""
    root = page.locator(".rollout-viewer")
    root.focus()
    for _ in range(3):
        page.keyboard.press("=")
    box = root.locator(".rv-stage").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 20, y + 20)
    page.wait_for_timeout(300)
    page.evaluate(FRAMES_JS)
    until = time.monotonic() + seconds
    for step in itertools.count():
        away = abs(step % 60 - 30) * 5
        page.mouse.move(x - away, y - away)
        if time.monotonic() > until:
            break
    found: list[float] = page.evaluate(FRAMES_END_JS)
    page.mouse.up()
    return found


def interact(page: Page, seconds: float) -> list[float]:
    """Press keys and click for so long; returns the time to the next paint of each."""
    root = page.locator(".rollout-viewer")
    root.focus()
    page.evaluate(WATCH_JS)
    keys = itertools.cycle(KEYS)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        key = next(keys)
        page.keyboard.press(key)
        page.wait_for_timeout(60)
        if page.evaluate("() => !document.activeElement.closest('.rollout-viewer')"):
            root.focus()
        if key == "Home":
            _click_about(page, root)
    page.wait_for_timeout(300)
    count, reported = page.evaluate(WATCHED_JS)
    return [*reported, *[LEAST_MS] * (count - len(reported))]


def _click_about(page: Page, root: Any) -> None:
    """Click on a tile, along the timeline, and open a menu."""
    root.focus()
    for name, share in ((".rv-tile", 0.5), (".rv-plot", 0.3), (".rv-plot", 0.8)):
        box = root.locator(name).first.bounding_box()
        page.mouse.click(box["x"] + share * box["width"], box["y"] + box["height"] / 2)
        page.wait_for_timeout(60)
    root.get_by_role("button", name="Labels on the tiles").click()
    page.wait_for_timeout(60)
    page.keyboard.press("Escape")
