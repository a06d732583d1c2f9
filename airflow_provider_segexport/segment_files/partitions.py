"""Columns that only the path of a file has: `key=value` folders, as Hive and Spark write them."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from airflow_provider_segexport.errors import InvalidSegment
from airflow_provider_segexport.segment_files.table_folders import key
from airflow_provider_segexport.storage.listing import shown
from airflow_provider_segexport.storage.paths import StoragePath

NULL = "__HIVE_DEFAULT_PARTITION__"
"""How Hive and Spark write a partition whose value is null."""


def partitions_of(path: StoragePath, names: Sequence[str], wanted: Sequence[str]) -> dict[str, str | None]:
    """Return the wanted columns that the folders above a file have, and the file itself has not.

    Args:
        path: the file.
        names: the file's own columns. They win, whatever the case of their letters.
        wanted: the columns that are mapped.

    Returns:
        Value by column: text, URL-decoded; None for `__HIVE_DEFAULT_PARTITION__`.

    Raises:
        InvalidSegment: two folders above the file give one wanted column different values.
    """
    own = {name.lower() for name in names}
    values: dict[str, str | None] = {}
    for part in key(path).split("/")[:-1]:
        column, equals, text = part.partition("=")
        column = unquote(column)
        if not equals or column not in wanted or column.lower() in own:
            continue
        value = None if text == NULL else unquote(text)
        if values.setdefault(column, value) != value:
            raise InvalidSegment(
                f"The path {shown(path)} gives the column {column!r} two values. To fix: rename one of the folders."
            )
    return values
