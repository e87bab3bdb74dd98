"""How soon a page of `to_html` shows its first picture, opened from disk.

A part of `tests.benchmarks.browser`. From the beginning of the navigation until a row
is drawn; each time in a new context, so that nothing of the page is cached.
"""

from __future__ import annotations

import pathlib
import statistics

from playwright.sync_api import Browser

import rollout_viewer as rv
from tests.benchmarks.report import Row, at_most

# Milliseconds since the navigation began, once a row is drawn.
DRAWN_JS = """
const look = () => {
  if (document.querySelector('.rollout-viewer[data-row]'))
    window.drawnMs = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""


def open_from_disk(
    browser: Browser, recording: pathlib.Path, what: str, num_turns: int
) -> list[Row]:
    """Return how large the page of a recording is, and how soon it is seen."""
    page_file = recording.with_suffix(".html")
    with rv.open(recording) as cache:
        viewer = rv.view(cache)
        viewer.to_html(page_file)
        viewer.close()
    found = []
    for _ in range(num_turns):
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.add_init_script(DRAWN_JS)
        page.goto(page_file.as_uri(), wait_until="commit")
        page.wait_for_function("() => window.drawnMs")
        found.append(page.evaluate("() => window.drawnMs"))
        context.close()
    size = page_file.stat().st_size / 1e6
    return [
        at_most(f"{what}: page of to_html", size, 8, "MB"),
        at_most(
            f"{what}: first picture from disk", statistics.median(found), 500, "ms"
        ),
    ]
