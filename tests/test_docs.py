"""README.md and the guides say everything that is public, and what they show runs."""

import re
import shlex

import pytest

import rollout_viewer as rv
from rollout_viewer._cli import commands as cli
from tests import pages
from tests.pages import GUIDES, PAGES, ROOT

EVERYTHING = "".join(page.read_text("utf-8") for page in PAGES)
README = ROOT / "README.md"


# In a process of its own: nobody may fork where JAX was imported. Brax warns of itself.
JAX = [pytest.mark.jax, pytest.mark.filterwarnings("ignore")]


def shell_lines():
    lines = "".join("".join(pages.blocks(page, "console")) for page in PAGES)
    commands = [
        line.removeprefix("$ ").partition("#")[0].strip() for line in lines.splitlines()
    ]
    return [command for command in commands if command]


def key_bindings():
    """Return the keys that js/src/view/keymap.ts lists for people."""
    source = (ROOT / "js" / "src" / "view" / "keymap.ts").read_text(encoding="utf-8")
    return re.findall(r'\bkey: "(.+?)"', source)


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("| ")]


@pytest.mark.slow
@pytest.mark.timeout(600)  # models learn in them
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=JAX if page.stem == "jax" else [])
        for page in PAGES
        if pages.blocks(page, "python")
    ],
    ids=lambda p: p.stem,
)
def test_python_snippets_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}

    for number, block in enumerate(pages.blocks(page, "python")):
        exec(compile(block, f"{page.name}, python block {number}", "exec"), namespace)

    if page == README:
        assert (tmp_path / "best.mp4").exists()
        assert (tmp_path / "poles.html").exists()


@pytest.mark.parametrize("name", sorted(rv.__all__))
def test_public_name_is_on_a_page(name):
    assert re.search(rf"\b{name}\b", EVERYTHING), f"no page mentions rv.{name}"


@pytest.mark.parametrize("name", sorted(rv.__all__))
def test_public_name_has_a_docstring(name):
    value = getattr(rv, name)

    assert not callable(value) or (value.__doc__ or "").strip()


def test_all_is_sorted_and_complete():
    assert list(rv.__all__) == sorted(rv.__all__)
    assert all(hasattr(rv, name) for name in rv.__all__)


def test_public_name_is_in_the_reference_of_the_site():
    build = (ROOT / "notebooks" / "site" / "build.py").read_text("utf-8")
    listed = set(re.findall(r'"([A-Za-z_]+)"', build))

    others = [n for n in rv.__all__ if not n.endswith(("Error", "Cancelled"))]
    assert set(others) <= listed


def test_every_key_of_the_page_is_in_the_guide():
    text = (GUIDES / "look.md").read_text("utf-8")
    bindings = key_bindings()

    missing = [key for key in bindings if f"`{key}`" not in text]

    assert bindings, "view/keymap.ts lists no key in the form that this test reads"
    assert not missing


def test_every_command_of_the_pages_is_one():
    commands = [line for line in shell_lines() if line.startswith("rollout-viewer")]

    for line in commands:
        cli._parser().parse_args(shlex.split(line)[1:])

    named = {shlex.split(line)[1] for line in commands}
    assert named == {"record", "view", "compare", "export", "info", "compact", "demo"}


def test_every_make_target_of_the_pages_is_one():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    named = {line.split()[1] for line in shell_lines() if line.startswith("make ")}

    assert named <= targets
    assert {"demo", "test", "check", "setup", "bench"} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_anchors_of_a_page_lead_somewhere(page):
    local = [target for target in pages.links(page) if "://" not in target]
    lost = []
    for target in local:
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in pages.anchors(file)):
            lost.append(target)

    assert not lost


def test_every_guide_and_notebook_is_linked_from_the_readme():
    linked = {
        (ROOT / target.partition("#")[0]).resolve() for target in pages.links(README)
    }

    assert len(PAGES) > 9
    assert set(PAGES[1:]) | set((ROOT / "notebooks").glob("*.ipynb")) <= linked


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.stem)
def test_guide_ends_with_what_can_go_wrong(page):
    headings = re.findall(r"^## (.+)$", pages.prose(page), re.MULTILINE)

    assert headings[-1] == "What can go wrong"


def test_tables_of_the_readme_are_lines_of_the_guides():
    measured = table_lines(pages.section(README, "How it compares"))
    survived = table_lines(pages.section(README, "What survives what"))

    assert len(measured) > 6
    assert set(measured) <= set(
        table_lines((GUIDES / "performance.md").read_text("utf-8"))
    )
    assert len(survived) > 6
    assert set(survived) <= set(table_lines((GUIDES / "errors.md").read_text("utf-8")))


def test_every_extra_is_in_the_readme():
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = pyproject.split("[project.optional-dependencies]")[1].split("\n[")[0]

    extras = re.findall(r"^(\w+) = \[", section, re.MULTILINE)

    assert "torchrl" in extras
    assert all(f"`{extra}`" in README.read_text("utf-8") for extra in extras)
