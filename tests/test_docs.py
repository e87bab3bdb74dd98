"""README.md says everything that is public, and what it shows runs."""

import pathlib
import re
import shlex

import pytest

import rollout_viewer as rv
from rollout_viewer import _cli

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shell_lines():
    lines = "".join(blocks("console")).splitlines()
    commands = [line.removeprefix("$ ").partition("#")[0].strip() for line in lines]
    return [command for command in commands if command]


def key_bindings():
    """Return the keys that js/src/view/keymap.ts lists for people."""
    source = (ROOT / "js" / "src" / "view" / "keymap.ts").read_text(encoding="utf-8")
    return re.findall(r'\bkey: "(.+?)"', source)


@pytest.mark.slow
@pytest.mark.timeout(600)  # models learn in them
def test_python_snippets_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}

    for number, block in enumerate(blocks("python")):
        exec(compile(block, f"README.md, python block {number}", "exec"), namespace)

    assert (tmp_path / "best.mp4").exists()
    assert (tmp_path / "poles.html").exists()


@pytest.mark.parametrize("name", sorted(rv.__all__))
def test_public_name_is_in_the_readme(name):
    assert re.search(rf"\b{name}\b", README), f"README.md does not mention rv.{name}"


@pytest.mark.parametrize("name", sorted(rv.__all__))
def test_public_name_has_a_docstring(name):
    value = getattr(rv, name)

    assert not callable(value) or (value.__doc__ or "").strip()


def test_all_is_sorted_and_complete():
    assert list(rv.__all__) == sorted(rv.__all__)
    assert all(hasattr(rv, name) for name in rv.__all__)


def test_every_key_of_the_page_is_in_the_readme():
    bindings = key_bindings()

    missing = [key for key in bindings if f"`{key}`" not in README]

    assert bindings, "view/keymap.ts lists no key in the form that this test reads"
    assert not missing


def test_every_command_of_the_readme_is_one():
    commands = [line for line in shell_lines() if line.startswith("rollout-viewer")]

    for line in commands:
        _cli._parser().parse_args(shlex.split(line)[1:])

    named = {shlex.split(line)[1] for line in commands}
    assert named == {"record", "view", "compare", "export", "info", "compact", "demo"}


def test_every_make_target_of_the_readme_is_one():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))

    named = {line.split()[1] for line in shell_lines() if line.startswith("make ")}

    assert named <= targets
    assert {"demo", "test", "check", "setup", "bench"} <= named


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)", README)

    local = [target for target in targets if "://" not in target]

    assert local
    assert all((ROOT / target).exists() for target in local), local


def test_every_extra_is_in_the_readme():
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = pyproject.split("[project.optional-dependencies]")[1].split("\n[")[0]

    extras = re.findall(r"^(\w+) = \[", section, re.MULTILINE)

    assert "torchrl" in extras
    assert all(f"`{extra}`" in README for extra in extras)
