"""The options of `airflow segexport plan`, made from the table of an export's arguments.

An argument that is added to `hooks/options.py` becomes an option here. The function that reads the argument determines
the form of the option: a switch, a choice, `NAME=VALUE`, a repeated path or a text.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from airflow_provider_segexport.hooks import arguments as read
from airflow_provider_segexport.hooks import options
from airflow_provider_segexport.hooks.guard_arguments import guards
from airflow_provider_segexport.hooks.options import Argument

FLAGS = {"field_mapping": "--map"}
"""Options that are named differently from their arguments."""

METAVARS = {"as_of": "TIME", "default_region": "COUNTRY"}
"""Placeholder of an option's value by argument; that of any other option is the last part of its name."""

MAPPINGS = {read.mapping: "NAME=COLUMN", read.date_formats: "COLUMN=FORMAT"}
"""Placeholder of one entry, by the function that reads an argument which is a mapping."""

POSITIONAL = frozenset({"segment"})
"""Arguments that are given without an option."""

OFF = "off"
"""The value that disables a guard."""

ARGUMENTS = tuple(argument for argument in options.EXPORT if not argument.of_task)
"""The arguments of an export that the command takes."""

OPTIONS = tuple(argument for argument in ARGUMENTS if argument.name not in POSITIONAL)
COMPARED = tuple(
    replace(argument, required=False)
    for argument in ARGUMENTS
    if argument.name in {"field_mapping", "custom_fields", "default_region", "date_formats", "partition_columns"}
)
"""The arguments of an export that say how a segment is read: options of `airflow segexport verify`."""

SEGMENT_HELP = next(argument.help for argument in ARGUMENTS if argument.name in POSITIONAL)


def flag(argument: Argument) -> str:
    """Return the name of an argument's option. An option that may be repeated has its name in the singular."""
    if argument.name in FLAGS:
        return FLAGS[argument.name]
    is_repeated = argument.read in {*MAPPINGS, guards, read.paths}
    name = argument.name.removesuffix("s") if is_repeated else argument.name
    return f"--{name.replace('_', '-')}"


def settings(argument: Argument) -> dict[str, Any]:
    """Return the arguments of `add_argument` for an option. An option that is not given sets no attribute."""
    common: dict[str, Any] = {"dest": argument.name, "help": argument.help, "default": argparse.SUPPRESS}
    if argument.required:
        common["required"] = True
    if argument.read is read.flag:
        return {**common, "action": "store_true"}
    if argument.read in MAPPINGS:
        return {**common, "action": "append", "type": pair, "metavar": MAPPINGS[argument.read]}
    if argument.read is guards:
        return {**common, "action": "append", "type": guard, "metavar": "NAME=LIMIT"}
    if argument.read is read.paths:
        return {**common, "action": "append", "metavar": "PATH"}
    if isinstance(argument.read, partial):
        return {**common, "choices": argument.read.keywords["choices"]}
    if argument.read in {read.positive, read.number}:
        common["type"] = int
    return {**common, "metavar": METAVARS.get(argument.name, argument.name.rpartition("_")[2].upper())}


def pair(text: str) -> tuple[tuple[str, str], ...]:
    """Read `NAME=COLUMN`, or a JSON object for names with an equals sign."""
    if text.startswith("{"):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            content = None
        if isinstance(content, dict) and all(isinstance(column, str) for column in content.values()):
            return tuple(content.items())
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON object of names and columns")
    name, equals, column = text.partition("=")
    if not (name and equals and column):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=COLUMN, such as email=mail_address")
    return ((name, column),)


def guard(text: str) -> tuple[tuple[str, Any], ...]:
    """Read `NAME=LIMIT`, `NAME=LIMIT:ACTION`, `NAME=:ACTION` or `NAME=off`."""
    name, equals, value = text.partition("=")
    limit_text, colon, action = value.partition(":")
    if not (name and equals and value) or (colon and not action):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=LIMIT, such as max_shrink=0.3")
    if value == OFF:
        return ((name, None),)
    limit: dict[str, Any] = {"limit": _number(text, limit_text)} if limit_text else {}
    return ((name, {**limit, "action": action} if colon else limit["limit"]),)


def _number(text: str, limit: str) -> float | int:
    try:
        return int(limit) if limit.isdecimal() else float(limit)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} has no number as its limit; `off` disables a guard, as in max_shrink=off"
        ) from None


def given(args: argparse.Namespace, arguments: tuple[Argument, ...] = ARGUMENTS) -> dict[str, Any]:
    """Return the arguments that the command line gives, as an operator takes them.

    Args:
        args: the command line.
        arguments: the arguments of the command.

    Raises:
        ValueError: a name is given twice; the text is for the user.
    """
    values = {argument.name: getattr(args, argument.name) for argument in arguments if hasattr(args, argument.name)}
    for argument in arguments:
        if argument.name in values and argument.read in {*MAPPINGS, guards}:
            values[argument.name] = _merged(flag(argument), values[argument.name])
    return {name: _single(value) for name, value in values.items()}


def _merged(option: str, pairs: Iterable[tuple[tuple[str, Any], ...]]) -> Mapping[str, Any]:
    """Return the entries of a repeated option as one mapping."""
    merged: dict[str, Any] = {}
    for name, value in (item for items in pairs for item in items):
        if name in merged:
            raise ValueError(f"{option} gives {name!r} twice")
        merged[name] = value
    return merged


def _single(value: Any) -> Any:
    """Return the only item of a list, as a DAG file would have it; any other value unchanged."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value
