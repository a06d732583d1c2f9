"""Names of folders from texts that may hold any character."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from airflow_provider_segexport.storage.paths import StoragePath

MAX_NAME_CHARS = 150
"""Characters of a folder's name, before the hash. File systems allow 255 bytes."""


def safe_name(name: str) -> str:
    """Return a text as one folder name, because a run id has colons and plus signs and a tag may have any character.

    Two texts never become one name: a changed text gets a hash of the original.
    """
    safe = re.sub(r"[^A-Za-z0-9_.@=-]+", "_", name).strip(".")[:MAX_NAME_CHARS]
    if safe == name and name:
        return name
    content = name.encode("utf-8", "surrogatepass")  # a file name that is not UTF-8 has surrogates
    return f"{safe}~{hashlib.blake2b(content, digest_size=4).hexdigest()}"


def task_folder(root: StoragePath, parts: Iterable[str]) -> StoragePath:
    """Return the folder of a task instance's run folders.

    Args:
        root: folder of all run folders.
        parts: DAG, task, run and map index; each becomes one folder's name, whatever it contains.
    """
    path = root
    for part in parts:
        path /= safe_name(part)
    return path
