"""How Sphinx reads the pages that build.py puts together.

Sphinx with MyST: Markdown and notebooks as they are, docstrings of Google's form, a
search that needs no server. Nothing is loaded from elsewhere when a page is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollout_viewer import __version__

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
    # up to the bases of other libraries
    "inherited-members": ",".join(
        [
            "AnyWidget",
            "BaseCallback",
            "BaseException",
            "Module",
            "NamedTuple",
            "Protocol",
            "RecordConstructorArgs",
            "Transform",
            "VecEnvWrapper",
            "VectorWrapper",
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
