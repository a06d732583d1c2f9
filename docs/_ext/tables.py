"""Builds the tables of the reference from what the package declares: `metadata, types, docstrings -> Markdown`."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin, get_type_hints

STANDARD_FIELDS = {"host": "Host", "port": "Port", "login": "Login", "password": "Password", "schema": "Schema"}
"""Label by key of the fields that every Airflow connection has."""

AIRFLOW_REACTIONS = {
    "AirflowSkipException": "skips the task",
    "AirflowFailException": "fails the task without a retry",
    "RetryLater": "retries the task, as its `retries` allow",
}
"""What Airflow does, by the class that `hooks.failures` chooses for an error."""

ATTRIBUTE = re.compile(r"(\w+(?:, \w+)*): (.*)", re.DOTALL)


def one_line(text: object) -> str:
    """Return a text that fits into a cell of a table."""
    return " ".join(str(text or "").split()).replace("|", "\\|")


def connections() -> Iterator[str]:
    """Return each connection type with the fields of its form."""
    from airflow_provider_segexport import get_provider_info  # noqa: PLC0415 - when a page asks for it

    for connection_type in get_provider_info()["connection-types"]:
        behaviour = connection_type["ui-field-behaviour"]
        yield from (f"### {connection_type['hook-name']}", "")
        yield from (f"Connection type `{connection_type['connection-type']}`.", "")
        yield from ("| field | key | meaning |", "|---|---|---|")
        for key, label in STANDARD_FIELDS.items():
            if key not in behaviour["hidden-fields"]:
                shown = behaviour["relabeling"].get(key, label)
                yield f"| {shown} | `{key}` | {behaviour['placeholders'].get(key, '')} |"
        for key, field in connection_type["conn-fields"].items():
            yield f"| {field['label']} | `extra.{key}` | {field_meaning(field)} |"
        yield ""


def field_meaning(field: dict[str, Any]) -> str:
    """Return the description of a form field, with its default value if there is one."""
    description, default = one_line(field.get("description")), field["schema"].get("default")
    return description if default is None else f"{description} Default: {str(default).lower()}."


def configuration() -> Iterator[str]:
    """Return each option of Airflow's configuration that this provider adds."""
    from airflow_provider_segexport import get_provider_info  # noqa: PLC0415 - when a page asks for it

    for section, content in get_provider_info()["config"].items():
        yield from ("| option | environment | default | meaning | example |", "|---|---|---|---|---|")
        for option, about in content["options"].items():
            env = f"AIRFLOW__{section.upper()}__{option.upper()}"
            default = f"`{about['default']}`" if about["default"] else "empty"
            meaning = one_line(about["description"])
            yield f"| `[{section}] {option}` | `{env}` | {default} | {meaning} | `{about['example'] or ''}` |"


def commands() -> Iterator[str]:
    """Return each command of `airflow segexport` with its arguments."""
    from airflow_provider_segexport.cli import get_commands  # noqa: PLC0415 - when a page asks for it

    for group in get_commands():
        for command in getattr(group, "subcommands", ()):
            arguments = " ".join(usage(argument) for argument in command.args)
            yield from (f"### `airflow {group.name} {command.name} {arguments}`".rstrip(), "")
            yield from (command.description or f"{command.help}.", "")
            yield from ("| argument | meaning |", "|---|---|")
            for argument in command.args:
                text = one_line(argument.kwargs.get("help")).replace("%%", "%")  # as argparse shows it
                yield f"| `{', '.join(argument.flags)}` | {text} |"
            yield ""


def usage(argument: Any) -> str:
    """Return an argument as a command line shows it."""
    name = str(argument.flags[0])
    if not name.startswith("-"):
        return name.upper()
    return f"[{name}]" if not argument.kwargs.get("required") else name


def report() -> Iterator[str]:
    """Return the keys of the report, by the types that hold them."""
    from airflow_provider_segexport.export.report_schema import REPORT_TYPES  # noqa: PLC0415 - when a page asks for it

    yield from keys_of(REPORT_TYPES)


def verification() -> Iterator[str]:
    """Return the keys of a verification's report, by the types that hold them."""
    from airflow_provider_segexport.export.verify_schema import VERIFY_TYPES  # noqa: PLC0415 - when a page asks for it

    yield from keys_of(VERIFY_TYPES)


def keys_of(report_types: tuple[type, ...]) -> Iterator[str]:
    """Return a table of the keys of each type."""
    for report_type in report_types:
        yield from (f"### {report_type.__name__}", "", summary_of(report_type), "")
        yield from ("| key | type | meaning |", "|---|---|---|")
        meanings = attributes_of(report_type)
        for key, hint in fields_of(report_type).items():
            optional = ", may be absent" if key in getattr(report_type, "__optional_keys__", ()) else ""
            yield f"| `{key}` | {type_name(hint)}{optional} | {meanings[key]} |"
        yield ""


def fields_of(report_type: type) -> dict[str, Any]:
    """Return the type of each key of a typed dictionary or dataclass."""
    hints = get_type_hints(report_type)
    if dataclasses.is_dataclass(report_type):
        return {field.name: hints[field.name] for field in dataclasses.fields(report_type)}
    return hints


def type_name(hint: Any) -> str:
    """Return a type as the reference names it, with links to the types that the page describes."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (list, dict) or (origin is not None and arguments and origin.__module__ == "collections.abc"):
        value = type_name(arguments[-1])
        return f"list of {value}" if origin is list else f"object of {value}"
    if arguments:
        return " or ".join("null" if part is type(None) else type_name(part) for part in arguments)
    return {"str": "text", "bool": "true or false", "int": "integer", "float": "number", "Any": "any value"}.get(
        getattr(hint, "__name__", str(hint)), getattr(hint, "__name__", str(hint))
    )


def summary_of(described: Any) -> str:
    """Return the first paragraph of a docstring."""
    return one_line(inspect.getdoc(described).split("\n\n")[0])  # type: ignore[union-attr]


def attributes_of(described: type) -> dict[str, str]:
    """Return the meaning of each attribute from the `Attributes:` section of a docstring."""
    _, _, section = (inspect.getdoc(described) or "").partition("Attributes:\n")
    meanings = {}
    for entry in re.split(r"\n    (?! )", "\n" + section.partition("\n\n")[0]):
        if match := ATTRIBUTE.match(entry):
            for name in match[1].split(", "):
                meanings[name] = one_line(match[2])
    return meanings


def exceptions() -> Iterator[str]:
    """Return each exception of the package with what Airflow does with it."""
    from airflow_provider_segexport import errors  # noqa: PLC0415 - when a page asks for it
    from airflow_provider_segexport.hooks.failures import airflow_class  # noqa: PLC0415 - same

    groups = (errors.SegexportError, errors.RetryableError, errors.FatalError)
    yield from ("| exception | meaning | what Airflow does |", "|---|---|---|")
    for name, error in vars(errors).items():
        if not (inspect.isclass(error) and issubclass(error, errors.SegexportError)) or error in groups:
            continue
        reactions = [AIRFLOW_REACTIONS[airflow_class(case).__name__] for case in cases_of(error)]
        reaction = " or ".join(dict.fromkeys(reactions))
        yield f"| `{name}` | {summary_of(error)} | {reaction} |"


def cases_of(error: Any) -> Iterator[Any]:
    """Return instances of an exception that Airflow may treat differently."""
    choices = ({"fails": False}, {"fails": True}) if "fails" in attributes_of(error) else ({},)
    for attributes in choices:
        case = error.__new__(error)
        case.__dict__.update(attributes)
        yield case


def metrics() -> Iterator[str]:
    """Return each metric that a task sends."""
    from airflow_provider_segexport.hooks.metrics import METRICS  # noqa: PLC0415 - when a page asks for it

    yield from ("| metric | kind | tags besides `vendor` | meaning |", "|---|---|---|---|")
    for metric in METRICS:
        tags = ", ".join(f"`{tag}`" for tag in metric.tags)
        yield f"| `segexport.{metric.name}` | {metric.kind} | {tags} | {metric.meaning} |"


def reasons() -> Iterator[str]:
    """Return each reason that the report and the file of rejected rows may name."""
    from airflow_provider_segexport.reasons import MEANINGS  # noqa: PLC0415 - when a page asks for it

    yield from ("| reason | meaning |", "|---|---|")
    for reason, meaning in MEANINGS.items():
        yield f"| `{reason}` | {meaning} |"


def proofs() -> Iterator[str]:
    """Return each state of a row's proof of consent."""
    from airflow_provider_segexport.reasons import PROOF_MEANINGS  # noqa: PLC0415 - when a page asks for it

    yield from ("| state | meaning |", "|---|---|")
    for state, meaning in PROOF_MEANINGS.items():
        yield f"| `{state}` | {meaning} |"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    part.__name__: part
    for part in (connections, configuration, commands, report, verification, exceptions, metrics, reasons, proofs)
}
