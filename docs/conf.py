"""How Sphinx makes the documentation: python -m sphinx -W docs build/docs"""

import os
import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
# The checkout itself is not built; both halves have the same docstrings.
sys.path[:0] = [str(_HERE / "_ext"), str(_HERE.parent)]
os.environ["DRYAD_NET_BACKEND"] = "pure"

from dryad_net.version import __version__  # noqa: E402

project = "dryad_net"
language = "en"  # but for docs/pt; see _ext/html_language.py
copyright = "the authors of dryad_net"  # noqa: A001 - Sphinx's own name for it
release = version = __version__
extensions = ["myst_parser", "reference", "dryad_lexer", "html_language"]
exclude_patterns = ["_ext"]
nitpicky = True
smartquotes = False
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"dryad_net {__version__}"
html_copy_source = False
