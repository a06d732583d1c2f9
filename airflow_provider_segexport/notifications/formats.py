"""Formats a message: `title, body, links -> plain text, Markdown, Slack's markup, HTML`.

Names of audiences come from the vendor, so each format escapes characters that it would read as markup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
"""Characters that Markdown may read as markup anywhere in a line."""


def formats(title: str, body: str, links: Mapping[str, str]) -> dict[str, str]:
    """Return the message in every format: `text`, `markdown`, `slack` and `html`.

    Args:
        title: one line.
        body: lines of plain text.
        links: URL by label.
    """
    lines = body.splitlines()
    return {
        "text": "\n".join([title, *lines, *(f"{label}: {address}" for label, address in links.items())]),
        "markdown": _markdown(title, lines, links),
        "slack": _slack(title, lines, links),
        "html": _html(title, lines, links),
    }


def _markdown(title: str, lines: list[str], links: Mapping[str, str]) -> str:
    def plain(text: str) -> str:
        return MARKDOWN_SPECIAL.sub(r"\\\1", text)

    linked = " · ".join(f"[{plain(label)}](<{address}>)" for label, address in links.items())
    paragraphs = [f"**{plain(title)}**", "  \n".join(plain(line) for line in lines), linked]
    return "\n\n".join(filter(None, paragraphs))


def _slack(title: str, lines: list[str], links: Mapping[str, str]) -> str:
    def plain(text: str) -> str:
        return escape(text, quote=False)

    linked = " · ".join(f"<{plain(address)}|{plain(label)}>" for label, address in links.items())
    return "\n".join(filter(None, [f"*{plain(title)}*", *(plain(line) for line in lines), linked]))


def _html(title: str, lines: list[str], links: Mapping[str, str]) -> str:
    linked = " · ".join(f'<a href="{escape(address)}">{escape(label)}</a>' for label, address in links.items())
    paragraphs = [f"<strong>{escape(title)}</strong>", "<br>\n".join(escape(line) for line in lines), linked]
    return "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs if paragraph)
