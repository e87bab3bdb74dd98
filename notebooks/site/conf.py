"""How Sphinx reads the pages that build.py puts together.

Sphinx with MyST: Markdown and notebooks as they are, docstrings of Google's form, a
search that needs no server. Nothing is loaded from elsewhere when a page is opened.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.pycode import ModuleAnalyzer
from sphinx.util.inspect import stringify_signature

from rollout_viewer import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "rollout_viewer"
author = "rollout_viewer authors"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["**/.ipynb_checkpoints"]

# -- Markdown and notebooks ---------------------------------------------------------

myst_heading_anchors = 3  # as GitHub's
nb_execution_mode = "off"  # build.py executes them
nb_mime_priority_overrides = [("html", "text/html", 0)]  # before the widget's
nb_ipywidgets_js: dict[str, Any] = {}  # from a CDN; our viewers bring their own
nb_merge_streams = True

# -- docstrings ---------------------------------------------------------------------

toc_object_entries_show_parents = "hide"  # `append()`: the column is narrow
default_role = "py:obj"
autosummary_generate = False
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    # but those of other libraries; each of their bases has to be named
    "inherited-members": ",".join(
        [
            "AnyWidget",
            "BaseCallback",
            "BaseException",
            "DOMWidget",
            "HasDescriptors",
            "HasTraits",
            "LoggingHasTraits",
            "Module",
            "NamedTuple",
            "Protocol",
            "RecordConstructorArgs",
            "Transform",
            "VecEnvWrapper",
            "VectorWrapper",
            "Widget",
            "Wrapper",
            "object",
            "tuple",
        ]
    ),
}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autoclass_content = "class"
maximum_signature_line_length = 88
napoleon_use_rtype = False


def setup(app: Sphinx) -> None:
    """Give classes the arguments of their constructor; called by Sphinx."""
    app.connect("autodoc-process-signature", _order_inherited)
    app.connect("autodoc-process-signature", _arguments_of)


def _order_inherited(app: Sphinx, what: str, name: str, obj: Any, *_: object) -> None:
    """Keep by source what a class has of our classes, not only its own members."""
    if what != "class":
        return
    analyzer = ModuleAnalyzer.for_module(obj.__module__)
    analyzer.analyze()
    order = analyzer.tagorder
    for base in obj.__mro__[1:]:
        if base.__module__.split(".")[0] == "rollout_viewer":
            for member in vars(base):
                order.setdefault(f"{obj.__qualname__}.{member}", len(order))


def _arguments_of(
    app: Sphinx, what: str, name: str, obj: Any, *_: object
) -> tuple[str, str] | None:
    """Return those of `__init__` where a base of another library hides them."""
    init = vars(obj).get("__init__") if what == "class" else None
    if init is None:
        return None
    signature = inspect.signature(init)
    own = list(signature.parameters.values())[1:]
    shown = signature.replace(parameters=own, return_annotation=signature.empty)
    text = stringify_signature(shown, unqualified_typehints=True)
    return re.sub(r"<function (\w+)>", r"\1", text), ""  # as it is in the source


# -- how it looks -------------------------------------------------------------------

NOTEBOOKS = [
    f"notebooks/{path.stem}" for path in Path(__file__).parents[1].glob("*.ipynb")
]

html_theme = "pydata_sphinx_theme"
html_title = "rollout_viewer"
html_static_path = ["static"]
templates_path = ["templates"]
html_sidebars = {"**": ["menu"]}
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
# A page on disk may not read another one, and the text of a result is in that.
html_show_search_summary = False
html_theme_options = {
    "show_prev_next": True,
    "navbar_center": [],
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {"**": ["page-toc"]} | {name: [] for name in NOTEBOOKS},
    "footer_start": ["copyright"],
    "footer_end": [],
    "search_bar_text": "Search",
}
