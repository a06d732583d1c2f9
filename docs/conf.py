"""How Sphinx builds docs/ into a site. No outside resource is fetched, neither now nor by a reader's browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from airflow_provider_segexport import __version__

project = "airflow-provider-segexport"
author = "The segexport maintainers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "_ext.provider"]
exclude_patterns = ["_build", "_ext"]
html_theme = "furo"
templates_path = ["_templates"]
html_context = {"versions": os.environ.get("SEGEXPORT_DOCS_VERSIONS", release).split(",")}
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "versions.html",
        "sidebar/scroll-end.html",
    ]
}
html_title = f"{project} {release}"
html_show_sourcelink = False
html_copy_source = False
myst_enable_extensions = ["deflist", "linkify"]
myst_linkify_fuzzy_links = False
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
nitpicky = False
