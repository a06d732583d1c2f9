"""The reference of connections, configuration and commands, written from what the provider tells Airflow.

In a page: ```{provider} connections``` (or `configuration`, `commands`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList

if TYPE_CHECKING:
    from sphinx.application import Sphinx

STANDARD = {"host": "Host", "port": "Port", "login": "Login", "password": "Password", "schema": "Schema"}


def connections() -> Iterator[str]:
    """Each connection type, and what its form asks for."""
    from airflow_provider_segexport import get_provider_info  # noqa: PLC0415 - when a page asks for it

    for one in get_provider_info()["connection-types"]:
        shown = one["ui-field-behaviour"]
        yield from (f"### {one['hook-name']}", "", f"Connection type `{one['connection-type']}`.", "")
        yield from ("| field | key | meaning |", "|---|---|---|")
        for key, label in STANDARD.items():
            if key not in shown["hidden-fields"]:
                named = shown["relabeling"].get(key, label)
                yield f"| {named} | `{key}` | {shown['placeholders'].get(key, '')} |"
        for key, about in one["conn-fields"].items():
            yield f"| {about['label']} | `extra.{key}` | {meaning(about)} |"
        yield ""


def meaning(about: dict[str, Any]) -> str:
    """What a field of the form is for, with its default where it has one."""
    words = str(about.get("description", "")).replace("|", "\\|").replace("\n", " ")
    default = about["schema"].get("default")
    return words if default is None else f"{words} Default: {str(default).lower()}."


def configuration() -> Iterator[str]:
    """Each option of Airflow's configuration that is ours."""
    from airflow_provider_segexport import get_provider_info  # noqa: PLC0415 - when a page asks for it

    for section, found in get_provider_info()["config"].items():
        yield from ("| option | environment | meaning | example |", "|---|---|---|---|")
        for option, about in found["options"].items():
            env = f"AIRFLOW__{section.upper()}__{option.upper()}"
            words = " ".join(str(about["description"]).split()).replace("|", "\\|")
            yield f"| `[{section}] {option}` | `{env}` | {words} | `{about['example'] or ''}` |"


def commands() -> Iterator[str]:
    """Each command of `airflow segexport`."""
    from airflow_provider_segexport.cli import get_commands  # noqa: PLC0415 - when a page asks for it

    for group in get_commands():
        for command in getattr(group, "subcommands", ()):
            words = " ".join(usage(argument) for argument in command.args)
            yield from (f"### `airflow {group.name} {command.name} {words}`".rstrip(), "")
            yield from (command.description or f"{command.help}.", "")
            yield from ("| argument | meaning |", "|---|---|")
            for argument in command.args:
                told = " ".join(str(argument.kwargs.get("help") or "").split()).replace("|", "\\|")
                yield f"| `{', '.join(argument.flags)}` | {told} |"
            yield ""


def usage(argument: Any) -> str:
    """An argument as a command line has it."""
    name = str(argument.flags[0])
    if not name.startswith("-"):
        return name.upper()
    return f"[{name}]" if not argument.kwargs.get("required") else name


class Provider(Directive):
    """Writes one of the lists above as a part of the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The list, parsed as the page is."""
        lists = {"connections": connections, "configuration": configuration, "commands": commands}
        lines = StringList(list(lists[self.arguments[0]]()), source="provider metadata")
        holder = nodes.section()
        holder.document = self.state.document
        self.state.nested_parse(lines, self.content_offset, holder, match_titles=True)
        return holder.children


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.add_directive("provider", Provider)
    return {"parallel_read_safe": True}
