"""Records the result of an erasure: `findings -> receipt`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from airflow_provider_segexport.storage.paths import StoragePath

RESTORE = "It may contain the person. To fix: restore it from a backup or delete it, then erase again."


@dataclass(frozen=True, slots=True)
class Finding:
    """Records of the person at one place, and their outcome: `in`, `found`, `removed` or a reason."""

    kind: str
    path: str
    rows: int
    outcome: str


@dataclass(slots=True)
class Receipt:
    """Result of erasing one person.

    Attributes:
        person: SHA-256 of the address.
        requested_by: the request that the erasure answers.
        at: ISO 8601.
        left: one message for each place that may still contain the person.
        path: of the receipt's file; empty for a dry run.
    """

    person: str
    requested_by: str
    at: str
    dry_run: bool
    findings: list[Finding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    path: str = ""

    @property
    def complete(self) -> bool:
        """Whether no place is left that may contain the person."""
        return not self.left

    def as_json(self) -> dict[str, Any]:
        """Return the content of the receipt's file."""
        return {**asdict(self), "complete": self.complete}


def unreadable(path: StoragePath | str, reason: str) -> str:
    """Return the message for a file or folder that may contain the person and cannot be opened."""
    return (
        f"{path}: cannot be read or written ({reason}). It may contain the person. To fix: let this user read and "
        "write it, then erase again."
    )
