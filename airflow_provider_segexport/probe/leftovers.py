"""Stores which question of a probe is not undone yet: `<state>/probes/<vendor>/<account>/<audience>.json`.

The file is written before a question makes its first call, and removed when its changes are undone. So the next probe
undoes the changes of a probe that was killed. The file holds the addresses of the question, which are the user's own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from airflow_provider_segexport.errors import DamagedState, FatalError
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder, exists, list_names
from airflow_provider_segexport.storage.sealing import read_as, write_json


@dataclass(frozen=True, slots=True)
class Leftover:
    """A question whose changes may not be undone.

    Attributes:
        vendor: connection type of the vendor.
        account: the vendor's id of the account.
        audience: the vendor's id of the audience.
        question: name of the question.
        emails: the addresses that the question uses.
        mark: `Subject.mark`, random digits in the names that the question creates.
        began_at: when the question began, epoch seconds.
        has_calls: the process of the probe may have calls in flight. False if it has tried to undo, and failed.
    """

    vendor: str
    account: str
    audience: str
    question: str
    emails: tuple[str, ...]
    mark: str
    began_at: float
    has_calls: bool = True


@dataclass(frozen=True, slots=True)
class LeftoverFile:
    """The file of one test audience. It does not exist if nothing has to be undone."""

    path: StoragePath
    vendor: str
    account: str
    audience: str

    @classmethod
    def of(cls, root: StoragePath, vendor: str, audience: Audience) -> LeftoverFile:
        """Return the file of an audience.

        Args:
            root: the state folder.
            vendor: connection type of the vendor.
            audience: the test audience.
        """
        folder = root / "probes" / vendor / safe_name(audience.account)
        name = f"{safe_name(audience.audience)}.json"
        return cls(folder / name, vendor, audience.account, audience.audience)

    def read(self) -> Leftover | None:
        """Return the question that is not undone; None if there is none.

        Raises:
            FatalError: the file was changed, or is a copy of another audience's.
        """
        if not exists(self.path):
            return None
        try:
            leftover = read_as(self.path, Leftover)
        except DamagedState as damaged:
            raise self._unusable(damaged.why) from None
        if (leftover.vendor, leftover.account, leftover.audience) != (self.vendor, self.account, self.audience):
            raise self._unusable("it is of another audience")
        return leftover

    def others(self) -> int:
        """Return how many other audiences of the account have a probe that was not undone."""
        names = list_names(self.path.parent)
        return sum(name.endswith(".json") and name != self.path.name for name in names)

    def _unusable(self, why: str) -> FatalError:
        return FatalError(
            f"The file {self.path} cannot be used: {why}. It names what an earlier probe has left in the audience "
            f"{self.audience!r}. Nothing was sent. To fix: take the addresses of that probe out of the audience in the "
            "vendor's web application, with tags, custom fields and suppressions that it made; then delete the file."
        )

    def write(self, leftover: Leftover) -> None:
        """Write what a question is about to change."""
        ensure_folder(self.path.parent)
        write_json(self.path, asdict(leftover))

    def remove(self) -> None:
        """Remove the file, because all changes are undone."""
        self.path.unlink(missing_ok=True)
