"""Pictures of every state of the page: `make gallery` writes them to build/gallery.

python -m tests.browser.gallery [names of states]
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, chromium_path
from tests.browser.states import STATES, open_state

FOLDER = Path("build/gallery")
SIZES = {1400: 900, 800: 760, 400: 800}
THEMES = {"light": "standalone light", "dark": "standalone dark"}


def main(names: list[str]) -> None:
    """Take the pictures, and write a page that shows all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=FLAGS
        )
        for name in names or STATES:
            for width, height in SIZES.items():
                for scheme, theme in THEMES.items():
                    context = browser.new_context
                    page = open_state(
                        lambda context=context, **options: context(
                            **options
                        ).new_page(),
                        STATES[name],
                        width=width,
                        height=height,
                        theme=theme,
                    )
                    path = FOLDER / f"{name.replace(' ', '_')}_{width}_{scheme}.png"
                    page.screenshot(path=path)
                    page.context.close()
                    taken.append(path.name)
            print(name)
        browser.close()
    lines = [f'<figure><img src="{p}" loading="lazy"><figcaption>{p}' for p in taken]
    (FOLDER / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>Gallery</title>"
        "<style>img{max-width:48%;border:1px solid #888}</style>" + "\n".join(lines)
    )


if __name__ == "__main__":
    main(sys.argv[1:])
