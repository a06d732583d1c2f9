"""Operators that document their tasks, also mapped tasks, whose operator is created only when they run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_segexport.operators.mapped import DEFAULT_ARGS, KeepingPartial
from airflow_provider_segexport.operators.rendering import ATTRIBUTE_NAMES, RenderedArguments
from airflow_provider_segexport.operators.task_docs import DOC_ARGUMENTS


class DocumentedOperator(RenderedArguments):
    """Sets `doc_md` of a task from its arguments, unless its author has documented it.

    Attributes:
        describe: returns the documentation as Markdown; takes value by argument.
    """

    describe: Callable[[Mapping[str, Any]], str]

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute. A cluster policy or a subclass may use an argument's name, such as `dry_run`, for it."""
        super().__setattr__(ATTRIBUTE_NAMES.get(key, key), value)

    def document(self, values: Mapping[str, Any]) -> None:
        """Set `doc_md`, unless the author has documented the task.

        Airflow uses the docstring of a decorated function, so such a docstring counts as documentation.

        Args:
            values: value by argument.
        """
        function = getattr(self, "python_callable", None)
        if not any(getattr(self, name) for name in DOC_ARGUMENTS) and not getattr(function, "__doc__", None):
            self.doc_md = type(self).describe({**values, "python_callable": function} if function else values)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Begin a mapped task as `BaseOperator.partial` does, document it, and let policies set its arguments."""
        mapped = super().partial(**kwargs)
        mapped.__class__ = KeepingPartial
        mapped.kwargs[DEFAULT_ARGS] = kwargs.get(DEFAULT_ARGS)
        document_mapped(mapped.kwargs, {**mapped.kwargs, **kwargs}, cls.describe)
        return mapped


def document_mapped(
    partial_kwargs: dict[str, Any], values: Mapping[str, Any], describe: Callable[[Mapping[str, Any]], str]
) -> None:
    """Document a mapped task, unless its author has documented it.

    Args:
        partial_kwargs: the task's arguments that are not mapped; `doc_md` is added to them.
        values: value by argument, with the task's `dag` and `task_group`.
        describe: returns the documentation as Markdown; takes value by argument.
    """
    if any(partial_kwargs.get(name) for name in DOC_ARGUMENTS):
        return
    owners = [owner for owner in (values.get("dag"), values.get("task_group")) if owner is not None]
    defaults = {name: value for owner in owners for name, value in (owner.default_args or {}).items()}
    given = {**defaults, **(values.get("default_args") or {}), **values, "is_mapped": True}
    partial_kwargs["doc_md"] = getattr(values.get("python_callable"), "__doc__", None) or describe(given)
