"""Validated changes to settings. The settings of a vendor are a frozen dataclass."""

from __future__ import annotations

import dataclasses
from types import UnionType
from typing import TYPE_CHECKING, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance

    Settings = TypeVar("Settings", bound=DataclassInstance)


class ControlError(Exception):
    """An invalid control request; the message lists the valid values."""


def changed(settings: Settings, overrides: Mapping[str, object]) -> Settings:
    """Return a copy of the settings with `overrides`; raise `ControlError` for an unknown name or an invalid value."""
    hints = get_type_hints(type(settings))
    for name, value in overrides.items():
        if name not in hints:
            raise ControlError(f"no setting {name!r}; there are: {', '.join(sorted(hints))}")
        if not _is_valid(value, hints[name]):
            hint = hints[name]
            shown = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            raise ControlError(f"{name} takes {shown}, not {value!r}")
    return dataclasses.replace(settings, **overrides)


def _is_valid(value: object, hint: object) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, UnionType):
        return any(_is_valid(value, option) for option in get_args(hint))
    if hint is float:
        return type(value) in (int, float)
    return type(value) is (origin or hint)
