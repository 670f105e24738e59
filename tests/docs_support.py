"""The documentation as the tests see it: its pages, the samples in them, and the tools in docs/_ext."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from command_support import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
sys.path.append(str(DOCS / "_ext"))


def name_of(page: Path) -> str:
    """A page as test reports name it."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def promised(code: str) -> list[str]:
    """What a sample says that it prints: the comments behind its calls of print."""
    return re.findall(r"^ *print\(.*\) +# (.*)$", code, re.MULTILINE)
