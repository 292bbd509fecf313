"""The site. Build it with ``nox -s docs``: warnings are errors.

Sphinx, since the reference is made from the code, and since it will be kept for longer than this project; MyST, since the
pages are read on other sites, too; the PyData theme for its search, its versions and its contrast in dark and light.
"""

from __future__ import annotations

import sys
from pathlib import Path

import s3queue

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "s3queue"
author = "the authors of s3queue"
copyright = f"2026, {author}"
version = release = s3queue.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_copybutton",
    "generated",
    "llms",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "_generated/*", "assets/**/*.md"]
nitpicky = False
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
# Pages also link to files of the repository that are no pages: deploy/, the sources.
suppress_warnings = ["myst.xref_missing_dummy"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Asks", "Costs", "Steps"]
napoleon_use_ivar = True
# Docstrings name code in single backticks.
default_role = "code"

html_theme = "pydata_sphinx_theme"
html_title = f"s3queue {release}"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {"tutorial/index": []}
html_theme_options = {
    "navbar_align": "left",
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "logo": {"text": "s3queue"},
    "switcher": {"json_url": "_static/versions.json", "version_match": release},
    "check_switcher": False,
    "navbar_end": ["version-switcher", "theme-switcher"],
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
