"""The pages of the documentation as text: README.md and the guides.

Guides are in notebooks/guides: there is no folder for documentation alone, notebooks
are the other half of it, and both are in the sdist.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUIDES = ROOT / "notebooks" / "guides"
PAGES = (ROOT / "README.md", *sorted(GUIDES.glob("*.md")))


def blocks(page: Path, language: str) -> list[str]:
    """Return what is in the fenced blocks of a page, such as its Python snippets."""
    text = page.read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """Return the page without its fenced blocks."""
    text = page.read_text("utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[str]:
    """Return where its links and pictures lead, as written."""
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors of its headings, as GitHub names them."""
    headings = re.findall(r"^#+ +(.+?) *$", prose(page), re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {word.replace(" ", "-") for word in words}


def section(page: Path, title: str) -> str:
    """Return what is below a heading, up to the next one."""
    found = re.search(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)",
        page.read_text("utf-8"),
        re.M | re.S,
    )
    assert found, f"{page.name} has no section {title!r}"
    return found[1]
