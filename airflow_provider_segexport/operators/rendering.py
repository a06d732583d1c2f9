"""Renders the arguments of a task: `template -> text or object`. A rendered text stays a text.

With `render_template_as_native_obj`, Airflow parses each rendered text as a Python literal: an audience `1_000`, `1e3`
or `0x3E8` would become the audience `1000`. The arguments of this provider parse texts themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.definitions.xcom_arg import XComArg
from jinja2 import Template, Undefined
from jinja2.nativetypes import NativeEnvironment

from airflow_provider_segexport.errors import InvalidArgument

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
    """A task in whose arguments a rendered text stays a text.

    Attributes:
        missing_results: by argument, why it lacks results of a mapped task; empty for a complete one.
    """

    _keeps_texts: bool = False
    missing_results: Mapping[str, str] = MappingProxyType({})

    def check_results(self) -> None:
        """Refuse an argument that lacks results of a mapped task, such as one of several suppression lists.

        Raises:
            InvalidArgument: there is one.
        """
        for name, missing in self.missing_results.items():
            if missing:
                raise InvalidArgument(
                    f"`{name}` is incomplete: {missing}. Nothing was sent. To fix: return a value from each of them, "
                    "for example the path of a file without rows, and let this task wait until all have succeeded."
                )

    def _do_render_template_fields(
        self, parent: Any, template_fields: Iterable[str], context: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Render the provider's own arguments first. Fields of a subclass and of a function are rendered as usual."""
        if parent is not self:  # an argument holds an object with template fields of its own
            super()._do_render_template_fields(parent, template_fields, context, *args, **kwargs)
            return
        fields, own = list(template_fields), set(argument_fields(type(self)))
        arguments, others = ([name for name in fields if (name in own) is ours] for ours in (True, False))
        self.missing_results = {name: missing_results(self, getattr(self, name, None), context) for name in arguments}
        self._keeps_texts = True
        try:
            super()._do_render_template_fields(self, arguments, context, *args, **kwargs)
        finally:
            self._keeps_texts = False
        super()._do_render_template_fields(self, others, context, *args, **kwargs)

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


def missing_results(task: BaseOperator, value: Any, context: Any) -> str:
    """Return why an argument would lack results of a mapped task; empty if it lacks none, or if there are none at all.

    Airflow passes the results that exist. An instance that was skipped, has failed or returned None is left out.

    Args:
        task: whose argument it is.
        value: of the argument, before it is rendered.
        context: Airflow's context of the task.
    """
    groups = list(task.iter_mapped_task_groups())
    for source, key in XComArg.iter_xcom_references(value):
        group = source.get_closest_mapped_task_group()
        if not source.is_mapped and (group is None or group in groups):  # the argument is a single result
            continue
        from airflow.sdk.execution_time import comms, task_runner  # noqa: PLC0415 - no DAG file needs them

        ti = context["ti"]
        states = ti.get_task_states(dag_id=ti.dag_id, task_ids=[source.task_id], run_ids=[ti.run_id])
        instances = sum(str(state) != "removed" for state in states.get(ti.run_id, {}).values())
        count = comms.GetXComCount(key=key, dag_id=ti.dag_id, run_id=ti.run_id, task_id=source.task_id)
        results = getattr(task_runner.SUPERVISOR_COMMS.send(count), "len", 0)
        if 0 < results < instances:
            return f"only {results} of the {instances} task instances of {source.task_id!r} have returned a value"
    return ""


def argument_fields(operator: type) -> Iterator[str]:
    """Yield the template fields that an operator has from classes of this provider."""
    for base in operator.__mro__:
        if base.__module__.startswith(PACKAGE):
            yield from vars(base).get("template_fields", ())
