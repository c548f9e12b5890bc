"""Settings of the documentation: `python -m sphinx -W docs docs/_build` builds it, without a network."""

import re

import gradopt

project = "gradopt"
author = "the gradopt developers"
copyright = "the gradopt developers"
version = release = gradopt.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

templates_path = ["_templates"]
autosummary_generate = True
autosummary_imported_members = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_typehints = "none"
suppress_warnings = ["myst.xref_missing"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples/course",
    "gallery_dirs": "course",
    "matplotlib_animations": (True, "jshtml"),
    "min_reported_time": 1e6,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "FileNameSortKey",
}

html_theme = "pydata_sphinx_theme"
html_title = "gradopt"
html_theme_options = {
    "navigation_depth": 2,
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "use_edit_page_button": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}
html_static_path = ["_static"]
html_css_files = ["gradopt.css"]
html_show_sourcelink = False


def _escape_stars(app, what, name, obj, options, lines):
    """Keep the stars of `*args` from beginning an emphasis; docstrings are written for `help`."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[i] = re.sub(r"(?<=[ (])\*{1,2}(?=[a-z])", lambda stars: stars[0].replace("*", r"\*"), line)


def _without_last_line(app, name, source):
    """Leave out the empty line that ends a snippet for doctest."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def setup(app):
    """Register what changes pages and docstrings."""
    app.connect("source-read", _without_last_line)
    app.connect("autodoc-process-docstring", _escape_stars, priority=100)
