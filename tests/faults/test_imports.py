"""Nothing that is read becomes code: this reads the sources for what could do that."""

from __future__ import annotations

import ast
import pathlib
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parent.parent.parent
PACKAGE = ROOT / "rollout_viewer"
PAGE = ROOT / "js" / "src"

# Modules whose readers run what they read.
FORBIDDEN_MODULES = {
    *("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal"),
    *("shelve", "dbm", "code", "codeop", "runpy", "imp", "xmlrpc", "yaml"),
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
# (file, what) -> why it is allowed.
ALLOWED = {
    ("rollout_viewer/testing/_source_tests.py", "import pickle"): (
        "a conformance test copies objects of its own"
    ),
    ("rollout_viewer/_cache/remote_messages.py", "import pickle"): (
        "between processes that have shown each other a key, which `remote` made"
    ),
    ("rollout_viewer/_cache/remote_messages.py", "import cloudpickle"): (
        "sends the caller's own make_env to such a process, never a file's"
    ),
    ("rollout_viewer/_replay/kept_states.py", "import cloudpickle"): (
        "takes the caller's own env with the recorder that renders its states"
    ),
    ("rollout_viewer/_replay/kept_states.py", "import pickle"): (
        "takes that env out again, in the process that this recorder is sent to"
    ),
    ("rollout_viewer/_replay/messages.py", "import pickle"): (
        "between a process and the one that it started, through pipes of their own"
    ),
    ("rollout_viewer/_replay/recipe.py", "import cloudpickle"): (
        "sends the caller's own make_env and spec to such a process, never a file's"
    ),
    ("rollout_viewer/_replay/worker.py", "import pickle"): (
        "takes these from its parent; a file has its spec as JSON"
    ),
    ("rollout_viewer/sources/_collect/policy.py", "import cloudpickle"): (
        "sends the caller's own make_env and policy to the workers that it starts"
    ),
    ("rollout_viewer/sources/_collect/policy.py", "import pickle"): (
        "does so where cloudpickle is not installed"
    ),
    ("rollout_viewer/sources/_collect/messages.py", "import pickle"): (
        "between a worker and the process that started it"
    ),
    ("rollout_viewer/sources/_collect/ray_cluster.py", "import pickle"): (
        "between an actor and the process that started it; Ray would do it otherwise"
    ),
    ("rollout_viewer/sources/_collect/worker.py", "import pickle"): (
        "takes these from the process that started it"
    ),
    (
        "rollout_viewer/sources/_load_policy.py",
        "torch.load without weights_only=True",
    ): "only where the user passes --allow-pickle for this file",
}


class Use(NamedTuple):
    """Something forbidden in a file."""

    path: str
    line: int
    what: str


def name_of(node: ast.expr) -> str:
    """Return ``a.b.c`` of an attribute or name."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def keyword(call: ast.Call, name: str) -> object:
    return next(
        (
            one.value.value
            for one in call.keywords
            if one.arg == name and isinstance(one.value, ast.Constant)
        ),
        None,
    )


def forbidden(source: str, path: str) -> Iterator[Use]:
    """Yield what a source imports or calls that could run what is read."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        for name in names:
            if name.partition(".")[0] in FORBIDDEN_MODULES:
                line = getattr(node, "lineno", 0)
                yield Use(path, line, f"import {name}")
        if not isinstance(node, ast.Call):
            continue
        called = name_of(node.func)
        if called in FORBIDDEN_CALLS:
            yield Use(path, node.lineno, called)
        last = called.rpartition(".")[2]
        if called == "torch.load" and keyword(node, "weights_only") is not True:
            yield Use(path, node.lineno, "torch.load without weights_only=True")
        if last in ("load", "fromfile") and keyword(node, "allow_pickle"):
            yield Use(path, node.lineno, f"{called}(allow_pickle=True)")
        if last in ("read_pickle", "enable_load_extension", "load_extension"):
            yield Use(path, node.lineno, called)
        if called in ("os.system", "os.popen") or keyword(node, "shell"):
            yield Use(path, node.lineno, f"{called} of a shell")


def test_nothing_that_is_read_is_run():
    found = [
        use
        for path in sorted(PACKAGE.rglob("*.py"))
        for use in forbidden(path.read_text("utf-8"), str(path.relative_to(ROOT)))
    ]

    assert {(use.path, use.what) for use in found} == set(ALLOWED), found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml.loader",
        "eval(text)",
        "exec(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "connection.enable_load_extension(True)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_each_of_them_is_noticed(source):
    assert list(forbidden(source, "x.py"))


def test_what_is_safe_is_not_noticed():
    source = (
        "torch.load(p, weights_only=True); np.load(p, allow_pickle=False); f.eval()"
    )

    assert not list(forbidden(source, "x.py"))


# -- the page: text that becomes elements or code

IN_PAGE = {
    "innerHTML": r"\.innerHTML\b",
    "outerHTML": r"\.outerHTML\s*\+?=(?!=)",
    "insertAdjacentHTML": r"\binsertAdjacentHTML\b",
    "createContextualFragment": r"\bcreateContextualFragment\b",
    "setHTMLUnsafe": r"\bsetHTMLUnsafe\b",
    "parseFromString": r"\bparseFromString\b",
    "document.write": r"\bdocument\.write(ln)?\b",
    "eval": r"(?<![.\w])eval\s*\(",
    "new Function": r"\bnew\s+Function\b|(?<![.\w])Function\s*\(",
    "a timer of text": r"\bset(Timeout|Interval)\(\s*[\"'`]",
    "srcdoc": r"\bsrcdoc\b",
    "javascript:": r"javascript:",
}


# What the output itself holds, where no kernel answers: the page that was exported,
# with its own policy.
IN_A_SANDBOX = {"js/src/widget.ts": ["srcdoc"]}


def in_page(text: str) -> list[str]:
    return [name for name, pattern in IN_PAGE.items() if re.search(pattern, text)]


def test_no_text_becomes_elements_or_code_in_the_page():
    sources = sorted(PAGE.rglob("*.ts"))
    assert len(sources) > 50

    found = {
        str(path.relative_to(ROOT)): what
        for path in sources
        if (what := in_page(path.read_text("utf-8")))
    }

    assert found == IN_A_SANDBOX


def test_a_saved_page_is_shown_in_a_frame_that_shares_nothing_with_the_notebook():
    for name in IN_A_SANDBOX:
        text = (ROOT / name).read_text("utf-8")
        (sandbox,) = re.findall(r'const sandbox = "(.*)";', text)
        assert sandbox.split() == ["allow-scripts", "allow-downloads"]
        assert text.count("srcdoc") == text.count("frame.srcdoc")
        assert len(re.findall(r'make\("iframe", {[^}]*\bsandbox,', text)) == 1


@pytest.mark.parametrize("name", ["widget.js", "widget.css", "mp4.js"])
def test_nor_does_the_built_bundle(name):
    path = PACKAGE / "static" / name
    if not path.exists():
        pytest.skip("not built")

    allowed = IN_A_SANDBOX["js/src/widget.ts"] if name == "widget.js" else []
    assert in_page(path.read_text("utf-8")) == allowed


@pytest.mark.parametrize(
    "text",
    [
        "a.innerHTML = text",
        "a.outerHTML = text",
        "a.insertAdjacentHTML('x', text)",
        "document.write(text)",
        "x = eval(text)",
        "new Function(text)",
        "setTimeout('text', 3)",
    ],
)
def test_each_of_them_is_noticed_in_the_page(text):
    assert in_page(text)
