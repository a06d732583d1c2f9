"""Lets a cluster policy set arguments of a mapped task: `mapped task -> the same task, which passes them on`.

Airflow creates the operator of a mapped task when the task runs, from the arguments of `partial` and `expand`. It
ignores attributes that a policy has set on the mapped task, and the task's own `default_args`, so a suppression list
or a dry run would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk.bases.decorator import DecoratedMappedOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator, OperatorPartial

from airflow_provider_segexport.operators.notices import CALLBACKS, with_message
from airflow_provider_segexport.operators.rendering import ATTRIBUTE_NAMES, argument_fields

POLICY_ARGUMENTS = "_policy_arguments"
"""Attribute of a mapped task with the arguments that were set after it was defined, by name."""

DEFAULT_ARGS = "default_args"
OWN_DEFAULTS = "_own_default_args"
"""Attribute of a mapped task with its own `default_args`. Airflow 3.3.2 reads only BaseOperator's arguments in it."""


class _KeepsArguments:
    """The part of a mapped task that stores arguments which are set as attributes, and passes them to the operator."""

    __slots__ = ()

    def __setattr__(self, key: str, value: Any) -> None:
        """Set an attribute, and store it if it is an argument of the operator. A callback is wrapped."""
        value, attribute = with_message(key, value), ATTRIBUTE_NAMES.get(key, key)
        operator_class = getattr(self, "operator_class", object)  # a copy sets it later
        if attribute in argument_fields(operator_class):
            vars(self)[POLICY_ARGUMENTS] = {**vars(self).get(POLICY_ARGUMENTS, {}), attribute: value}
        super().__setattr__(key, value)

    def _get_unmap_kwargs(self, mapped_kwargs: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """Return the operator's arguments. None does not count as given, as in a task that is not mapped."""
        given: dict[str, Any] = super()._get_unmap_kwargs(mapped_kwargs, strict=strict)  # type: ignore[misc]
        names = {attribute: name for name, attribute in ATTRIBUTE_NAMES.items()}
        stored = {
            names.get(attribute, attribute): value for attribute, value in vars(self).get(POLICY_ARGUMENTS, {}).items()
        }
        if defaults := vars(self).get(OWN_DEFAULTS):
            given[DEFAULT_ARGS] = defaults
        if "python_callable" in given:
            stored.pop("segment", None)  # the function returns it
        return given | {name: value for name, value in stored.items() if value is not None or name in given}


class KeepingMappedOperator(_KeepsArguments, MappedOperator):
    """A mapped task of an operator."""

    __slots__ = ()
    __hash__ = MappedOperator.__hash__


class KeepingDecoratedMappedOperator(_KeepsArguments, DecoratedMappedOperator):
    """A mapped task of a decorated function."""

    __slots__ = ()
    __hash__ = DecoratedMappedOperator.__hash__


class KeepingPartial(OperatorPartial):
    """The result of `partial`; `expand` turns it into a mapped task that stores arguments."""

    __slots__ = ()

    def _expand(self, *args: Any, **kwargs: Any) -> Any:
        """Create the mapped task."""
        defaults = self.kwargs.pop(DEFAULT_ARGS, None)
        return keep_arguments(super()._expand(*args, **kwargs), defaults)


def keep_arguments(task: Any, default_args: Mapping[str, Any] | None) -> Any:
    """Change the class of a mapped task to one that stores arguments. Both classes have the same layout.

    Its callbacks are wrapped, too: if the worker dies, Airflow calls them without creating the operator.

    Args:
        task: the mapped task.
        default_args: the task's own, without those of its DAG and its task group.
    """
    task.__class__ = (
        KeepingDecoratedMappedOperator if isinstance(task, DecoratedMappedOperator) else KeepingMappedOperator
    )
    vars(task)[OWN_DEFAULTS] = default_args
    for name in CALLBACKS & task.partial_kwargs.keys():
        task.partial_kwargs[name] = with_message(name, task.partial_kwargs[name])
    return task
