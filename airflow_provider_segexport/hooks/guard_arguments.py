"""Converts the argument `guards`: `mapping from a DAG file, a template or a call -> guards of an ExportConfig`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, get_args

from airflow_provider_segexport.errors import InvalidArgument
from airflow_provider_segexport.guards import GUARDS, KNOWN_GUARDS, REMOVAL_GUARDS, Guard, GuardAction
from airflow_provider_segexport.hooks import arguments
from airflow_provider_segexport.hooks.numpy_scalars import scalar


def guards(given: Any, name: str = "guards") -> dict[str, Guard | None]:
    """Return guards by name. Each value is a limit, `{"limit": ..., "action": ...}`, or None, which disables it."""
    values = arguments.literal(given.strip()) if isinstance(given, str) else given
    if arguments.is_empty(given):
        values = {}
    if not isinstance(values, Mapping):
        raise InvalidArgument(
            f"`{name}` is not a mapping. To fix: map names to limits, such as {{'max_shrink': 0.3}}, or pass such a "
            "mapping as JSON text."
        )
    if unknown := [guard for guard in values if guard not in KNOWN_GUARDS]:
        raise InvalidArgument(
            f"There is no guard {', '.join(map(repr, unknown))}. To fix: use one of: {', '.join(sorted(KNOWN_GUARDS))}."
        )
    return {str(guard): _guard(guard, value) for guard, value in values.items()}


def _guard(name: str, given: Any) -> Guard | None:
    """Return one guard; None if it is disabled. A limit or an action that is not given is that of the default guard."""
    if given is None:
        return None
    default = GUARDS.get(name)
    values = _limit_and_action(given)
    if unknown := [key for key in values if key not in {"limit", "action"}]:
        raise InvalidArgument(
            f"Guard {name!r} has the unknown key {', '.join(map(repr, unknown))}. To fix: use `limit` and `action` "
            "only."
        )
    limit = _limit(values.get("limit", default.limit if default else None))
    if limit is None:
        raise InvalidArgument(
            f"Guard {name!r}: the limit is {values.get('limit')!r}. To fix: pass a number; None for the guard "
            "disables it."
        )
    action = values.get("action", default.action if default else "fail")
    action = arguments.choice(action, f"action of guard {name}", get_args(GuardAction))
    if action == "skip_removals" and name not in REMOVAL_GUARDS:
        raise InvalidArgument(
            f"Guard {name!r} has the action `skip_removals`, which is possible only for "
            f"{', '.join(sorted(REMOVAL_GUARDS))}. To fix: use `fail` or `warn`."
        )
    return Guard(limit, action)


def _limit_and_action(given: Any) -> Mapping[Any, Any]:
    """Return a guard as `{"limit": ..., "action": ...}`, in which either key may be missing.

    `SegmentExportOperator` wraps each value as `{"limit": value}`. If the value is a template or the output of a task,
    it may itself become such a mapping.
    """
    values = given if isinstance(given, Mapping) else {"limit": given}
    inner = values.get("limit") if len(values) == 1 else None
    inner = arguments.literal(inner) if isinstance(inner, str) else inner
    return inner if isinstance(inner, Mapping) else values


def _limit(given: Any) -> float | None:
    """Return a number from 0; None for any other value."""
    given = scalar(given)
    if isinstance(given, bool):
        return None
    try:
        limit = float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return limit if math.isfinite(limit) and limit >= 0 else None
