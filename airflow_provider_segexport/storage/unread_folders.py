"""Remembers the folders that a command cannot read, so that it can continue with other folders and report them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from airflow_provider_segexport.counted import counted
from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.storage.errors import reason_text
from airflow_provider_segexport.storage.listing import display_path
from airflow_provider_segexport.storage.paths import StoragePath

MAX_SHOWN = 5
"""Folders that the message names."""


@dataclass(slots=True)
class UnreadFolders:
    """Folders that cannot be read.

    Attributes:
        reasons: the reason by the folder's path.
    """

    reasons: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def skipping(self, path: StoragePath) -> Iterator[None]:
        """Remember the folder if the block cannot read it or a file in it."""
        try:
            yield
        except DamagedState as error:
            self.reasons[display_path(path)] = error.why
        except OSError as error:
            self.add(path, error)

    def add(self, path: StoragePath, error: OSError) -> None:
        """Remember a folder that could not be read, because of this error."""
        self.reasons[display_path(path)] = reason_text(error)

    def message(self, effect: str) -> str:
        """Return a message that names the folders; empty if every folder could be read.

        Args:
            effect: a sentence about what the command has left out.
        """
        if not self.reasons:
            return ""
        shown = "; ".join(f"{path} ({reason})" for path, reason in list(self.reasons.items())[:MAX_SHOWN])
        more = f"; and {len(self.reasons) - MAX_SHOWN} more" if len(self.reasons) > MAX_SHOWN else ""
        return (
            f"{counted(len(self.reasons), 'folder')} of the state path cannot be read: {shown}{more}. {effect} To fix: "
            "let this user read the folder. If it holds a damaged file, run `airflow segexport repair`."
        )


def skipping(unread: UnreadFolders | None, path: StoragePath) -> AbstractContextManager[None]:
    """Return a context that remembers the folder if the block cannot read it; None: the block raises its error."""
    return unread.skipping(path) if unread is not None else nullcontext()
