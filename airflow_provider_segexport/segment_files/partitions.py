"""Reads partition columns from the path of a file: `key=value` folders, as Hive and Spark write them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.table_folders import folder_key
from airflow_provider_segexport.storage.listing import display_path
from airflow_provider_segexport.storage.paths import StoragePath

NULL_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""The folder value with which Hive and Spark write null."""


def partitions_of(path: StoragePath, names: Sequence[str], wanted: Sequence[str]) -> dict[str, str | None]:
    """Return the wanted columns that are named in the folders of a file's path and missing in the file itself.

    Args:
        path: the file.
        names: the file's own columns, which take precedence. Names are compared without case.
        wanted: the mapped columns.

    Returns:
        Value by column: text, URL-decoded; None for `__HIVE_DEFAULT_PARTITION__`.

    Raises:
        InvalidSegment: two folders of the path give a wanted column different values, or a value is not UTF-8.
    """
    own = {name.lower() for name in names}
    values: dict[str, str | None] = {}
    for part in folder_key(path).split("/")[:-1]:
        column, equals, text = part.partition("=")
        column = unquote(column)
        if not equals or column not in wanted or column.lower() in own:
            continue
        value = None if text == NULL_VALUE else _decoded(path, column, text)
        if values.setdefault(column, value) != value:
            raise InvalidSegment(
                f"The path {display_path(path)} gives the column {column!r} two values. To fix: rename one of the "
                "folders."
            )
    return values


def _decoded(path: StoragePath, column: str, text: str) -> str:
    try:
        value = unquote(text, errors="strict")
        value.encode()
    except UnicodeError:
        raise InvalidSegment(
            f"The path {display_path(path)} gives the column {column!r} a value that is not UTF-8. To fix: rename the "
            "folder."
        ) from None
    return value
