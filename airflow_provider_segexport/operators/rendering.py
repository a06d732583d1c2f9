"""Renders the arguments of a task: `template -> text or object`. A rendered text stays a text.

With `render_template_as_native_obj`, Airflow parses each rendered text as a Python literal: an audience `1_000`, `1e3`
or `0x3E8` would become the audience `1000`. The arguments of this provider parse texts themselves.
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
    """The values of a template's expressions and texts, in order, before they are joined."""

    nodes: tuple[Any, ...]

    @property
    def value(self) -> Any:
        """The object if the template is a single expression; None if it is empty; else a text."""
        if len(self.nodes) == 1 and not isinstance(self.nodes[0], Undefined):
            return self.nodes[0]
        return "".join(map(str, self.nodes)) if self.nodes else None


class RenderedArguments(BaseOperator):
    """A task in whose arguments a rendered text stays a text."""

    _keeps_texts: bool = False

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], *args: Any, **kwargs: Any
    ) -> None:
        """Render the provider's own arguments first. Fields of a subclass and of a function are rendered as usual."""
        if parent is not self:  # an argument holds an object with template fields of its own
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
        collect: Any = lambda values: iter([_Rendered(tuple(render(values)))])  # noqa: E731 - Jinja also yields objects
        template.root_render_func = collect
        try:
            rendered = super()._render(template, context, *args, **kwargs)
        finally:
            template.root_render_func = render  # Jinja caches the template of a file, which may be rendered again
        return rendered.value if isinstance(rendered, _Rendered) else rendered


def argument_fields(operator: type) -> Iterator[str]:
    """Yield the template fields that an operator has from classes of this provider."""
    for base in operator.__mro__:
        if base.__module__.startswith(PACKAGE):
            yield from vars(base).get("template_fields", ())
