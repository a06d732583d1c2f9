"""Adds the directive `provider` to Sphinx. In a page: ```{provider} connections```, or another name of `PARTS`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

from .tables import PARTS

if TYPE_CHECKING:
    from sphinx.application import Sphinx


class Provider(Directive):
    """Writes one of `PARTS` into the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the part, parsed as the page is."""
        lines = StringList(list(PARTS[self.arguments[0]]()), source="provider metadata")
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(lines, self.content_offset, holder, match_titles=True)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("provider", Provider)
    return {"parallel_read_safe": True}
