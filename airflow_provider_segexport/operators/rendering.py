"""Renders the arguments of a task: `template -> text or object`. A text stays a text, also with native objects.

With `render_template_as_native_obj`, Airflow reads each rendered text as a Python literal: an audience `1_000`, `1e3`
or `0x3E8` would become the audience `1000`. The arguments of this provider read texts themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from airflow.sdk import BaseOperator
from jinja2 import Template, Undefined
from jinja2.nativetypes import NativeEnvironment

ATTRIBUTE_NAMES = {"dry_run": "is_dry_run"}
"""Attribute by argument, if the names differ: BaseOperator has a method `dry_run`."""

PACKAGE = __name__.rpartition(".")[0]
"""Package of the operators, whose template fields are arguments of this provider."""


@dataclass(frozen=True, slots=True)
class _Rendered:
    """Values of the expressions and texts of a template, in order."""

    nodes: tuple[Any, ...]

    @property
    def value(self) -> Any:
        """The object of a template that is one expression; None for an empty template, else a text."""
        if len(self.nodes) == 1 and not isinstance(self.nodes[0], Undefined):
            return self.nodes[0]
        return "".join(map(str, self.nodes)) if self.nodes else None


class RenderedArguments(BaseOperator):
    """A task whose arguments keep the texts that templates give."""

    _keeps_texts: bool = False

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], *args: Any, **kwargs: Any
    ) -> None:
        """Render the provider's own arguments first. Fields of a subclass and of a function are rendered as usual."""
        if parent is not self:  # an object in an argument that has template fields
            super()._do_render_template_fields(parent, template_fields, *args, **kwargs)
            return
        fields, own = list(template_fields), set(argument_fields(type(self)))
        self._keeps_texts = True
        try:
            super()._do_render_template_fields(self, [name for name in fields if name in own], *args, **kwargs)
        finally:
            self._keeps_texts = False
        super()._do_render_template_fields(self, [name for name in fields if name not in own], *args, **kwargs)

    def _render(self, template: Template, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Render one template."""
        if not self._keeps_texts or not isinstance(template.environment, NativeEnvironment):
            return super()._render(template, context, *args, **kwargs)
        render = template.root_render_func
        collect: Any = lambda values: iter([_Rendered(tuple(render(values)))])  # noqa: E731 - Jinja yields objects, too
        template.root_render_func = collect
        try:
            rendered = super()._render(template, context, *args, **kwargs)
        finally:
            template.root_render_func = render  # Jinja keeps the template of a file, which may be rendered again
        return rendered.value if isinstance(rendered, _Rendered) else rendered


def argument_fields(operator: type) -> Iterator[str]:
    """Yield the template fields of the operators of this provider among an operator and its bases."""
    for base in operator.__mro__:
        if base.__module__.startswith(PACKAGE):
            yield from vars(base).get("template_fields", ())
