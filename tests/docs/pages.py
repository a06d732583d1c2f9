"""The pages of the documentation, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
DOCS = REPO / "docs"
FENCE = re.compile(r"^( *)```\{?([a-z-]*)\}?([^\n]*)\n(.*?)^\1```\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code in a page."""

    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPO)}:{self.line}"


def pages() -> list[Path]:
    """Return every page of the documentation."""
    tops = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md")
    return [*(REPO / name for name in tops), *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text()
    for match in FENCE.finditer(text):
        indent, language, about, body = match.groups()
        title = re.search(r'title="([^"]+)"', about)
        line = text.count("\n", 0, match.start()) + 1
        body = "".join(line.removeprefix(indent) for line in body.splitlines(keepends=True))
        yield Block(page, line, language, title[1] if title else "", body)
