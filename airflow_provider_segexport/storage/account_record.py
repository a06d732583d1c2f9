"""Keeps what experiments and probes have found out about a vendor account, in a file for each fact.

    <state>/accounts/<vendor>/<account>/<API version>/<fact>.json

    {"vendor": "omnisend", "account": "<id>", "api_version": "2026-03-15", "fact": "tags_on_upsert",
     "value": "merge", "learnt_at": 1772000000}

A file is replaced as a whole, so processes that write different facts at the same time never lose one. A damaged file,
and a copied one of another account, version or fact, count as absent. Files hold no personal data.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from airflow_provider_segexport.errors import DamagedState
from airflow_provider_segexport.model import Audience
from airflow_provider_segexport.storage.folder_names import safe_name
from airflow_provider_segexport.storage.paths import StoragePath, ensure_folder
from airflow_provider_segexport.storage.sealing import read_json, write_json

log = logging.getLogger(__name__)


SHARED = "all"
"""`Audience.account` of a vendor whose audience ids are unique over all accounts."""
ACCOUNT_ID = "account_id"
"""Key of `Audience.extra`: the account's own id, at a vendor whose `Audience.account` is `SHARED`."""


def account_of(audience: Audience) -> str:
    """Return the id under which an account has a record; empty if the account has no known id."""
    account = audience.extra.get(ACCOUNT_ID) or audience.account
    return "" if account == SHARED else account


@dataclass(frozen=True, slots=True)
class LearntFact:
    """A fact about an account: its value, and when an experiment found it out (epoch seconds)."""

    value: str
    learnt_at: float


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """The facts of one account in one API version.

    Attributes:
        folder: of the account; it holds a folder for each API version.
        vendor: the account's vendor, by its connection type.
        account: the vendor's id of the account.
        api_version: facts of other versions are kept and not read.
    """

    folder: StoragePath
    vendor: str
    account: str
    api_version: str

    @classmethod
    def of(cls, root: StoragePath, vendor: str, account: str, api_version: str) -> AccountRecord:
        """Return the record of an account.

        Args:
            root: the state folder.
            vendor: its connection type.
            account: the vendor's id of the account.
            api_version: the version of the vendor's API that the facts are about.
        """
        return cls(root / "accounts" / vendor / safe_name(account), vendor, account, api_version)

    def path(self, name: str) -> StoragePath:
        """Return the file of a fact."""
        return self.folder / safe_name(self.api_version) / f"{safe_name(name)}.json"

    def fact(self, name: str) -> LearntFact | None:
        """Return a fact; None if it is unknown or its file cannot be used."""
        path = self.path(name)
        try:
            content = read_json(path)
        except FileNotFoundError:
            return None
        except DamagedState as damaged:
            log.warning("Ignoring a damaged account record (file=%s why=%s)", damaged.file, damaged.why)
            return None
        if any(content.get(key) != value for key, value in self._names(name).items()):
            log.warning("Ignoring the account record of another account (file=%s)", path)
            return None
        value, learnt_at = content.get("value"), content.get("learnt_at")
        if not isinstance(value, str) or isinstance(learnt_at, bool) or not isinstance(learnt_at, int | float):
            return None
        return LearntFact(value, float(learnt_at)) if math.isfinite(learnt_at) else None

    def record(self, name: str, fact: LearntFact) -> None:
        """Write a fact."""
        ensure_folder(self.path(name).parent)
        content = {**self._names(name), "value": fact.value, "learnt_at": int(fact.learnt_at)}
        write_json(self.path(name), content, indent=2)

    def _names(self, name: str) -> dict[str, str]:
        return {"vendor": self.vendor, "account": self.account, "api_version": self.api_version, "fact": name}
