"""Keeps what experiments and probes have found out about a vendor account: `<state>/accounts/<vendor>/<account>.json`.

    {"vendor": "omnisend", "account": "<id>", "facts": {"<API version>": {"<fact>": {"value": .., "learnt_at": ..}}}}

The file is replaced as a whole. If two runs write at the same time, one of their facts may be lost and is found out
again. A damaged file, and a copied one that names another account, count as absent for the same reason. It holds no
personal data.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
        path: the account's file.
        vendor: the account's vendor, by its connection type.
        account: the vendor's id of the account.
        api_version: facts of other versions stay in the file and are not read.
    """

    path: StoragePath
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
        return cls(root / "accounts" / vendor / f"{safe_name(account)}.json", vendor, account, api_version)

    def fact(self, name: str) -> LearntFact | None:
        """Return a fact; None if it is unknown or cannot be read."""
        entry = _object(_object(self._facts().get(self.api_version)).get(name))
        value, learnt_at = entry.get("value"), entry.get("learnt_at")
        if not isinstance(value, str) or isinstance(learnt_at, bool) or not isinstance(learnt_at, int | float):
            return None
        return LearntFact(value, float(learnt_at)) if math.isfinite(learnt_at) else None

    def record(self, name: str, fact: LearntFact) -> None:
        """Write a fact."""
        facts = self._facts()
        facts = {**facts, self.api_version: {**_object(facts.get(self.api_version)), name: _entry(fact)}}
        ensure_folder(self.path.parent)
        write_json(self.path, {"vendor": self.vendor, "account": self.account, "facts": facts}, indent=2)

    def _facts(self) -> Mapping[str, Any]:
        """Return the facts by API version; none if the file is absent, damaged, or of another account."""
        try:
            content = read_json(self.path)
        except FileNotFoundError:
            return {}
        except DamagedState as damaged:
            log.warning("ignoring a damaged account record (file=%s why=%s)", damaged.file, damaged.why)
            return {}
        if (content.get("vendor"), content.get("account")) != (self.vendor, self.account):
            log.warning("ignoring the account record of another account (file=%s)", self.path)
            return {}
        return _object(content.get("facts"))


def _entry(fact: LearntFact) -> Mapping[str, Any]:
    return {"value": fact.value, "learnt_at": int(fact.learnt_at)}


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
