"""Writes the `doc_md` of a task that its author has not documented: `arguments -> what it does, to which audience`.

A value is shown as it is written in the DAG file: a template is not rendered, and no connection is opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_segexport.hooks.left_out import LEFT_OUT
from airflow_provider_segexport.yes_no import yes_no

DOC_ARGUMENTS = ("doc", "doc_md", "doc_json", "doc_yaml", "doc_rst")
"""Arguments of a task that hold documentation by its author."""

MAX_VALUE_CHARS = 200
"""Characters of a value that are shown. Airflow stores a DAG with the documentation of its tasks."""

MAX_ITEMS = 3
"""Items of a list that are shown; the number of the others follows."""

URL_SECRETS = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)|(?<=\?)(?=.*=).*", re.DOTALL)
"""User and password of a URL, and its query, which may hold a token."""

MODES = {
    "upsert": "sends new and changed profiles",
    "mirror": "sends new and changed profiles, and removes people that this export added and that left the segment",
    "full": "sends every profile",
}
"""Explanation by sync mode."""


def export_doc(values: Mapping[str, Any]) -> str:
    """Return the documentation of an export, or of a test row in its place.

    Args:
        values: value by argument that was given; the mapped arguments of a mapped task are missing.
    """
    dry_run = _flag(values, "dry_run")
    if values.get("test_row_to", LEFT_OUT) is not LEFT_OUT:
        lines = [f"- **Dry run:** {_switch(dry_run, 'nothing is sent')}"] if _is_set(dry_run) else []
        test_row = f"Sends one row of {_segment(values)} to the author's own address in {_audience(values)}."
        return "\n\n".join([test_row, *lines])
    mode = values.get("mode", "upsert")
    explained = f": {MODES[mode]}" if isinstance(mode, str) and mode in MODES else ""
    verb = "Plans the export of" if _is_set(dry_run) else "Exports"
    lines = [f"{verb} {_segment(values)} to {_audience(values)}.", f"- **Mode:** {_code(mode)}{explained}"]
    if _is_set(dry_run):
        lines.append(f"- **Dry run:** {_switch(dry_run, 'nothing is sent')}")
    return "\n".join([lines[0], "", *lines[1:], f"- **Consent:** {_consent(values)}"])


def undo_doc(values: Mapping[str, Any]) -> str:
    """Return the documentation of an undo."""
    version = values.get("ledger_version")
    target = f"version {_code(version)}" if _is_set(version) else "the newest version that added or removed people"
    dry_run = _flag(values, "dry_run")
    lines = [f"- **Dry run:** {_switch(dry_run, 'nothing is sent')}"] if _is_set(dry_run) else []
    return "\n\n".join([f"Reverts {target} of the ledger of {_audience(values)}.", *lines])


def verify_doc(values: Mapping[str, Any]) -> str:
    """Return the documentation of a verification."""
    segment = f" and with {_segment(values)}" if _is_set(values.get("segment")) else ""
    repair = _flag(values, "repair")
    text = _switch(repair, "people who are missing are sent by the next export") if _is_set(repair) else "off"
    return f"Compares {_audience(values)} with its ledger{segment}.\n\n- **Repair:** {text}"


def erase_doc(values: Mapping[str, Any]) -> str:
    """Return the documentation of an erasure."""
    source = _code(values["emails_path"]) if _is_set(values.get("emails_path")) else "a file that is mapped"
    dry_run = _flag(values, "dry_run")
    lines = [f"- **Dry run:** {_switch(dry_run, 'nothing is erased')}"] if _is_set(dry_run) else []
    return "\n\n".join([f"Erases people from audiences, ledgers and run folders. Their addresses: {source}.", *lines])


def _segment(values: Mapping[str, Any]) -> str:
    segment = values.get("segment")
    if "python_callable" in values:
        return "what its function returns"
    return _code(segment) if _is_set(segment) else "a mapped segment"


def _audience(values: Mapping[str, Any]) -> str:
    conn_id, audience = values.get("conn_id"), values.get("audience")
    connection = f"connection {_code(conn_id)}" if _is_set(conn_id) else "a mapped connection"
    if _is_set(audience):
        return f"audience {_code(audience)} of {connection}"
    return f"the default audience of {connection}" if "is_mapped" not in values else f"an audience of {connection}"


def _consent(values: Mapping[str, Any]) -> str:
    column, suppressed = values.get("consent_column"), values.get("suppression_list")
    withheld = [f"without a yes in column {_code(column)}"] if _is_set(column) else []
    withheld += [f"in the suppression list {_code(suppressed)}"] if _is_set(suppressed) else []
    subscribe = values.get("subscribe", "never")
    if subscribe == "never":
        text = "subscribes no person who has opted out"
    elif subscribe == "with_proof":
        text = "sends the proof of consent"
    else:
        text = f"`subscribe` is {_code(subscribe)}"
    return f"{text}; withholds people {' or '.join(withheld)}" if withheld else text


def _switch(value: Any, text: str) -> str:
    """Return the text of an argument that is true; of a template, the text with the template as its condition."""
    return text if value is True else f"{text} if {_code(value)} is true"


def _flag(values: Mapping[str, Any], name: str) -> Any:
    """Return an argument as a boolean; a template or another value unchanged."""
    value = values.get(name)
    boolean = yes_no(value)
    return value if boolean is None else boolean


def _is_set(value: Any) -> bool:
    """Return whether an argument was given and is not False."""
    return value is not None and value is not LEFT_OUT and value is not False


def _code(value: Any) -> str:
    """Return a value as Markdown code, shortened and without secrets."""
    if hasattr(value, "iter_references"):  # the output of an upstream task
        tasks = dict.fromkeys(f"`{task.task_id}`" for task, _ in value.iter_references())
        return f"the output of task {', '.join(tasks)}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = [_code(item) for item in value[:MAX_ITEMS]]
        more = [f"and {len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else []
        return ", ".join([*items, *more])
    text = " ".join(URL_SECRETS.sub("***", str(getattr(value, "uri", value))).split())
    text = (text or "''") if len(text) <= MAX_VALUE_CHARS else f"{text[:MAX_VALUE_CHARS]}…"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    padding = " " if "`" in text else ""
    return f"{fence}{padding}{text}{padding}{fence}"
